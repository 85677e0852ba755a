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

from app.extensions import db
from app.kit import database, rows
from app.kit.changes import together
from app.kit.conditional import LONGEST, etag_of_version, versions_in
from app.kit.fields import Choice, Integer, Text
from app.kit.model import Resource
from app.kit.problems import MOST_PLACES, Place, Problem
from app.kit.rows import Visible, model_of
from app.kit.schema import Schema, pointers

MOST_ITEMS = 100
STATUS = {"create": 201, "change": 200, "delete": 204}  # each item's where all succeed


@dataclass(frozen=True, slots=True)
class Item:
    """What the body asks to be done to one item; `places` say what is wrong with that."""

    op: str = ""
    id: UUID | None = None
    if_match: str = ""
    value: dict[str, Any] = field(default_factory=dict)
    places: Sequence[Place] = ()


class Batch(NamedTuple):
    """The items of a body, and the views of a single item, whose rules hold here as well."""

    items: list[Item]
    create: Callable[[dict[str, Any]], Resource]
    change: Callable[[dict[str, Any], UUID], tuple[Visible, dict[str, Any]]]
    delete: Callable[[UUID], Visible]


class Items(ma.fields.Field[list[Item]]):
    """A list of items, each of the shape that its `op` names.

    An item that is not valid makes no error here: it is told together with those that fail later.
    """

    default_error_messages = {
        "invalid": "Not a valid list.",
        "length": f"Length must be between 1 and {MOST_ITEMS}.",
    }

    def __init__(self, shapes: dict[str, Schema]) -> None:
        super().__init__(required=True)
        self.shapes = shapes  # by `op`

    def described(self) -> dict[str, Any]:
        """JSON Schema keywords for the document, which adds the shapes."""
        return {"type": "array", "minItems": 1, "maxItems": MOST_ITEMS}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Item]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if not 1 <= len(value) <= MOST_ITEMS:
            raise self.make_error("length")
        return [_read(item, f"#/items/{n}", self.shapes) for n, item in enumerate(value)]


def _read(given: Any, at: str, shapes: dict[str, Schema]) -> Item:
    if not isinstance(given, dict):
        return Item(places=_invalid({"_schema": [Schema.error_messages["type"]]}, at))
    op = given.get("op")
    shape = shapes.get(op) if isinstance(op, str) else None
    if shape is None:
        return Item(places=_invalid({"op": [f"Must be one of: {', '.join(shapes)}."]}, at))
    places: list[Place] = []
    if "if_match" in shape.fields and "if_match" not in given:
        detail = "A change needs if_match with the ETag of the version it was made from, or *."
        places = _places(Problem("precondition-required", detail), at)
        given = given | {"if_match": "*"}
    try:
        return Item(places=places, **shape.load(given))
    except ma.ValidationError as error:
        return Item(places=places + _invalid(error.messages_dict, at))


def batch_schema(schema: type[Schema]) -> Schema:
    """The body of a batch of such items."""
    read_only = [name for name, f in schema().fields.items() if f.dump_only]
    new, changed = (schema(partial=partial, exclude=read_only) for partial in (False, True))
    told = {"description": "The `ETag` of what the change was made from, or `*`.", "example": '"3"'}
    named = {
        "id": ma.fields.UUID(required=True),
        "if_match": Text(most=LONGEST, required=True, metadata=told),
    }
    shapes: dict[str, dict[str, Any]] = {
        "create": {"value": ma.fields.Nested(new, required=True)},
        "change": named | {"value": ma.fields.Nested(changed, required=True)},
        "delete": named,
    }
    made = {
        op: _made(schema, f"Batch{op.title()}", {"op": Choice([op], required=True), **members})
        for op, members in shapes.items()
    }
    return _made(schema, "Batch", {"items": Items(made)})


def done_schema(schema: type[Schema]) -> Schema:
    """What a batch that succeeded answers."""
    absent = {"description": "Absent where the item was deleted.", "x-optional": True}
    members = {
        "status": Integer(least=200, most=204, metadata={"example": 201}),
        "id": ma.fields.UUID(),
        "etag": Text(most=200, metadata=absent | {"example": '"1"'}),
        "value": ma.fields.Nested(schema, metadata=absent),
    }
    item = _made(schema, "BatchDoneItem", members)
    at_most = ma.validate.Length(max=MOST_ITEMS)
    items = ma.fields.List(ma.fields.Nested(item), validate=at_most)
    return _made(schema, "BatchDone", {"items": items})


def _made(schema: type[Schema], suffix: str, members: dict[str, Any]) -> Schema:
    name = schema.__name__.replace("Schema", f"{suffix}Schema")
    return Schema.from_dict(members, name=name)()  # type: ignore[return-value]


@dataclass(slots=True)
class _Step:
    """An item on its way."""

    at: str
    item: Item
    places: list[Place]
    instance: Resource | None = None  # to be created
    visible: Visible | None = None  # where the row to be changed or deleted is looked for
    values: dict[str, Any] = field(default_factory=dict)
    before: Row[Any] | None = None
    row: Row[Any] | None = None


