"""References: members of a body that hold the id of another row, a foreign key."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.core.database import execute
from app.core.database.engine import autocommit_connection
from app.core.database.errors import classify
from app.core.resources.scoped_query import scope_params
from app.core.resources.statements import ITEM_IDS_PARAM, model_of
from app.core.schemas import fields
from app.core.schemas.base import nested_schema
from app.core.security.authorization import current_caller
from app.core.web.problems import ErrorDetail, Problem
from app.extensions import db

UNKNOWN = "There is no such item, or the caller cannot see it."

_NOT_GIVEN: Any = object()


class Reference(fields.UUID):
    """The id of a row that exists and that the caller can see.

    Args:
        model: that of the row; its `visible_to(caller)` is the scoped query.
    """

    def __init__(self, model: type[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model, self.visible_to = model, getattr(model, "visible_to", _NOT_GIVEN)

    def declaration_problem(self) -> str:
        """What is wrong with the arguments."""
        if isinstance(self.model, type) and self.visible_to is not _NOT_GIVEN:
            return ""
        name = getattr(self.model, "__name__", repr(self.model))
        return f"it refers to {name}, which is no model with visible_to(caller)"


def has_references(schema: ma.Schema) -> bool:
    """Whether the schema, or one inside it, has a `Reference` that callers write."""
    return any(
        isinstance(field, Reference) or ((inner := nested_schema(field)) and has_references(inner))
        for field in schema.load_fields.values()
    )


def require_referred_rows(schema: ma.Schema, body: Mapping[str, Any]) -> None:
    """Check the references of a body that this schema has loaded.

    Raises:
        Problem: 422, with a JSON Pointer for each that does not exist or that is not visible.
    """
    if errors := missing_references(schema, [body])[0]:
        raise Problem("validation-error", errors=errors)


def deleted_reference_problem(
    error: IntegrityError, schema: ma.Schema, body: Mapping[str, Any]
) -> Problem | None:
    """The 422 where a row was deleted after the check, before the write; None for other errors."""
    columns = classify(error, db.metadata).columns
    pointers = [pointer for pointer, *_ in _references(schema, body, "#")]
    errors = [
        {"detail": UNKNOWN, "pointer": pointer}
        for pointer in pointers
        if pointer.rpartition("/")[2] in columns
    ]
    return Problem("validation-error", errors=errors) if errors else None


def missing_references(
    schema: ma.Schema, bodies: Sequence[Mapping[str, Any]]
) -> list[list[ErrorDetail]]:
    """The errors of each body; one statement looks for all rows of a model."""
    found = [(n, *each) for n, body in enumerate(bodies) for each in _references(schema, body, "#")]
    by_query: dict[sa.Select[Any], set[UUID]] = {}
    for _, _, field, item_id in found:
        by_query.setdefault(field.visible_to(current_caller), set()).add(item_id)
    visible = {scoped: _visible_ids(scoped, ids) for scoped, ids in by_query.items()}
    errors: list[list[ErrorDetail]] = [[] for _ in bodies]
    for n, pointer, field, item_id in found:
        if item_id not in visible[field.visible_to(current_caller)]:
            errors[n].append({"detail": UNKNOWN, "pointer": pointer})
    return errors


def _references(
    schema: ma.Schema, value: Mapping[str, Any], pointer: str
) -> Iterator[tuple[str, Reference, UUID]]:
    for name, field in schema.load_fields.items():
        member, here = value.get(name), f"{pointer}/{name}"
        if member is None:
            continue
        if isinstance(field, Reference):
            # In a `MergePatch` it is still the text that was sent.
            yield here, field, member if isinstance(member, UUID) else UUID(member)
        elif (inner := nested_schema(field)) and isinstance(member, list):
            for n, each in enumerate(member):
                yield from _references(inner, each, f"{here}/{n}")
        elif inner:
            yield from _references(inner, member, here)


@lru_cache(maxsize=256)
def _select_ids(scoped: sa.Select[Any]) -> sa.Select[Any]:
    model = model_of(scoped)
    ids = scoped.with_only_columns(model.id).where(model.id.in_(ITEM_IDS_PARAM))
    # In a transaction the rows cannot be deleted until it ends.
    return ids.order_by(model.id).with_for_update(read=True, key_share=True, of=model)


def _visible_ids(scoped: sa.Select[Any], ids: set[UUID]) -> set[UUID]:
    statement, binds = _select_ids(scoped), {"item_ids": list(ids), **scope_params()}
    if execute.can_autocommit():
        # A row that is deleted before the write violates the foreign key, which is a 422 as well.
        with autocommit_connection() as connection:
            return set(connection.scalars(statement, binds))
    return set(db.session.connection().scalars(statement, binds))
