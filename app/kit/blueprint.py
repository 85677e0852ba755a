"""The vocabulary of a routes file: each decorator announces one thing, `route` puts it together.

    @tasks.patch("/<uuid:task_id>", access=can("tasks:own"))
    @tasks.body(TaskSchema, partial=True)
    @tasks.changes(TaskSchema)
    def change_task(data, task_id):
        "Change a task."
        return Task.visible_to(caller), data

The order of a request is fixed here: access, Accept, body, If-Match, Idempotency-Key, the view, its
answer. Query parameters are read with the answer of a page; a route without any refuses them first.
What the decorators say is documented through flask-smorest; at run time its own passes over
arguments and responses are not used, because they cost more than the work itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import flask_smorest
import marshmallow as ma

from app.extensions import db, limiter
from app.kit import afterwards, batch, current, export, idempotency, json, rows, uploads
from app.kit.access import Access, authorise, known_caller, require_alive
from app.kit.conditional import (
    etag_of_version,
    is_held,
    make_conditional,
    versions_to_change,
)
from app.kit.fields import Integer
from app.kit.pages import LARGEST_PAGE, OF_PAGES, Cursor, PageQuery, read_page
from app.kit.problems import Problem
from app.kit.schema import Schema, load_body, load_query
from app.kit.service import Response

View = Callable[..., Any]
Answer = Callable[[Any, UUID | None], Response]


@dataclass(slots=True)
class Operation:
    """What the decorators of one view have said so far."""

    body: Schema | None = None
    query: Schema | None = None
    uploads: Mapping[str, str] | None = None
    answer: Answer | None = None
    kind: str = "answers"  # the decorator that gave the answer
    media_types: tuple[str, ...] = ("application/json",)  # of the answer
    exported: Schema | None = None  # what each line of a stream is
    refusals: dict[int, str] = field(default_factory=dict)
    parameters: list[Any] = field(default_factory=list)
    responses: dict[int, Any] = field(default_factory=dict)


def operation_of(view: View) -> Operation:
    """The declarations of a view, begun at the first decorator."""
    operation: Operation = vars(view).setdefault("operation", Operation())
    return operation


class Blueprint(flask_smorest.Blueprint):
    """A resource's routes. Every route declares its access, or it cannot be written."""

    def get(self, rule: str, *, access: Access, limit: str | None = None) -> Callable[[View], View]:
        """Register a view for GET and HEAD; `limit` names the setting of a limit of its own."""
        return self._method("GET", rule, access, limit)

    def post(
        self, rule: str, *, access: Access, limit: str | None = None
    ) -> Callable[[View], View]:
        """Register a view for POST; `limit` names the setting of a rate limit of its own."""
        return self._method("POST", rule, access, limit)

    def put(self, rule: str, *, access: Access) -> Callable[[View], View]:
        """Register a view for PUT."""
        return self._method("PUT", rule, access)

    def patch(self, rule: str, *, access: Access) -> Callable[[View], View]:
        """Register a view for PATCH (RFC 5789) with a JSON merge patch (RFC 7396)."""
        return self._method("PATCH", rule, access)

    def delete(self, rule: str, *, access: Access) -> Callable[[View], View]:
        """Register a view for DELETE."""
        return self._method("DELETE", rule, access)

    @staticmethod
    def body(schema: type[Schema], *, partial: bool = False) -> Callable[[View], View]:
        """The view's first argument is the request body; with `partial`, any of its members."""

        def decorate(view: View) -> View:
            read_only = [name for name, f in schema().fields.items() if f.dump_only]
            _take_body(view, schema(partial=partial, exclude=read_only))
            return view

        return decorate

    @staticmethod
    def upload(media_types: Mapping[str, str], query: type[Schema]) -> Callable[[View], View]:
        """The view's arguments are a file (`app.kit.uploads`) and the query parameters.

        Args:
            media_types: an example of a file by the media type that it has.
        """
        parameters = query()

        def decorate(view: View) -> View:
            operation_of(view).uploads = media_types
            _take_query(view, parameters)
            return view

        return decorate

    @staticmethod
    def item(schema: type[Schema]) -> Callable[[View], View]:
        """200 with one row: the view returns the visible select, the path's id picks the row."""
        shape = schema()

        def answer(visible: rows.Visible, item_id: UUID | None) -> Response:
            row = rows.find(visible, item_id, shape)
            response = _json(200, shape.dump_row(row))
            _say_cacheable(response)
            return make_conditional(response, etag_of_version(row.version))

        return _answers("item", 200, answer, shape)

    @staticmethod
    def page(
        schema: type[Schema], query: type[PageQuery], *, within: type[Schema] | None = None
    ) -> Callable[[View], View]:
        """200 with a page: the view returns the visible select, `query` filters and sorts it.

        Of what belongs to one item, the view returns the visible select of those items as well,
        and `within` is their schema: an item that the caller may not see is a 404.
        """
        shape, parameters = schema(), query()
        whole = within() if within else None

        def answer(found: Any, item_id: UUID | None) -> Response:
            page = read_page(found[0] if whole else found, shape, parameters, item_id)
            if whole and not page.rows:
                rows.find(found[1], item_id, whole)
            response = _json(200, None if is_held(page.etag) else page.body())
            if page.link:
                response.headers["Link"] = page.link
            _say_cacheable(response)
            return make_conditional(response, page.etag)

        def decorate(view: View) -> View:
            _take_query(view, parameters)
            return _answers("page", 200, answer, _page_schema(schema))(view)

        return decorate

    @staticmethod
    def export(
        schema: type[Schema], query: type[PageQuery], *, without: tuple[str, ...] = ()
    ) -> Callable[[View], View]:
        """200 with all rows of a list as a stream: the view returns the visible select.

        `query` is that of the list, `without` names the members that are left out.
        """
        shape, parameters = schema(exclude=without), query(exclude=OF_PAGES)

        def answer(visible: rows.Visible, _: UUID | None) -> Response:
            media_type = _accepted(export.MEDIA_TYPES)
            return export.respond(visible, shape, parameters, media_type)

        def decorate(view: View) -> View:
            operation = operation_of(view)
            operation.exported, operation.media_types = shape, export.MEDIA_TYPES
            _take_query(view, parameters)
            return _answers("export", 200, answer)(view)

        return decorate

    @staticmethod
    def batch(schema: type[Schema]) -> Callable[[View], View]:
        """200 with what became of each item: the view returns a `Batch` of those in its argument.

        `app.kit.batch` does all that they ask for in one transaction, or none of it.
        """
        shape, body = schema(), batch.batch_schema(schema)

        def answer(asked: batch.Batch, _: UUID | None) -> Response:
            return _json(200, {"items": batch.run(asked, shape)})

        def decorate(view: View) -> View:
            _take_body(view, body)
            return _answers("batch", 200, answer, batch.done_schema(schema))(view)

        return decorate

    @staticmethod
    def creates(schema: type[Schema], *, at: str | None = None) -> Callable[[View], View]:
        """201 with Location and ETag: the view returns a new model instance, which is stored.

        With `at`, the prefix of another resource that the new item belongs to, it is a 202: what
        the caller asked for is yet to be done.
        """
        shape = schema()
        status = 202 if at else 201

        def answer(instance: Any, _: UUID | None) -> Response:
            row = rows.add(instance, shape)
            shown_once = {name: getattr(instance, name) for name in shape.transient}
            response = _json(status, shape.dump_row(row) | shown_once)
            response.headers["Location"] = f"{at or quote(current.request().path)}/{row.id}"
            response.headers["ETag"] = etag_of_version(row.version)
            return response

        return _answers("creates", status, answer, shape)

    @staticmethod
    def changes(schema: type[Schema]) -> Callable[[View], View]:
        """200 with the changed row, under If-Match: the view returns visible select and values."""
        shape = schema()

        def answer(change: tuple[rows.Visible, dict[str, Any]], item_id: UUID | None) -> Response:
            visible, values = change
            row = rows.change(visible, item_id, values, versions_to_change(), shape)
            response = _json(200, shape.dump_row(row))
            response.headers["ETag"] = etag_of_version(row.version)
            return response

        return _answers("changes", 200, answer, shape)

    @staticmethod
    def deletes(schema: type[Schema]) -> Callable[[View], View]:
        """204, under If-Match: the view returns the visible select, the path's id picks the row."""
        shape = schema()

        def answer(visible: rows.Visible, item_id: UUID | None) -> Response:
            rows.remove(visible, item_id, versions_to_change(), shape)
            return _empty()

        return _answers("deletes", 204, answer)

    @staticmethod
    def answers(status: int, schema: type[Schema] | None = None) -> Callable[[View], View]:
        """Anything else: the view returns what the schema dumps, or nothing. Never cached."""
        shape = schema() if schema else None

        def answer(result: Any, _: UUID | None) -> Response:
            response = _json(status, shape.dump(result)) if shape else _empty(status)
            response.headers["Cache-Control"] = "no-store"
            return response

        return _answers("answers", status, answer, shape)

    @staticmethod
    def refuses(status: int, reason: str) -> Callable[[View], View]:
        """Document an error that the kit does not know of, and when a caller meets it."""

        def decorate(view: View) -> View:
            operation_of(view).refusals[status] = reason
            return view

        return decorate

    def _method(
        self, method: str, rule: str, access: Access, limit: str | None = None
    ) -> Callable[[View], View]:
        def register(view: View) -> View:
            endpoint = _assemble(view, access, writes=method != "GET")
            if limit:
                # A setting, read per application: the same blueprint serves several in tests.
                endpoint = limiter.limit(lambda: current.app().config[limit])(endpoint)
                endpoint.access = access  # type: ignore[attr-defined]
            self.add_url_rule(rule, None, endpoint, methods=[method])
            return view

        return register


