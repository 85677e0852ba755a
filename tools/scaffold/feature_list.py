"""The list of features, and the layers of import-linter: the two files that name a feature."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FEATURES = Path("app/features.py")
PYPROJECT = Path("pyproject.toml")
TOP_LAYER = '    "features",\n'


def add(name: str) -> None:
    """Add a feature as the last of the list, and as the layer above all other features."""
    _write(FEATURES, with_feature(read(FEATURES), name))
    layers = read(PYPROJECT)
    assert TOP_LAYER in layers
    _write(PYPROJECT, layers.replace(TOP_LAYER, f'{TOP_LAYER}    "({name})",\n', 1))


def remove(name: str) -> None:
    """Remove a feature from both files."""
    _write(FEATURES, read(FEATURES).replace(f"    {name},\n", ""))
    _write(PYPROJECT, without_layer(read(PYPROJECT), name))


def without_layer(pyproject: str, name: str) -> str:
    """The text of `pyproject.toml` without the layer of a feature."""
    text = pyproject.replace(f'    "({name})",\n', "")
    return text.replace(f"({name}) | ", "").replace(f" | ({name})", "")


def contains(name: str) -> bool:
    """Whether the feature is in the list."""
    return f"    {name},\n" in read(FEATURES)


def read(path: Path) -> str:
    """The text of a file, by its path from the root of the tree."""
    return (ROOT / path).read_text()


def _write(path: Path, text: str) -> None:
    (ROOT / path).write_text(text)


def with_feature(text: str, name: str) -> str:
    """The text of `app/features.py` with one more feature, the last."""
    imported = re.search(r"(?s)from app import \(\n(.*?)\)", text)
    assert imported
    names = sorted([*re.findall(r"\w+", imported[1]), name])
    text = text.replace(imported[1], "".join(f"    {each},\n" for each in names))
    head, _, tail = text.rpartition(")")
    return f"{head}    {name},\n){tail}"
