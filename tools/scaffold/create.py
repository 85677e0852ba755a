"""`flask new resource`: the files of an example, with other names and fields."""

import re
from pathlib import Path

import click

from app.core.database.full_text import search_index
from tools.format import format_files, is_installed
from tools.scaffold import feature_list
from tools.scaffold.feature_list import ROOT
from tools.scaffold.resource import Resource, class_name_of

# What any of the types needs; ruff removes what is unused.
MODEL_IMPORTS = """
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Date, Uuid

from app.core.database.full_text import search_index
from app.core.database.types import CodepointText, Money, Timestamp
"""
SCHEMA_IMPORTS = """
from app.core.database.full_text import matches
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.schemas.fields import UUID, Boolean, Date, DateTime, Email, Integer, MoneyAmount
"""


def create_feature(resource: Resource) -> list[Path]:
    """Write the files of the feature and add it to `app/features.py` and the layers.

    Returns:
        The files that were written or changed, from the root of the tree.

    Raises:
        ClickException: ruff is not installed.
    """
    require_ruff()
    example = Path("examples") / resource.example
    package, tests = Path("app") / resource.name, Path("tests") / resource.name
    sources = {
        path: package
        / path.relative_to(ROOT / example).as_posix().replace(resource.example, resource.name)
        for path in sorted((ROOT / example).rglob("*.py"))
    }
    own_test = ROOT / "tests" / resource.example / f"test_{resource.example}.py"
    sources[own_test] = tests / f"test_{resource.name}.py"
    for source, target in sources.items():
        (ROOT / target).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / target).write_text(write_fields(source, resource))
    feature_list.add(resource.name)
    format_files([ROOT / target for target in sources.values()])
    return [*sources.values(), feature_list.FEATURES, feature_list.PYPROJECT]


def write_fields(source: Path, resource: Resource) -> str:
    """The text of a file of the feature: that of the example with other names and fields."""
    text = resource.rename(source.read_text())
    fields = resource.fields.items()
    if source.name == "models.py":
        types = {n: f"{f.annotation}{' | None' * f.optional}" for n, f in fields}
        lines = [f"{n}: Mapped[{types[n]}] = mapped_column({f.column})" for n, f in fields]
        text = _replace_line(text, "text: Mapped", lines)
        text = text.replace("\n\n", f"\n{MODEL_IMPORTS}\n", 1)
    elif source.name == "schemas.py":
        lines = []
        for name, field in fields:
            presence = "allow_none" if field.optional else "required"
            arguments = f'{presence}=True, metadata={{"example": {field.example}}}'
            lines.append(f"{name} = {field.field.format(arguments)}")
        text = _replace_line(text, "text = ", lines)
        text = text.replace("\n\n", f"\n{SCHEMA_IMPORTS}\n", 1)
        text = _add_query(text, resource) if resource.texts else text
    elif "migrations" in source.parts:
        lines = [f'sa.Column("{n}", {f.stored}, nullable={f.optional}),' for n, f in fields]
        text = _replace_line(text, 'sa.Column("text"', lines)
    else:
        body = ", ".join(f'"{name}": {field.example}' for name, field in fields)
        text = re.sub(r"(?m)^BODY = .*", lambda _: f"BODY = {{{body}}}", text)
    if resource.texts:
        text = _add_search(text, resource)
    if "if postgresql" in text:
        dialect = '    postgresql = op.get_context().dialect.name == "postgresql"\n'
        text = text.replace("def upgrade() -> None:\n", f"def upgrade() -> None:\n{dialect}")
    return text


def _add_search(text: str, resource: Resource) -> str:
    """The same with the query class in routes, and with its index in models and migrations."""
    table, model = resource.name, class_name_of(resource.name)
    columns = ", ".join(f'"{name}"' for name in resource.texts)
    index = search_index(f"ix_{table}_search", *resource.texts)
    create = f'"{index.name}", "{table}", [sa.text({str(index.expressions[0])!r})]'
    for old, new in (
        ('"id"),)\n', f'"id"), search_index("{index.name}", {columns}))\n'),
        (f", {_sort(model)}", f", {model}Query"),
        (f"from app.{table}.schemas import ", f"from app.{table}.schemas import {model}Query, "),
        (
            "\n\n\ndef downgrade()",
            f"\n    if postgresql:\n        op.create_index({create}, postgresql_using='gin')"
            "\n\n\ndef downgrade()",
        ),
    ):
        text = text.replace(old, new, 1)
    return text


def _add_query(text: str, resource: Resource) -> str:
    """The same schemas, and the query class of the list with the filter `q`."""
    model = class_name_of(resource.name)
    text = text.replace('."""', ', and the query parameters of their list."""', 1)
    text = text.replace("\n\n", f"\n\nfrom app.{resource.name}.models import {model}\n", 1)
    attributes = ", ".join(f"{model}.{name}" for name in resource.texts)
    field = "String(min_length=1, max_length=200)"
    return f'''{text}

class {model}Query(PageQuery):
    """The query parameters of the list."""

    q = filter_by({field}, lambda words: matches(words, {attributes}))
    sort = {_sort(model)}
'''


def _sort(model: str) -> str:
    """The sort of the example, with this model."""
    return f'Sort({{"created_at": {model}.created_at}}, default="-created_at")'


def _replace_line(text: str, start: str, lines: list[str]) -> str:
    found = re.search(rf"(?m)^( +){re.escape(start)}.*\n", text)
    assert found, start
    return text.replace(found[0], "".join(f"{found[1]}{line}\n" for line in lines), 1)


def require_ruff() -> None:
    """Refuse to begin what could not be formatted at the end.

    Raises:
        ClickException: ruff is not installed.
    """
    if not is_installed():
        reason = "ruff is not installed; `make check ARGS=ruff-check` installs it"
        raise click.ClickException(reason)
