"""The operations of all routes, so that a new resource is tested without a new test."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import Flask
from sqlalchemy.orm import InstrumentedAttribute

from app import create_app
from app.config import Settings
from app.core.openapi.components import example_of
from app.core.openapi.document import openapi_document
from app.core.resources.batch_schema import BatchItemsField
from app.core.resources.child_rows import Rows
from app.core.resources.filters import Sort
from app.core.resources.model_checks import member_names
from app.core.resources.references import Reference
from app.core.resources.statements import reads_other_tables
from app.core.schemas.base import nested_schema
from app.core.security.authorization import Access
from app.extensions import Base
from tests.features import WITH_EXAMPLES


@dataclass(frozen=True, eq=False)
class Operation:
    """One method of one route."""

    method: str
    rule: str  # /api/v1/errands/<uuid:errand_id>
    endpoint: str
    access: Access
    kind: str  # of the response decorator
    queries: int  # SQL statements of the view, as it declares them
    body: dict[str, Any] | None  # an example of a valid one
    file: tuple[str, str] | None  # the same, where it is a file: its media type and content
    parameters: dict[str, Any]  # the schema of each query parameter
    references: dict[tuple[Any, ...], str]  # of the body: the collection of what is referred to
    children: int  # the kinds of child rows that the body has
    row_children: int  # the kinds of child rows that the response has
    has_computed: bool  # whether the response has members that are no columns
    headers: frozenset[str]  # the names of the request header fields
    media_types: tuple[str, ...]  # of the successful response

    def __str__(self) -> str:
        return f"{self.method} {self.rule}"

    @property
    def private_cache_control(self) -> str:
        """`Cache-Control` for a caller; routes for sessions only are about accounts."""
        return f"private, {'no-store' if self.access.name == 'authenticated' else 'no-cache'}"

    @cached_property
    def by_id(self) -> bool:
        """Whether the path names one item."""
        return self.rule.endswith(">")

    @cached_property
    def of_item(self) -> bool:
        """Whether the path names one item or something below it."""
        return "<" in self.rule

    @cached_property
    def collection(self) -> str:
        """The path of the collection that the item belongs to."""
        return self.rule.rpartition("/")[0] if self.by_id else self.rule

    @cached_property
    def is_private(self) -> bool:
        """Whether each row has an owner; a permission for own rows ends in `:own`."""
        permission = self.access.permission
        return not self.access.anonymous and (permission is None or permission.endswith(":own"))


def _read_operations() -> Iterator[Operation]:
    app = create_app(
        Settings(app_env="testing", secret_key="only reads the routes, starts nothing"),
        features=WITH_EXAMPLES,
    )
    document = openapi_document(app)
    for rule in app.url_map.iter_rules():
        path = _openapi_path(rule.rule)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            described = document["paths"].get(path, {}).get(method.lower())
            if described is None:
                continue
            declared = app.view_functions[rule.endpoint].operation  # type: ignore[attr-defined]
            yield Operation(
                method=method,
                rule=rule.rule,
                endpoint=rule.endpoint,
                access=app.view_functions[rule.endpoint].access,
                kind=declared.response_kind,
                queries=declared.queries,
                body=_example(document, described.get("requestBody")),
                file=_file(described.get("requestBody")),
                parameters={
                    parameter["name"]: parameter["schema"]
                    for parameter in described.get("parameters", ())
                    if parameter.get("in") == "query"
                },
                references=dict(_references(app, rule.endpoint)),
                children=_kinds_of_children(declared.body),
                row_children=_kinds_of_children(declared.schema),
                has_computed=_has_computed(declared.schema),
                headers=frozenset(_headers(described.get("parameters", ()))),
                media_types=_media_types(described["responses"]),
            )


def _references(app: Flask, endpoint: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The references in the body of a view, and the collection that has the referred item."""
    body = app.view_functions[endpoint].operation.body  # type: ignore[attr-defined]
    for names, model in _referred_models(body) if body else ():
        yield names, next(rule for rule, listed in _lists(app) if listed is model)


