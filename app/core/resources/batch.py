"""Batches: items of one resource created, updated and deleted in one transaction, all or none.

One statement locks the rows to update or delete. Then one statement deletes, one for each item
updates, and one inserts, as one does the child rows of all items. If the database rejects them, the
items are executed one by one to find out which of them fail.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError

from app.core.database.mixins import ResourceMixin
from app.core.resources import repository
from app.core.resources.audit_log import batch_changes
from app.core.resources.batch_schema import Item, problem_details, validation_details
from app.core.resources.references import missing_references
from app.core.resources.row_locks import absence_problem, lock_many, lock_parent
from app.core.resources.scoped_query import ScopedSelect
from app.core.resources.statements import model_of
from app.core.schemas.base import Schema
from app.core.web.database_errors import constraint_problem
from app.core.web.etags import Precondition, etag_of_item, parse_tags
from app.core.web.problems import MAX_ERRORS, ErrorDetail, Problem
from app.extensions import db

STATUS_BY_OP = {"delete": 204, "update": 200, "create": 201}  # in the order of execution


class Batch(NamedTuple):
    """The items of a body, and the views of a single item, which apply their rules to each."""

    items: list[Item]
    create: Callable[[dict[str, Any]], Any]
    update: Callable[[dict[str, Any], UUID], tuple[ScopedSelect, dict[str, Any]]]
    delete: Callable[[UUID], ScopedSelect]


@dataclass(slots=True)
class _Step:
    """An item, and the results of the steps so far."""

    pointer: str
    item: Item
    errors: list[ErrorDetail]
    instance: ResourceMixin | None = None  # to create
    parents: ScopedSelect | None = None  # of which one is its parent
    scoped: ScopedSelect | None = None  # of the row to update or delete
    values: dict[str, Any] = field(default_factory=dict)
    before: sa.Row[Any] | None = None
    row: sa.Row[Any] | None = None


def execute_batch(
    batch: Batch, schema: Schema, parent_id: UUID | None = None
) -> list[dict[str, Any]]:
    """Execute all items in the transaction of the request; the result of each.

    Raises:
        Problem: 404, the parent of new items is not in its scoped query; 403, it may only be read.
        Problem: 422 `batch-failed` where an item failed; nothing is written. Each failed item is
            named, with the status and the type that it would have had by itself.
    """
    steps = [_Step(f"#/items/{n}", i, list(i.errors)) for n, i in enumerate(batch.items)]
    _reject_repeated_ids(steps)
    _reject_missing_references(steps, schema)
    for step in _valid(steps):
        try:
            _call_view(step, batch)
        except Problem as refused:
            step.errors = problem_details(refused, step.pointer)
    for parents in {step.parents for step in steps if step.parents is not None}:
        lock_parent(parents, parent_id)
    _lock_rows(_valid(steps), schema)
    valid = list(_valid(steps))
    problem: Problem | None = None
    if len(valid) == len(steps):
        problem = _try_write(steps, schema)
        if problem is None:
            return [_result(step, schema) for step in steps]
    for step in sorted(valid, key=lambda step: [*STATUS_BY_OP].index(step.item.op)):
        if failure := _try_write([step], schema):
            step.errors = problem_details(failure, step.pointer)
    if problem is not None and len(list(_valid(steps))) == len(steps):
        raise problem  # each item by itself succeeds
    raise Problem("batch-failed", errors=_error_details(steps))


def _valid(steps: Sequence[_Step]) -> Iterator[_Step]:
    """The steps without errors so far."""
    return (step for step in steps if not step.errors)


def _reject_repeated_ids(steps: Sequence[_Step]) -> None:
    # The second of two changes of one item could not know the version after the first.
    seen: set[UUID] = set()
    for step in steps:
        if step.item.id in seen:
            step.errors += validation_details({"id": ["Is named more than once."]}, step.pointer)
        elif step.item.id is not None:
            seen.add(step.item.id)


def _reject_missing_references(steps: Sequence[_Step], schema: Schema) -> None:
    errors = missing_references(schema, [step.item.value for step in steps])
    for step, missing in zip(steps, errors, strict=True):
        if missing:
            step.errors += problem_details(
                Problem("validation-error", errors=missing), step.pointer
            )


def _call_view(step: _Step, batch: Batch) -> None:
    item = step.item
    if item.id is None:
        created = batch.create(item.value)
        step.instance, step.parents = created if isinstance(created, tuple) else (created, None)
    elif item.op == "update":
        step.scoped, step.values = batch.update(item.value, item.id)
    else:
        step.scoped = batch.delete(item.id)


def _lock_rows(steps: Iterator[_Step], schema: Schema) -> None:
    """Lock the rows to update or delete, with one statement for each scoped query."""
    # In the order of their ids, so that two batches cannot wait for each other:
    # docs/decisions.md#35-batches
    by_query: dict[ScopedSelect, dict[UUID, _Step]] = {}
    for step in steps:
        if step.scoped is not None and step.item.id is not None:
            by_query.setdefault(step.scoped, {})[step.item.id] = step
    for scoped, by_id in by_query.items():
        rows = lock_many(scoped, by_id.keys(), schema)
        for item_id, step in by_id.items():
            step.before = rows.get(item_id)
            if problem := _precondition_problem(step):
                step.errors = problem_details(problem, step.pointer)


def _precondition_problem(step: _Step) -> Problem | None:
    if step.before is None:
        assert step.scoped is not None  # noqa: S101 - of an item to update or delete
        return absence_problem(step.scoped, step.item.id, "There is no such item.")
    if not Precondition(parse_tags(step.item.if_match)).is_met_by(step.before.version):
        detail = "The stored version is not the one that if_match names."
        return Problem("precondition-failed", detail)
    return None


def _try_write(steps: Sequence[_Step], schema: Schema) -> Problem | None:
    """Write the steps, or none of them and return the problem."""
    try:
        with db.session.connection().begin_nested(), batch_changes():
            _write(steps, schema)
    except (IntegrityError, DataError) as error:
        return constraint_problem(error)
    except Problem as problem:
        return problem
    return None


def _write(steps: Sequence[_Step], schema: Schema) -> None:
    # Deletions first: an item can take over a unique value of a deleted or updated one.
    deleted = [step for step in steps if step.item.op == "delete"]
    if deleted:
        model = _model(deleted[0])
        repository.delete_where(model, model.id.in_([step.item.id for step in deleted]), schema)
    updated = [step for step in steps if step.item.op == "update"]
    if updated:
        changes = [(step.before, step.values) for step in updated]
        rows = repository.update_many_locked(_model(updated[0]), changes, schema)
        for step, row in zip(updated, rows, strict=True):
            step.row = row
    created = [(step, step.instance) for step in steps if step.instance is not None]
    if created:
        rows = repository.create_many([instance for _, instance in created], schema)
        for (step, _), row in zip(created, rows, strict=True):
            step.row = row


def _model(step: _Step) -> type[Any]:
    assert step.scoped is not None  # noqa: S101 - of an item to update or delete
    return model_of(step.scoped)


def _result(step: _Step, schema: Schema) -> dict[str, Any]:
    status: dict[str, Any] = {"status": STATUS_BY_OP[step.item.op]}
    if step.row is None:
        return status | {"id": step.item.id}
    etag = etag_of_item(schema, step.row)
    return status | {"id": step.row.id, "etag": etag, "value": schema.row_to_dict(step.row)}


def _error_details(steps: Sequence[_Step]) -> list[ErrorDetail]:
    """The errors of all steps, in order."""
    # A problem has a limited number of errors; the first of each step come first.
    numbered = [
        (n, i, error) for i, step in enumerate(steps) for n, error in enumerate(step.errors)
    ]
    kept = sorted(numbered, key=lambda each: each[:2])[:MAX_ERRORS]
    return [error for _, _, error in sorted(kept, key=lambda each: (each[1], each[0]))]
