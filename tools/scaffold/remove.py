"""`flask remove feature`: delete the folders of a feature and the lines that belong to it."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from tools.format import format_files
from tools.scaffold import feature_list, marked_lines
from tools.scaffold.create import require_ruff
from tools.scaffold.feature_list import ROOT

REQUIRED = ("auth", "users")  # docs/architecture.md#a-feature says why
DASHBOARD = Path("deploy/observability/grafana/dashboards/service.json")


def remove_feature(name: str) -> list[Path]:
    """Delete a feature, the examples that import it, and its lines in all other files.

    Its lines are those in `app/features.py` and the layers of import-linter, those of
    `tools.scaffold.marked_lines`, and a panel of the dashboard.

    Returns:
        What was deleted or changed, from the root of the tree.

    Raises:
        ClickException: there is no such feature, or something else needs it; ruff is not
            installed.
    """
    require_ruff()
    check_removable(name)
    packages = {Path(*path.parts[:2]) for path in dependents("examples", name)}
    folders = [Path("app") / name, *sorted(packages)]
    folders = [each for folder in folders for each in (folder, Path("tests") / folder.name)]
    for folder in folders:
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    feature_list.remove(name)
    changed = [*marked_lines.remove(name), *remove_panel(name)]
    format_files(
        [ROOT / path for path in changed if path.suffix == ".py" and (ROOT / path).exists()]
    )
    return [*folders, feature_list.FEATURES, feature_list.PYPROJECT, *changed]


def remove_panel(name: str) -> list[Path]:
    """Remove the panel of a feature, which its description names, from the dashboard in JSON.

    Returns:
        The dashboard, if it had one.
    """
    mark = f"(feature {name})"
    dashboard = json.loads(feature_list.read(DASHBOARD))
    kept = [panel for panel in dashboard["panels"] if mark not in panel["description"]]
    if len(kept) == len(dashboard["panels"]):
        return []
    (ROOT / DASHBOARD).write_text(json.dumps(dashboard | {"panels": kept}, indent=2) + "\n")
    return [DASHBOARD]


def check_removable(name: str) -> None:
    """Check that there is such a feature, and that no other package needs it.

    Raises:
        ClickException: names what needs it.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not feature_list.contains(name):
        raise click.ClickException(f"{name} is not in {feature_list.FEATURES}")
    parts = {path.parts[1].replace("__init__.py", "app") for path in dependents("app", name)}
    needing = ", ".join(sorted(parts - {name}))
    if name in REQUIRED:
        reason = f"cannot be removed: it is needed by {needing or 'every service'}"
        raise click.ClickException(f"{name} {reason}; see docs/architecture.md#a-feature")
    if needing:
        reason = f"is needed by {needing}; remove {needing} first"
        raise click.ClickException(f"{name} {reason}; nothing was removed")


def dependents(folder: str, name: str) -> Iterator[Path]:
    """The files below a folder that import a feature, or whose migration needs one of it."""
    needs = re.compile(
        rf"(?m)^\s*(from|import) app\.{name}\b|^\s*from app import .*\b{name}\b"
        rf'|depends_on.*"{name}_\d{{4}}"'
    )
    for path in sorted((ROOT / folder).rglob("*.py")):
        if needs.search(path.read_text()):
            yield path.relative_to(ROOT)
