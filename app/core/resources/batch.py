"""Batches: items of one resource created, changed and deleted in one transaction, all or none.

Whatever can be found out about items at once is: one statement locks those to be changed, in the
order of their ids, so that two batches cannot wait for each other. Then one statement deletes, one
an item changes and one creates: in this order, whichever the items have, so that one can take over
a unique value that another gives up. Only where the database refuses are they tried one by one,
to tell which of them it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import marshmallow as ma
from sqlalchemy import Row
from sqlalchemy.exc import DataError, IntegrityError

from app.core.database import errors
from app.core.database.mixins import ResourceMixin
from app.core.resources import repository
from app.core.resources.audit_log import batch_changes
from app.core.resources.repository import ScopedSelect, model_of
from app.core.schemas.base import Schema
from app.core.schemas.fields import Enum, Integer, String
from app.core.schemas.loading import errors_as_json_pointers
from app.core.web.etags import MAX_HEADER_LENGTH, etag_of_version, parse_if_match
from app.core.web.problems import MAX_ERRORS, ErrorDetail, Problem
from app.extensions import db

MAX_ITEMS = 100
STATUS_BY_OP = {"create": 201, "update": 200, "delete": 204}  # each item's where all succeed


@dataclass(frozen=True, slots=True)
class Item:
    """What the body asks to be done to one item; `places` say what is wrong with that."""

    op: str = ""
    id: UUID | None = None
    if_match: str = ""
    value: dict[str, Any] = field(default_factory=dict)
    places: Sequence[ErrorDetail] = ()


class Batch(NamedTuple):
    """The items of a body, and the views of a single item, whose rules hold here as well."""

    items: list[Item]
    create: Callable[[dict[str, Any]], ResourceMixin]
    change: Callable[[dict[str, Any], UUID], tuple[ScopedSelect, dict[str, Any]]]
    delete: Callable[[UUID], ScopedSelect]


class BatchItemsField(ma.fields.Field[list[Item]]):
    """A list of items, each of the shape that its `op` names.

    An item that is not valid makes no error here: it is told together with those that fail later.
    """

    default_error_messages = {
        "invalid": "Not a valid list.",
        "length": f"Length must be between 1 and {MAX_ITEMS}.",
    }

    def __init__(self, shapes: dict[str, Schema]) -> None:
        super().__init__(required=True)
        self.variants = shapes  # by `op`

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document, which adds the shapes."""
        return {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Item]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if not 1 <= len(value) <= MAX_ITEMS:
            raise self.make_error("length")
        return [_parse_item(item, f"#/items/{n}", self.variants) for n, item in enumerate(value)]


def _parse_item(given: Any, at: str, shapes: dict[str, Schema]) -> Item:
    if not isinstance(given, dict):
        return Item(places=_validation_details({"_schema": [Schema.error_messages["type"]]}, at))
    op = given.get("op")
    shape = shapes.get(op) if isinstance(op, str) else None
    if shape is None:
        return Item(
            places=_validation_details({"op": [f"Must be one of: {', '.join(shapes)}."]}, at)
        )
    places: list[ErrorDetail] = []
    if "if_match" in shape.fields and "if_match" not in given:
        detail = "A change needs if_match with the ETag of the version it was made from, or *."
        places = _problem_details(Problem("precondition-required", detail), at)
        given = given | {"if_match": "*"}
    try:
        return Item(places=places, **shape.load(given))
    except ma.ValidationError as error:
        return Item(places=places + _validation_details(error.messages_dict, at))


def batch_request_schema(schema: type[Schema]) -> Schema:
    """The body of a batch of such items."""
    read_only = [name for name, f in schema().fields.items() if f.dump_only]
    new, changed = (schema(partial=partial, exclude=read_only) for partial in (False, True))
    told = {"description": "The `ETag` of what the change was made from, or `*`.", "example": '"3"'}
    named = {
        "id": ma.fields.UUID(required=True),
        "if_match": String(max_length=MAX_HEADER_LENGTH, required=True, metadata=told),
    }
    shapes: dict[str, dict[str, Any]] = {
        "create": {"value": ma.fields.Nested(new, required=True)},
        "update": named | {"value": ma.fields.Nested(changed, required=True)},
        "delete": named,
    }
    made = {
        op: _named_schema(
            schema, f"Batch{op.title()}", {"op": Enum([op], required=True), **members}
        )
        for op, members in shapes.items()
    }
    return _named_schema(schema, "Batch", {"items": BatchItemsField(made)})


def batch_response_schema(schema: type[Schema]) -> Schema:
    """What a batch that succeeded answers."""
    absent = {"description": "Absent where the item was deleted.", "x-optional": True}
    members = {
        "status": Integer(min=200, max=204, metadata={"example": 201}),
        "id": ma.fields.UUID(),
        "etag": String(max_length=200, metadata=absent | {"example": '"1"'}),
        "value": ma.fields.Nested(schema, metadata=absent),
    }
    item = _named_schema(schema, "BatchDoneItem", members)
    at_most = ma.validate.Length(max=MAX_ITEMS)
    items = ma.fields.List(ma.fields.Nested(item), validate=at_most)
    return _named_schema(schema, "BatchDone", {"items": items})


def _named_schema(schema: type[Schema], suffix: str, members: dict[str, Any]) -> Schema:
    name = schema.__name__.replace("Schema", f"{suffix}Schema")
    return Schema.from_dict(members, name=name)()  # type: ignore[return-value]


@dataclass(slots=True)
class _Step:
    """An item on its way."""

    at: str
    item: Item
    places: list[ErrorDetail]
    instance: ResourceMixin | None = None  # to be created
    visible: ScopedSelect | None = None  # where the row to be changed or deleted is looked for
    values: dict[str, Any] = field(default_factory=dict)
    before: Row[Any] | None = None
    row: Row[Any] | None = None


