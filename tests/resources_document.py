"""The Python blocks of docs/resources.md as modules."""

import importlib
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.core.background.job_types import JOB_TYPES
from app.core.background.periodic import PERIODIC_TASKS
from app.extensions import db
from app.users import roles

DOCS = Path(__file__).parent.parent / "docs"

DOCUMENT, FILES = ((DOCS / name).read_text() for name in ("resources.md", "files.md"))

BLOCKS = re.findall(r"```python\n# (\S+)\n(.*?)```", DOCUMENT + FILES, re.DOTALL)

_numbers = itertools.count(1)


def source(path: str) -> str:
    """A file of the document: its blocks, one after the other."""
    return "\n\n".join(block for name, block in BLOCKS if name == path)


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The feature of the document, under a name of its own: models stay known by their module."""
    name = f"recipes_{next(_numbers)}"
    (tmp_path / name).mkdir()
    for path in {path for path, _ in BLOCKS if path.startswith("app/recipes/")}:
        text = source(path).replace("app.recipes", name)
        (tmp_path / name / Path(path).name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for role, permissions in roles.ROLES.items():
        monkeypatch.setitem(roles.ROLES, role, permissions)  # as it is, again after the test
    yield importlib.import_module(name)
    # Not copies from before: the test may be the first that lets the features register theirs.
    JOB_TYPES.pop("recipes.import", None)
    PERIODIC_TASKS.pop("old-recipes", None)
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
def recipe(recipes: ModuleType) -> Iterator[Any]:
    """The model, whose table the other tests do not see."""
    model = importlib.import_module(f"{recipes.__name__}.models").Recipe
    yield model
    db.metadata.remove(model.__table__)
