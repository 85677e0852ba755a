"""The operations of all routes, so that a new resource is tested without a new test."""

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from flask import Flask
from sqlalchemy import Text
from sqlalchemy.orm import InstrumentedAttribute
from werkzeug.test import TestResponse

from app import create_app
from app.config import Settings
from app.core.openapi.components import example_of
from app.core.openapi.document import openapi_document
from app.core.resources.batch_schema import BatchItemsField
from app.core.resources.child_rows import Rows
from app.core.resources.filters import Sort
from app.core.resources.references import Reference
from app.core.schemas.base import nested_schema
from app.core.security.authorization import Access
from tests import rows
from tests.api import Caller, unique_value
from tests.contract.document import CheckedApi
from tests.features import WITH_EXAMPLES


@dataclass(frozen=True, eq=False)
class Operation:
    """One method of one route."""

    method: str
    rule: str  # /api/v1/tasks/<uuid:task_id>
    endpoint: str
    access: Access
    kind: str  # of the response decorator
    queries: int  # SQL statements of the view, as it declares them
    body: dict[str, Any] | None  # an example of a valid one
    file: tuple[str, str] | None  # the same, where it is a file: its media type and content
    parameters: dict[str, Any]  # the schema of each query parameter
    references: dict[tuple[Any, ...], str]  # of the body: the collection of what is referred to
    has_children: bool  # whether a write is also one of child rows
    headers: frozenset[str]  # the names of the request header fields
    media_types: tuple[str, ...]  # of the successful response

    def __str__(self) -> str:
        return f"{self.method} {self.rule}"

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
                has_children=rule.endpoint in _with_children(app),
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


def _with_children(app: Flask) -> set[str]:
    """The endpoints that write rows with children."""
    fields = {
        endpoint: (view.operation.body or view.operation.schema)
        for endpoint, view in app.view_functions.items()
        if hasattr(view, "operation")
    }
    return {
        endpoint
        for endpoint, schema in fields.items()
        if schema and any(isinstance(field, Rows) for field in schema.fields.values())
    }


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
            return media_type.replace("*", "png"), content["example"]
    return None


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