def execute_batch(batch: Batch, schema: Schema) -> list[dict[str, Any]]:
    """Do everything that the items ask for, in the transaction of the request; what became of each.

    Raises:
        Problem: 422 `batch-failed` where anything could not be done; nothing of it was. Each item
            that failed is named, with the status and the type that it would have had by itself.
    """
    steps = [_Step(f"#/items/{n}", i, list(i.places)) for n, i in enumerate(batch.items)]
    _reject_repeated_ids(steps)
    for step in _valid_steps(steps):
        try:
            _call_view(step, batch)
        except Problem as problem:
            step.places = _problem_details(problem, step.at)
    _lock(_valid_steps(steps), schema)
    sound = list(_valid_steps(steps))
    refused: IntegrityError | DataError | None = None
    if len(sound) == len(steps):
        refused = _try(steps, schema)
        if refused is None:
            return [_result(step, schema) for step in steps]
    for step in sorted(sound, key=_execution_order):
        if refusal := _try([step], schema):
            step.places = _problem_details(errors.constraint_problem(refusal), step.at)
    if refused is not None and len(list(_valid_steps(steps))) == len(steps):
        raise refused
    raise Problem("batch-failed", errors=_error_details(steps))


def _valid_steps(steps: Sequence[_Step]) -> Iterator[_Step]:
    """Those that nothing is known to be wrong with."""
    return (step for step in steps if not step.places)


def _reject_repeated_ids(steps: Sequence[_Step]) -> None:
    """Of two changes of one item the second could not know the version that the first makes."""
    seen: set[UUID] = set()
    for step in steps:
        if step.item.id in seen:
            step.places += _validation_details({"id": ["Is named more than once."]}, step.at)
        elif step.item.id is not None:
            seen.add(step.item.id)


def _call_view(step: _Step, batch: Batch) -> None:
    item = step.item
    if item.id is None:
        step.instance = batch.create(item.value)
    elif item.op == "update":
        step.visible, step.values = batch.change(item.value, item.id)
    else:
        step.visible = batch.delete(item.id)


def _lock(steps: Iterator[_Step], schema: Schema) -> None:
    """Find the rows to be changed or deleted, with one statement where all are looked for alike."""
    alike: dict[ScopedSelect, dict[UUID, _Step]] = {}
    for step in steps:
        if step.visible is not None and step.item.id is not None:
            alike.setdefault(step.visible, {})[step.item.id] = step
    for visible, by_id in alike.items():
        found = repository.lock_many(visible, by_id.keys(), schema)
        for item_id, step in by_id.items():
            step.before = found.get(item_id)
            versions = parse_if_match(step.item.if_match)
            if step.before is None:
                step.places = _problem_details(
                    Problem("not-found", "There is no such item."), step.at
                )
            elif versions is not None and step.before.version not in versions:
                detail = "The stored version is not the one that if_match names."
                step.places = _problem_details(Problem("precondition-failed", detail), step.at)


def _try(steps: Sequence[_Step], schema: Schema) -> IntegrityError | DataError | None:
    """Write the steps, or none of them and return what the database has against them."""
    try:
        with db.session.connection().begin_nested(), batch_changes():
            _write(steps, schema)
    except (IntegrityError, DataError) as error:
        return error
    return None


def _write(steps: Sequence[_Step], schema: Schema) -> None:
    doomed = [step for step in steps if step.item.op == "delete"]
    if doomed:
        before = [step.before for step in doomed if step.before is not None]
        repository.delete_locked(_model(doomed[0]), before, schema)
    for step in steps:
        if step.item.op == "update" and step.before is not None:
            step.row = repository.update_locked(_model(step), step.before, step.values, schema)
    new = [(step, step.instance) for step in steps if step.instance is not None]
    if new:
        stored = repository.create_many([instance for _, instance in new], schema)
        for (step, _), row in zip(new, stored, strict=True):
            step.row = row


def _execution_order(step: _Step) -> int:
    return ("delete", "update", "create").index(step.item.op)


def _model(step: _Step) -> type[Any]:
    assert step.visible is not None  # noqa: S101 - of what is changed or deleted
    return model_of(step.visible)


def _result(step: _Step, schema: Schema) -> dict[str, Any]:
    status: dict[str, Any] = {"status": STATUS_BY_OP[step.item.op]}
    if step.row is None:
        return status | {"id": step.item.id}
    etag = etag_of_version(step.row.version)
    return status | {"id": step.row.id, "etag": etag, "value": schema.row_to_dict(step.row)}


def _validation_details(messages: dict[Any, Any], at: str) -> list[ErrorDetail]:
    of = Problem("validation-error")
    return [
        {**place, "status": of.kind.status, "type": of.type}
        for place in errors_as_json_pointers(messages, at)
    ]


def _problem_details(problem: Problem, at: str) -> list[ErrorDetail]:
    """What a problem with one item says of its place in the batch."""
    errors: Sequence[ErrorDetail] = problem.errors or [{"detail": str(problem.description)}]
    return [
        {
            "detail": error["detail"],
            "pointer": str(error["pointer"]).replace("#", f"{at}/value", 1)
            if "pointer" in error
            else at,
            "status": problem.kind.status,
            "type": problem.type,
        }
        for error in errors
    ]


def _error_details(steps: Sequence[_Step]) -> list[ErrorDetail]:
    """The places of all steps, in order; where they are too many, each step still has one."""
    numbered = [(n, i, p) for i, step in enumerate(steps) for n, p in enumerate(step.places)]
    kept = sorted(numbered, key=lambda each: each[:2])[:MAX_ERRORS]
    return [place for _, _, place in sorted(kept, key=lambda each: (each[1], each[0]))]