def run(batch: Batch, schema: Schema) -> list[dict[str, Any]]:
    """Do everything that the items ask for, in the transaction of the request; what became of each.

    Raises:
        Problem: 422 `batch-failed` where anything could not be done; nothing of it was. Each item
            that failed is named, with the status and the type that it would have had by itself.
    """
    steps = [_Step(f"#/items/{n}", i, list(i.places)) for n, i in enumerate(batch.items)]
    _refuse_repeated(steps)
    for step in _sound(steps):
        try:
            _ask_view(step, batch)
        except Problem as problem:
            step.places = _places(problem, step.at)
    _lock(_sound(steps), schema)
    sound = list(_sound(steps))
    refused: IntegrityError | DataError | None = None
    if len(sound) == len(steps):
        refused = _try(steps, schema)
        if refused is None:
            return [_result(step, schema) for step in steps]
    for step in sorted(sound, key=_turn):
        if refusal := _try([step], schema):
            step.places = _places(database.refusal(refusal), step.at)
    if refused is not None and len(list(_sound(steps))) == len(steps):
        raise refused
    raise Problem("batch-failed", errors=_named(steps))


def _sound(steps: Sequence[_Step]) -> Iterator[_Step]:
    """Those that nothing is known to be wrong with."""
    return (step for step in steps if not step.places)


def _refuse_repeated(steps: Sequence[_Step]) -> None:
    """Of two changes of one item the second could not know the version that the first makes."""
    seen: set[UUID] = set()
    for step in steps:
        if step.item.id in seen:
            step.places += _invalid({"id": ["Is named more than once."]}, step.at)
        elif step.item.id is not None:
            seen.add(step.item.id)


def _ask_view(step: _Step, batch: Batch) -> None:
    item = step.item
    if item.id is None:
        step.instance = batch.create(item.value)
    elif item.op == "change":
        step.visible, step.values = batch.change(item.value, item.id)
    else:
        step.visible = batch.delete(item.id)


def _lock(steps: Iterator[_Step], schema: Schema) -> None:
    """Find the rows to be changed or deleted, with one statement where all are looked for alike."""
    alike: dict[Visible, dict[UUID, _Step]] = {}
    for step in steps:
        if step.visible is not None and step.item.id is not None:
            alike.setdefault(step.visible, {})[step.item.id] = step
    for visible, by_id in alike.items():
        found = rows.lock_all(visible, by_id.keys(), schema)
        for item_id, step in by_id.items():
            step.before = found.get(item_id)
            versions = versions_in(step.item.if_match)
            if step.before is None:
                step.places = _places(Problem("not-found", "There is no such item."), step.at)
            elif versions is not None and step.before.version not in versions:
                detail = "The stored version is not the one that if_match names."
                step.places = _places(Problem("precondition-failed", detail), step.at)


def _try(steps: Sequence[_Step], schema: Schema) -> IntegrityError | DataError | None:
    """Write the steps, or none of them and return what the database has against them."""
    try:
        with db.session.connection().begin_nested(), together():
            _write(steps, schema)
    except (IntegrityError, DataError) as error:
        return error
    return None


def _write(steps: Sequence[_Step], schema: Schema) -> None:
    doomed = [step for step in steps if step.item.op == "delete"]
    if doomed:
        before = [step.before for step in doomed if step.before is not None]
        rows.remove_locked(_model(doomed[0]), before, schema)
    for step in steps:
        if step.item.op == "change" and step.before is not None:
            step.row = rows.change_locked(_model(step), step.before, step.values, schema)
    new = [(step, step.instance) for step in steps if step.instance is not None]
    if new:
        stored = rows.add_all([instance for _, instance in new], schema)
        for (step, _), row in zip(new, stored, strict=True):
            step.row = row


def _turn(step: _Step) -> int:
    return ("delete", "change", "create").index(step.item.op)


def _model(step: _Step) -> type[Any]:
    assert step.visible is not None  # noqa: S101 - of what is changed or deleted
    return model_of(step.visible)


def _result(step: _Step, schema: Schema) -> dict[str, Any]:
    status: dict[str, Any] = {"status": STATUS[step.item.op]}
    if step.row is None:
        return status | {"id": step.item.id}
    etag = etag_of_version(step.row.version)
    return status | {"id": step.row.id, "etag": etag, "value": schema.dump_row(step.row)}


def _invalid(messages: dict[Any, Any], at: str) -> list[Place]:
    of = Problem("validation-error")
    return [
        {**place, "status": of.kind.status, "type": of.type} for place in pointers(messages, at)
    ]


def _places(problem: Problem, at: str) -> list[Place]:
    """What a problem with one item says of its place in the batch."""
    errors: Sequence[Place] = problem.errors or [{"detail": str(problem.description)}]
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


def _named(steps: Sequence[_Step]) -> list[Place]:
    """The places of all steps, in order; where they are too many, each step still has one."""
    numbered = [(n, i, p) for i, step in enumerate(steps) for n, p in enumerate(step.places)]
    kept = sorted(numbered, key=lambda each: each[:2])[:MOST_PLACES]
    return [place for _, _, place in sorted(kept, key=lambda each: (each[1], each[0]))]