def _assemble(view: View, access: Access, *, writes: bool) -> View:
    """The function that Flask calls: everything the decorators said, in its order."""
    operation = operation_of(view)
    answer = operation.answer
    if answer is None:
        raise RuntimeError(f"{view.__name__} says nowhere what it answers")

    asks_itself = operation.kind in _ASKING_THEMSELVES and not operation.uploads

    @wraps(view)
    def endpoint(**path: Any) -> Response:
        authorise(access)
        if access.blind:
            return respond(path)
        if not asks_itself or "HTTP_IDEMPOTENCY_KEY" in current.request().environ:
            require_alive()
        try:
            return respond(path)
        except Problem:
            require_alive()  # of whoever has no session any more, nothing is found wrong
            raise

    def respond(path: dict[str, Any]) -> Response:
        _accepted(operation.media_types)
        if operation.query is None and current.request().query_string:
            load_query(_NO_PARAMETERS)
        arguments: list[Any] = []
        if operation.body:
            arguments = [load_body(operation.body)]
        elif operation.uploads:
            parameters = load_query(operation.query or _NO_PARAMETERS)
            arguments = [uploads.receive(operation.uploads), parameters]
        if operation.kind in ("changes", "deletes"):
            versions_to_change()  # 428 before the view asks the database
        item_id = next(reversed(path.values()), None)
        repeatable = operation.kind in ("creates", "batch")
        attempt = idempotency.begin(arguments[0]) if repeatable else None
        if attempt and attempt.replay:
            return attempt.replay
        response = answer(view(*arguments, **path), item_id)
        if attempt:
            attempt.keep(response)
        if writes:
            if db.session.registry.has():  # else it was a transaction by itself
                db.session.commit()
            afterwards.attach(response)
        return response

    endpoint.access = access  # type: ignore[attr-defined]
    endpoint._apidoc = {  # type: ignore[attr-defined]
        "arguments": {"parameters": operation.parameters},
        "response": {"responses": operation.responses},
    }
    return endpoint


