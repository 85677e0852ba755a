"""The application with callers of every role, and the requests of the generated tests."""

import re
from copy import deepcopy
from functools import cached_property
from itertools import permutations
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from flask import Flask
from sqlalchemy import Text
from werkzeug.test import TestResponse

from tests import rows
from tests.api import Caller, unique_value
from tests.contract.document import CheckedApi
from tests.contract.operations import CREATES, ITEMS, OPERATIONS, Operation, _lists, content_of


class World:
    """An application with callers of every role and items of every resource."""

    def __init__(self, app: Flask) -> None:
        self.api = CheckedApi(app)
        self.api.fill = self.fill
        self._parents: dict[str, str] = {}
        self._referred: dict[tuple[str, Any], str] = {}

    @cached_property
    def owner(self) -> Caller:
        """A user with two devices."""
        caller = self.api.sign_up("user")
        self.api.sign_in(caller)
        return caller

    @cached_property
    def other(self) -> Caller:
        """Another user."""
        return self.api.sign_up("user")

    @cached_property
    def editor(self) -> Caller:
        return self.api.sign_up("editor")

    @cached_property
    def admin(self) -> Caller:
        return self.api.sign_up("admin")

    def caller(self, who: str) -> Caller | None:
        """The caller of this name, or none for "anonymous"."""
        return None if who == "anonymous" else getattr(self, who)

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
            parent = next(o for o in ITEMS if _matches(o.rule, item))
            if item not in self._parents:
                self._parents[item] = self.item(parent).rpartition("/")[2]
            rule = f"{item.rpartition('/')[0]}/{self._parents[item]}{rest}"
        return rule

    def content(self, operation: Operation, by: Caller | None = None) -> dict[str, Any]:
        """A valid body, JSON or a file, as arguments of a call."""
        if operation.file:
            return {"data": content_of(operation.file), "content_type": operation.file[0]}
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
            self.api.post("errands", {"title": "Something happens"}, by=self.owner, status=201)
            self.api.post("auth/email/resend", by=self.owner, status=202)  # by a job
            page = self.api.get(operation.collection, by=self.writer(operation), status=200)
            if not page.json["items"]:
                return f"{operation.collection}/{self._insert(operation)}"
            return f"{operation.collection}/{page.json['items'][0]['id']}"
        if create.access.anonymous:  # the item is the account of the caller
            return f"{create.rule}/{self.owner.id}"
        by = self.writer(create)
        response = self.call(create, by, create.rule)
        if response.status_code == 409:  # a parent has one such row: below another one
            self._parents.clear()
            response = self.call(create, by, create.rule)
        assert response.status_code == 201, response.text
        return str(response.headers["Location"])

    def _insert(self, operation: Operation) -> UUID:
        """The id of a new row of the owner, where no request of this service creates one."""
        model = dict(_lists(self.api.app))[operation.collection]
        required = [c for c in model.__table__.c if isinstance(c.type, Text) and not c.nullable]
        values: dict[str, Any] = {column.name: str(uuid4()) for column in required}
        rule = operation.collection
        ids = {"owner_id": self.owner.id}
        ids |= {name: _id_in(rule, self.fill(rule), name) for name in _NAME.findall(rule)}
        values |= {name: value for name, value in ids.items() if name in model.__table__.c}
        return rows.add(self.api.app, model, **values)

    def path(self, operation: Operation) -> str:
        """The path to call, of or below an existing item where the operation needs one."""
        below = operation.rule.rpartition("/")[0]  # of a batch or an export
        if any(item.collection in (operation.rule, below) for item in ITEMS if not operation.by_id):
            return self.fill(operation.rule)
        for item in sorted(ITEMS, key=lambda item: -len(item.rule)):
            if operation.rule == item.rule or operation.rule.startswith(f"{item.rule}/"):
                return self._prepared(operation, item)
        return operation.rule

    def _prepared(self, operation: Operation, item: Operation) -> str:
        """The path below a new item, in a state that an action does not refuse."""
        below = operation.rule.removeprefix(item.rule)
        if operation.kind != "action":
            return self.item(item) + below
        if operation not in _ACTIONS_BEFORE:
            others = [
                o
                for o in OPERATIONS
                if o.kind == "action" and o is not operation and o.rule.startswith(f"{item.rule}/")
            ]
            orders = (p for n in range(len(others) + 1) for p in permutations(others, n))
            _ACTIONS_BEFORE[operation] = next(
                (o for o in orders if self._acts(item, (*o, operation))), ()
            )
        new = self.item(item)
        for before in _ACTIONS_BEFORE[operation]:
            path = new + before.rule.removeprefix(item.rule)
            assert self.call(before, self.writer(before), path).status_code == 200
        return new + below

    def _acts(self, item: Operation, actions: tuple[Operation, ...]) -> bool:
        """Whether a new item takes these actions, one after the other."""
        new = self.item(item)
        return all(
            self.call(o, self.writer(o), new + o.rule.removeprefix(item.rule)).status_code == 200
            for o in actions
        )

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


# The other actions after which an item takes an action: `send` before `pay`.
_ACTIONS_BEFORE: dict[Operation, tuple[Operation, ...]] = {}
_NAME = re.compile(r"<uuid:(\w+)>")


def _id_in(rule: str, path: str, name: str) -> UUID:
    """The id of this name in a path of the rule."""
    return UUID(path.split("/")[rule.split("/").index(f"<uuid:{name}>")])


def _matches(rule: str, path: str) -> bool:
    """Whether a path, in which some parents may be filled in, is one of a rule."""
    return re.fullmatch(re.sub(r"<[^>]*>", "[^/]+", rule), path) is not None


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