def _lists(app: Flask) -> Iterator[tuple[str, Any]]:
    """The lists of the service, and the model of each."""
    for rule in app.url_map.iter_rules():
        operation = getattr(app.view_functions[rule.endpoint], "operation", None)
        sort = operation.query.fields.get("sort") if operation and operation.query else None
        for key in sort.keys.values() if isinstance(sort, Sort) else ():
            if isinstance(key, InstrumentedAttribute):
                yield rule.rule, key.class_


def _kinds_of_children(schema: Any) -> int:
    return sum(isinstance(field, Rows) for field in schema.fields.values()) if schema else 0


def _has_computed(schema: Any) -> bool:
    """Whether a model that has all members of the schema computes one of them."""
    names = schema.column_names if schema else ()
    models = (mapper.class_ for mapper in Base.registry.mappers)
    fitting = (model for model in models if member_names(model).issuperset(names))
    return any(reads_other_tables(model, schema) for model in fitting if names)


def _referred_models(schema: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in schema.load_fields.items():
        if isinstance(field, Reference):
            yield (name,), field.model
        elif inner := _variant(field) or nested_schema(field):
            for names, model in _referred_models(inner):
                yield (name, *names), model


def _variant(field: Any) -> Any:
    """The schema of an item of a batch that creates a row."""
    return field.variants["create"] if isinstance(field, BatchItemsField) else None


def _headers(parameters: Iterable[dict[str, Any]]) -> Iterator[str]:
    for parameter in parameters:
        section, _, name = parameter.get("$ref", "").rpartition("/")
        if section == "#/components/parameters":
            yield name


def _media_types(responses: dict[str, Any]) -> tuple[str, ...]:
    success = min(status for status in responses if status.startswith("2"))
    return tuple(responses[success].get("content", ()))


def _openapi_path(rule: str) -> str:
    return rule.replace("<uuid:", "{").replace(">", "}")


def _example(document: dict[str, Any], body: dict[str, Any] | None) -> dict[str, Any] | None:
    """A valid body, made of the examples in the document."""
    if body is None or _file(body):
        return None
    (media_type,) = body["content"].values()
    name = media_type["schema"]["$ref"].rpartition("/")[2]
    schemas = document["components"]["schemas"]
    members = schemas[name]["properties"]
    if any("oneOf" in member.get("items", ()) for member in members.values()):
        return media_type["example"]
    return {
        name: member["enum"][0] if "enum" in member else example_of(member, schemas)
        for name, member in members.items()
        if member.get("type") != "boolean" or "example" in member
    }


def _file(body: dict[str, Any] | None) -> tuple[str, str] | None:
    """A file to send, as the document has it."""
    for media_type, content in (body or {"content": {}})["content"].items():
        if "json" not in media_type or "ndjson" in media_type:
            return media_type.replace("*", "gif"), content["example"]
    return None


def content_of(file: tuple[str, str]) -> bytes:
    """The bytes of an example; of an image, each character is a byte of its signature."""
    media_type, text = file
    return text.encode("latin-1" if media_type.startswith("image/") else "utf-8")


OPERATIONS = list(_read_operations())

ITEMS = [o for o in OPERATIONS if o.by_id]

CREATES = [
    o for o in OPERATIONS if o.method == "POST" and any(i.collection == o.rule for i in ITEMS)
]

COLLECTIONS = [o for o in OPERATIONS if o.method == "GET" and o.rule in {c.rule for c in CREATES}]

EXPORTS = [o for o in OPERATIONS if "text/csv" in o.media_types]

ACTIONS = [o for o in OPERATIONS if o.method == "POST" and "If-Match" in o.headers]

DOWNLOADS = [o for o in OPERATIONS if "Range" in o.headers]

BATCHES = [o for o in OPERATIONS if o.method == "POST" and o.rule.endswith("/batch")]


def status_for_others(operation: Operation) -> int | None:
    """The status where the item, or that above, is another user's; None where that is no matter."""
    above = [i for i in ITEMS if f"{operation.rule}/".startswith(f"{i.rule}/")]
    if not operation.is_private or not above:
        return None
    reads = [i for i in above if i.method == "GET"] or above
    if max(reads, key=lambda item: len(item.rule)).is_private:
        return 404
    return 403 if operation.by_id or operation in ACTIONS else None


def ids(operation: Operation) -> str:
    """The name of an operation in the id of a test."""
    return str(operation)