_NO_PARAMETERS = Schema()
# Kinds whose statement, with the caller's session as a condition, is the first thing that counts.
_ASKING_THEMSELVES = ("item", "page", "creates", "changes", "deletes")


def _take_body(view: View, body: Schema) -> None:
    operation_of(view).body = body
    operation_of(view).parameters.append({"in": "json", "required": True, "schema": body})


def _take_query(view: View, query: Schema) -> None:
    operation_of(view).query = query
    operation_of(view).parameters.append({"in": "query", "schema": query})


def _answers(
    kind: str, status: int, answer: Answer, shape: Schema | None = None
) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        operation = operation_of(view)
        operation.kind, operation.answer = kind, answer
        response = {"description": HTTPStatus(status).phrase, "content_type": None}
        operation.responses[status] = [response | ({"schema": shape} if shape else {})]
        return view

    return decorate


def _page_schema(schema: type[Schema]) -> Schema:
    """The envelope of a page, for the document."""
    on_request = {"description": "Only where `count` asks for it.", "x-optional": True}
    at_most = ma.validate.Length(max=LARGEST_PAGE)
    members: dict[str, Any] = {
        "items": ma.fields.List(ma.fields.Nested(schema), validate=at_most),
        "next_cursor": Cursor(allow_none=True),
        "count": Integer(least=0, most=2**53, metadata=on_request),
    }
    return Schema.from_dict(members, name=schema.__name__.replace("Schema", "PageSchema"))()  # type: ignore[return-value]


def _json(status: int, value: Any) -> Response:
    response = Response(json.dumps(value), status, mimetype="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _empty(status: int = 204) -> Response:
    response = Response(status=status)
    del response.headers["Content-Type"]
    response.headers["Cache-Control"] = "no-store"
    return response


def _say_cacheable(response: Response) -> None:
    """What nobody in particular reads, any cache may keep (RFC 9111 section 5.2, RFC 5861)."""
    if known_caller().id is None:
        age = current.app().config["PUBLIC_MAX_AGE"]
        response.headers["Cache-Control"] = f"public, max-age={age}, stale-while-revalidate={age}"
    response.headers["Vary"] = "Authorization"


def _accepted(media_types: tuple[str, ...]) -> str:
    """The media type that the caller likes best; of several, the first.

    Raises:
        Problem: 406, it is none of them (RFC 9110 section 12.5.1).
    """
    request = current.request()
    accept = request.headers.get("Accept", "*/*")
    if accept in ("*/*", media_types[0]):
        return media_types[0]
    best = max(media_types, key=request.accept_mimetypes.quality)
    if not request.accept_mimetypes.quality(best):
        raise Problem("not-acceptable", f"The answer is given as {' or '.join(media_types)}.")
    return best
