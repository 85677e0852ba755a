"""The bodies of a batch: schemas for the document, and its items as they were sent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

import marshmallow as ma

from app.core.schemas import fields
from app.core.schemas.base import Schema, derived_schema
from app.core.schemas.fields import Enum, Integer, String
from app.core.schemas.loading import errors_as_json_pointers, load
from app.core.schemas.merge_patch import patch_schema
from app.core.web.etags import MAX_HEADER_LENGTH
from app.core.web.problems import ErrorDetail, Problem

MAX_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the body, or the errors of one that is not valid."""

    op: str = ""
    id: UUID | None = None
    if_match: str = ""
    value: dict[str, Any] = field(default_factory=dict)
    errors: Sequence[ErrorDetail] = ()


class BatchItemsField(ma.fields.Field[list[Item]]):
    """A list of items, each with the schema that its `op` names.

    An item that is not valid raises nothing: its errors are returned together with those of the
    items that fail later.
    """

    default_error_messages = {
        "invalid": "Not a valid list.",
        "length": f"Length must be between 1 and {MAX_ITEMS}.",
    }

    def __init__(self, variants: dict[str, Schema]) -> None:
        super().__init__(required=True)
        self.variants = variants  # by `op`

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document, which adds the variants."""
        return {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Item]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if not 1 <= len(value) <= MAX_ITEMS:
            raise self.make_error("length")
        return [_parse_item(item, f"#/items/{n}", self.variants) for n, item in enumerate(value)]


def _parse_item(data: Any, pointer: str, variants: dict[str, Schema]) -> Item:
    if not isinstance(data, dict):
        messages = {"_schema": [Schema.error_messages["type"]]}
        return Item(errors=validation_details(messages, pointer))
    op = data.get("op")
    schema = variants.get(op) if isinstance(op, str) else None
    if schema is None:
        messages = {"op": [f"Must be one of: {', '.join(variants)}."]}
        return Item(errors=validation_details(messages, pointer))
    errors: list[ErrorDetail] = []
    if "if_match" in schema.fields and "if_match" not in data:
        detail = "A change needs if_match with the ETag of the version it was made from, or *."
        errors = problem_details(Problem("precondition-required", detail), pointer)
        data = data | {"if_match": "*"}  # to find the other errors of the item
    try:
        return Item(errors=errors, **load(schema, data))
    except ma.ValidationError as error:
        return Item(errors=errors + validation_details(error.messages_dict, pointer))


@cache  # as `page_schema`
def batch_request_schema(schema: type[Schema]) -> Schema:
    """The body of a batch of such items."""
    read_only = [name for name, f in schema().fields.items() if f.dump_only]
    new, changed = schema(exclude=read_only), patch_schema(schema)
    documented = {
        "description": "The `ETag` of what the change was made from, or `*`.",
        "example": '"3"',
    }
    existing = {
        "id": fields.UUID(required=True),
        "if_match": String(max_length=MAX_HEADER_LENGTH, required=True, metadata=documented),
    }
    members_by_op: dict[str, dict[str, Any]] = {
        "create": {"value": ma.fields.Nested(new, required=True)},
        "update": existing | {"value": ma.fields.Nested(changed, required=True)},
        "delete": existing,
    }
    variants = {
        op: derived_schema(
            schema, f"Batch{op.title()}", {"op": Enum([op], required=True), **members}
        )
        for op, members in members_by_op.items()
    }
    return derived_schema(schema, "Batch", {"items": BatchItemsField(variants)})


@cache
def batch_response_schema(schema: type[Schema]) -> Schema:
    """The response of a batch that succeeded."""
    # Not nullable but absent: `x-optional` is removed when the document is written.
    absent = {"description": "Absent where the item was deleted.", "x-optional": True}
    members = {
        "status": Integer(min=200, max=204, metadata={"example": 201}),
        "id": fields.UUID(),
        "etag": String(max_length=200, metadata=absent | {"example": '"1"'}),
        "value": ma.fields.Nested(schema, metadata=absent),
    }
    item = derived_schema(schema, "BatchDoneItem", members)
    at_most = ma.validate.Length(max=MAX_ITEMS)
    items = ma.fields.List(ma.fields.Nested(item), validate=at_most)
    return derived_schema(schema, "BatchDone", {"items": items})


def validation_details(messages: dict[Any, Any], pointer: str) -> list[ErrorDetail]:
    """The errors of an item that is not valid; `messages` as marshmallow has them."""
    return _classified(Problem("validation-error"), errors_as_json_pointers(messages, pointer))


def problem_details(problem: Problem, pointer: str) -> list[ErrorDetail]:
    """The errors of an item that is a problem; its pointers become relative to the batch."""
    return _classified(problem, problem.errors_below(pointer, "/value"))


def _classified(problem: Problem, errors: Iterable[ErrorDetail]) -> list[ErrorDetail]:
    return [{**e, "status": problem.kind.status, "type": problem.type} for e in errors]
