"""The commands `flask new resource` and `flask remove feature`."""

from pathlib import Path

import click

from tools import openapi_file
from tools.scaffold import feature_list
from tools.scaffold.create import create_feature
from tools.scaffold.feature_list import ROOT
from tools.scaffold.field_types import FIELD_TYPES
from tools.scaffold.remove import dependents, remove_feature
from tools.scaffold.resource import parse_resource


@click.group()
def new() -> None:
    """Write the files of something new."""


@click.group()
def remove() -> None:
    """Delete files of something that is no longer needed."""


@new.command("resource")
@click.argument("name")
@click.argument("fields", nargs=-1, metavar="[FIELD:TYPE[:optional]]...")
@click.option("--owned/--shared", default=True, help="Private to its owner (default), or shared.")
@click.option("--parent", help="A feature whose rows have an owner; the new rows are below them.")
def new_resource(name: str, fields: tuple[str, ...], owned: bool, parent: str | None) -> None:
    """Write a feature with a model, schemas, routes, a migration and tests.

    NAME is a plural, such as invoices. Nothing is overwritten; `flask remove feature` undoes it.
    """
    resource = parse_resource(name, fields, shared=not owned, parent=parent)
    _report("wrote", create_feature(resource))
    click.echo(f'Next: flask db upgrade, make test ARGS="-k {name}", docs/resources.md')


new_resource.help = f"{new_resource.help}\n\nTYPE is one of {', '.join(FIELD_TYPES)}."


@remove.command("feature")
@click.argument("name")
def remove_feature_command(name: str) -> None:
    """Delete the packages of a feature, and its lines in all other files.

    Tests elsewhere that import it are listed. Its tables stay: run `flask db downgrade NAME@base`
    before.
    """
    has_tables = (ROOT / "app" / name / "migrations").is_dir()
    _report("removed", remove_feature(name))
    for path in dependents("tests", name):
        click.echo(f"{path} imports app.{name}: change or delete it")
    if has_tables:
        command = f"flask db downgrade {name}@base"
        click.echo(f"Before this is deployed, with the code that still has app/{name}/: {command}")


def _report(verb: str, paths: list[Path]) -> None:
    openapi_file.write()
    for path in [*paths, Path("openapi.json")]:
        listed = path in (feature_list.FEATURES, feature_list.PYPROJECT, Path("openapi.json"))
        kept = verb == "removed" and (ROOT / path).exists()
        click.echo(f"{'changed' if listed or kept else verb} {path}")