class World:
    """An application with callers of every role and items of every resource."""

    def __init__(self, app: Flask) -> None:
        self.api = CheckedApi(app)
        self.api.fill = self.fill
        self._parents: dict[str, str] = {}
        self._referred: dict[tuple[str, Any], str] = {}
        self.anonymous = None
        self.owner, self.other, self.editor, self.admin = self.api.sign_up_all(
            "user", "user", "editor", "admin"
        )
        self.api.sign_in(self.owner)  # on another device
        self.callers = {
            "anonymous": self.anonymous,
            "owner": self.owner,
            "other": self.other,
            "editor": self.editor,
            "admin": self.admin,
        }

    def body(self, operation: Operation, by: Caller | None = None) -> dict[str, Any] | None:
        """A valid body for the operation that conflicts with nothing."""
        body = operation.body and {k: unique_value(v) for k, v in deepcopy(operation.body).items()}
        for names, collection in operation.references.items():
            _set(body, names, self._referred_id(collection, by))
        return body

    def _referred_id(self, collection: str, by: Caller | None) -> str:
        """The id of an item of another collection that the caller can see."""
        create = next(c for c in CREATES if c.rule == collection)
        if by is None or not create.is_private:
            by = self.writer(create)
        if (collection, by.id) not in self._referred:
            created = self.api.post(collection, self.body(create, by), by=by, status=201)
            self._referred[collection, by.id] = created.json["id"]
        return self._referred[collection, by.id]

    def fill(self, rule: str) -> str:
        """The path with an item for each parent that the rule names, always the same."""
        while "<uuid:" in rule:
            item, rest = rule[: rule.index(">") + 1], rule[rule.index(">") + 1 :]
            parent = next(o for o in ITEMS if o.rule == item)
            if item not in self._parents:
                self._parents[item] = self.item(parent).rpartition("/")[2]
            rule = f"{item.rpartition('/')[0]}/{self._parents[item]}{rest}"
        return rule

    def content(self, operation: Operation, by: Caller | None = None) -> dict[str, Any]:
        """A valid body, JSON or a file, as arguments of a call."""
        if operation.file:
            return {"data": operation.file[1].encode(), "content_type": operation.file[0]}
        return {"json": self.body(operation, by)}

    def writer(self, operation: Operation) -> Caller:
        """The caller with the fewest permissions that the operation admits."""
        from app.users.roles import ROLES

        needed = operation.access.permission
        for caller in (self.owner, self.editor):
            if needed is None or needed in ROLES[caller.role]:
                return caller
        return self.admin

    def item(self, operation: Operation) -> str:
        """The path of an item for an operation on items: the owner's, or a new one."""
        create = next((c for c in CREATES if c.rule == operation.collection), None)
        if create is None:  # an event or a job, which another request creates
            self.api.post("tasks", {"title": "Something happens"}, by=self.owner, status=201)
            self.api.post("auth/email/resend", by=self.owner, status=202)  # by a job
            page = self.api.get(operation.collection, by=self.writer(operation), status=200)
            if not page.json["items"]:
                return f"{operation.collection}/{self._insert(operation)}"
            return f"{operation.collection}/{page.json['items'][0]['id']}"
        if create.access.anonymous:  # the item is the account of the caller
            return f"{create.rule}/{self.owner.id}"
        by = self.writer(create)
        response = self.call(create, by, create.rule)
        assert response.status_code == 201, response.text
        return str(response.headers["Location"])

    def _insert(self, operation: Operation) -> UUID:
        """The id of a new row of the owner, where no request of this service creates one."""
        model = dict(_lists(self.api.app))[operation.collection]
        required = [c for c in model.__table__.c if isinstance(c.type, Text) and not c.nullable]
        values = {column.name: str(uuid4()) for column in required}
        return rows.add(self.api.app, model, owner_id=self.owner.id, **values)

    def path(self, operation: Operation) -> str:
        """The path to call, of or below an existing item where the operation needs one."""
        below = operation.rule.rpartition("/")[0]  # of a batch or an export
        if any(item.collection in (operation.rule, below) for item in ITEMS if not operation.by_id):
            return self.fill(operation.rule)
        for item in sorted(ITEMS, key=lambda item: -len(item.rule)):
            if operation.rule == item.rule or operation.rule.startswith(f"{item.rule}/"):
                return self.item(item) + operation.rule.removeprefix(item.rule)
        return operation.rule

    def call(
        self,
        operation: Operation,
        by: Caller | None,
        path: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a valid request for the operation, with further headers."""
        conditional = "If-Match" in operation.headers
        headers = {**({"If-Match": "*"} if conditional else {}), **(headers or {})}
        path, sent = path or self.path(operation), self.content(operation, by)
        return self.api.call(operation.method, path, by=by, headers=headers, **sent)


def _set(body: Any, names: tuple[str, ...], value: str) -> None:
    """Set a member of the example, in each object of a list."""
    for each in body if isinstance(body, list) else [body]:
        if len(names) == 1:
            each[names[0]] = value
        elif each.get(names[0]):
            _set(each[names[0]], names[1:], value)


def links(response: TestResponse) -> dict[str, str]:
    return {
        rel: "{0.path}?{0.query}".format(urlsplit(url))
        for url, rel in re.findall(r'<([^>]*)>; rel="(\w+)"', response.headers.get("Link", ""))
    }


def walk(world: World, operation: Operation, path: str, rel: str = "next") -> list[dict[str, Any]]:
    """Every page from this path on, following the links."""
    by, pages = world.writer(operation), []
    while path:
        response = world.api.get(path, by=by, status=200)
        pages.append(response.json)
        path = links(response).get(rel)
    return pages


# Three and four bytes of UTF-8, and a control character, which JSON writes as six characters.
LONG = ["\N{CJK UNIFIED IDEOGRAPH-6F22}", "\N{GRINNING FACE}", "\x01"]


def longest(schema: dict[str, Any], character: str) -> str | None:
    """The longest value of a parameter that takes any character; None where others are allowed."""
    if "enum" in schema or schema.get("type") != "string" or "format" in schema:
        return None
    pattern = schema.get("pattern", "")
    value = character * schema["maxLength"]
    return value if re.search(pattern, value) else None
