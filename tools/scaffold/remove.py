"""`flask remove feature`: delete the folders of a feature and the lines that name it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from tools.scaffold import feature_list
from tools.scaffold.feature_list import ROOT


def remove_feature(name: str) -> list[Path]:
    """Delete the folders of a feature, and its lines in `app/features.py` and the layers.

    Returns:
        What was deleted or changed, from the root of the tree.

    Raises:
        ClickException: there is no such feature, or another package imports it.
    """
    package = Path("app") / name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not feature_list.contains(name):
        raise click.ClickException(f"{name} is not in {feature_list.FEATURES}")
    if users := list(_importers(name)):
        lines = "\n".join(map(str, users))
        raise click.ClickException(f"{name} is needed, remove these imports first:\n{lines}")
    folders = [package, Path("tests") / name]
    for folder in folders:
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    feature_list.remove(name)
    return [*folders, feature_list.FEATURES, feature_list.PYPROJECT]


def _importers(name: str) -> Iterator[Path]:
    """The files outside a feature that import it."""
    imports = re.compile(rf"(?m)^\s*(from|import) app\.{name}\b|^\s*from app import .*\b{name}\b")
    for path in sorted((ROOT / "app").rglob("*.py")):
        relative = path.relative_to(ROOT)
        if relative.parts[:2] != ("app", name) and imports.search(path.read_text()):
            yield relative
