"""The vocabulary of a routes file: each decorator announces one thing, `route` puts it together.

    @tasks.patch("/<uuid:task_id>", access=permission("tasks:own"))
    @tasks.body(TaskSchema, partial=True)
    @tasks.updates(TaskSchema)
    def update_task(data, task_id):
        "Change a task."
        return Task.visible_to(current_caller), data

The order of a request is fixed here: access, Accept, body, If-Match, Idempotency-Key, the view, its
answer. Query parameters are read with the answer of a page; a route without any refuses them first.
What the decorators say is documented through flask-smorest; at run time its own passes over
arguments and responses are not used, because they cost more than the work itself.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import flask_smorest
import marshmallow as ma
from flask import current_app, request

from app.core.resources import batch, batch_schema, export, repository
from app.core.resources.audit_values import register_schema
from app.core.resources.dispatch import (
    Responder,
    View,
    accepted_media_type,
    build_endpoint,
    get_operation,
)
from app.core.resources.filters import (
    MAX_PAGE_SIZE,
    PAGINATION_PARAMS,
    CursorField,
    PageQuery,
    listed_model,
)
from app.core.resources.pagination import fetch_page
from app.core.schemas.base import Schema
from app.core.schemas.fields import Integer
from app.core.schemas.serialisable import check_serialisable
from app.core.security.authorization import (
    Access,
    current_caller_or_anonymous,
)
from app.core.web import strict_json
from app.core.web.etags import (
    etag_of_version,
    if_match_versions,
    make_conditional,
    matches_if_none_match,
)
from app.core.web.flask_app import Response
from app.core.web.rate_limit import resolve_rate_limit
from app.extensions import limiter


class Blueprint(flask_smorest.Blueprint):
    """A resource's routes. Every route declares its access, or it cannot be written."""

    def get(
        self, rule: str, *, access: Access, rate_limit: str | None = None
    ) -> Callable[[View], View]:
        """Register a view for GET and HEAD; `rate_limit` names the setting of its own limit."""
        return self._method("GET", rule, access, rate_limit)

    def post(
        self, rule: str, *, access: Access, rate_limit: str | None = None
    ) -> Callable[[View], View]:
        """Register a view for POST; `rate_limit` names the setting of a rate limit of its own."""
        return self._method("POST", rule, access, rate_limit)

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
            _declare_body(view, schema(partial=partial, exclude=read_only))
            return view

        return decorate

    @staticmethod
    def accepts_file(media_types: Mapping[str, str], query: type[Schema]) -> Callable[[View], View]:
        """The view's arguments are a file (`app.core.files.uploads`) and the query parameters.

        Args:
            media_types: an example of a file by the media type that it has.
        """
        parameters = query()

        def decorate(view: View) -> View:
            get_operation(view).uploads = media_types
            _declare_query(view, parameters)
            return view

        return decorate

    @staticmethod
    def returns(schema: type[Schema]) -> Callable[[View], View]:
        """200 with one row: the view returns the visible select, the path's id picks the row."""
        shape = check_serialisable(schema())

        def answer(visible: repository.ScopedSelect, item_id: UUID | None) -> Response:
            row = repository.get(visible, item_id, shape)
            response = _json(200, shape.row_to_dict(row))
            _set_cache_headers(response)
            return make_conditional(response, etag_of_version(row.version))

        return _responds("returns", 200, answer, shape)

    @staticmethod
    def paginated(
        schema: type[Schema], query: type[PageQuery], *, parent: type[Schema] | None = None
    ) -> Callable[[View], View]:
        """200 with a page: the view returns the visible select, `query` filters and sorts it.

        Of what belongs to one item, the view returns the visible select of those items as well,
        and `parent` is their schema: an item that the caller may not see is a 404.
        """
        shape, parameters = check_serialisable(schema()), query()
        whole = parent() if parent else None

        def answer(found: Any, item_id: UUID | None) -> Response:
            page = fetch_page(found[0] if whole else found, shape, parameters, item_id)
            if whole and not page.rows:
                repository.get(found[1], item_id, whole)
            response = _json(200, None if matches_if_none_match(page.etag) else page.body())
            if page.link:
                response.headers["Link"] = page.link
            _set_cache_headers(response)
            return make_conditional(response, page.etag)

        def decorate(view: View) -> View:
            if model := listed_model(parameters, shape):
                register_schema(model.__tablename__, shape)
            _declare_query(view, parameters)
            return _responds("paginated", 200, answer, _page_schema(schema))(view)

        return decorate

    @staticmethod
    def exports(
        schema: type[Schema], query: type[PageQuery], *, exclude: tuple[str, ...] = ()
    ) -> Callable[[View], View]:
        """200 with all rows of a list as a stream: the view returns the visible select.

        `query` is that of the list, `exclude` names the members that are left out.
        """
        shape = check_serialisable(schema(exclude=exclude))
        parameters = query(exclude=PAGINATION_PARAMS)

        def answer(visible: repository.ScopedSelect, _: UUID | None) -> Response:
            media_type = accepted_media_type(export.MEDIA_TYPES)
            return export.stream_response(visible, shape, parameters, media_type)

        def decorate(view: View) -> View:
            operation = get_operation(view)
            operation.exported, operation.media_types = shape, export.MEDIA_TYPES
            _declare_query(view, parameters)
            return _responds("exports", 200, answer)(view)

        return decorate

    @staticmethod
    def batch(schema: type[Schema]) -> Callable[[View], View]:
        """200 with what became of each item: the view returns a `Batch` of those in its argument.

        `app.core.resources.batch` does all that they ask for in one transaction, or none of it.
        """
        shape, body = check_serialisable(schema()), batch_schema.batch_request_schema(schema)

        def answer(asked: batch.Batch, _: UUID | None) -> Response:
            return _json(200, {"items": batch.execute_batch(asked, shape)})

        def decorate(view: View) -> View:
            _declare_body(view, body)
            return _responds("batch", 200, answer, batch_schema.batch_response_schema(schema))(view)

        return decorate

    @staticmethod
    def creates(
        schema: type[Schema], *, location_prefix: str | None = None
    ) -> Callable[[View], View]:
        """201 with Location and ETag: the view returns a new model instance, which is stored.

        With `location_prefix`, the prefix of the resource that the new item belongs to, it is a
        202: the work is yet to be done.
        """
        shape = check_serialisable(schema())
        status = 202 if location_prefix else 201

        def answer(instance: Any, _: UUID | None) -> Response:
            row = repository.create(instance, shape)
            shown_once = {name: getattr(instance, name) for name in shape.show_once}
            response = _json(status, shape.row_to_dict(row) | shown_once)
            response.headers["Location"] = f"{location_prefix or quote(request.path)}/{row.id}"
            response.headers["ETag"] = etag_of_version(row.version)
            return response

        return _responds("creates", status, answer, shape)

    @staticmethod
    def updates(schema: type[Schema]) -> Callable[[View], View]:
        """200 with the changed row, under If-Match: the view returns visible select and values."""
        shape = check_serialisable(schema())

        def answer(
            change: tuple[repository.ScopedSelect, dict[str, Any]], item_id: UUID | None
        ) -> Response:
            visible, values = change
            row = repository.update(visible, item_id, values, if_match_versions(), shape)
            response = _json(200, shape.row_to_dict(row))
            response.headers["ETag"] = etag_of_version(row.version)
            return response

        return _responds("updates", 200, answer, shape)

    @staticmethod
    def deletes(schema: type[Schema]) -> Callable[[View], View]:
        """204, under If-Match: the view returns the visible select, the path's id picks the row."""
        shape = check_serialisable(schema())

        def answer(visible: repository.ScopedSelect, item_id: UUID | None) -> Response:
            repository.delete(visible, item_id, if_match_versions(), shape)
            return _empty()

        return _responds("deletes", 204, answer)

    @staticmethod
    def response(status: int, schema: type[Schema] | None = None) -> Callable[[View], View]:
        """Anything else: the view returns what the schema dumps, or nothing. Never cached."""
        shape = schema() if schema else None

        def answer(result: Any, _: UUID | None) -> Response:
            response = _json(status, shape.dump(result)) if shape else _empty(status)
            response.headers["Cache-Control"] = "no-store"
            return response

        return _responds("response", status, answer, shape)

    @staticmethod
    def error(status: int, reason: str) -> Callable[[View], View]:
        """Document an error that the kit does not know of, and when a caller meets it."""

        def decorate(view: View) -> View:
            get_operation(view).error_docs[status] = reason
            return view

        return decorate

    def _method(
        self, method: str, rule: str, access: Access, rate_limit: str | None = None
    ) -> Callable[[View], View]:
        def register(view: View) -> View:
            endpoint = build_endpoint(view, access, writes=method != "GET")
            if rate_limit is not None:
                name = f"{view.__module__}.{view.__qualname__}"
                self.record(lambda setup: resolve_rate_limit(rate_limit, setup.app, name))
                # Resolved per application: the same blueprint serves several in tests.
                endpoint = limiter.limit(lambda: resolve_rate_limit(rate_limit, current_app, name))(
                    endpoint
                )
                endpoint.access = access  # type: ignore[attr-defined]
            self.add_url_rule(rule, None, endpoint, methods=[method])
            return view

        return register


def _declare_body(view: View, body: Schema) -> None:
    get_operation(view).body = body
    get_operation(view).parameters.append({"in": "json", "required": True, "schema": body})


def _declare_query(view: View, query: Schema) -> None:
    get_operation(view).query = query
    get_operation(view).parameters.append({"in": "query", "schema": query})


def _responds(
    kind: str, status: int, answer: Responder, shape: Schema | None = None
) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        operation = get_operation(view)
        operation.response_kind, operation.responder = kind, answer
        response = {"description": HTTPStatus(status).phrase, "content_type": None}
        operation.responses[status] = [response | ({"schema": shape} if shape else {})]
        return view

    return decorate


def _page_schema(schema: type[Schema]) -> Schema:
    """The envelope of a page, for the document."""
    on_request = {"description": "Only where `count` asks for it.", "x-optional": True}
    at_most = ma.validate.Length(max=MAX_PAGE_SIZE)
    members: dict[str, Any] = {
        "items": ma.fields.List(ma.fields.Nested(schema), validate=at_most),
        "next_cursor": CursorField(allow_none=True),
        "count": Integer(min=0, max=2**53, metadata=on_request),
    }
    return Schema.from_dict(members, name=schema.__name__.replace("Schema", "PageSchema"))()  # type: ignore[return-value]


def _json(status: int, value: Any) -> Response:
    response = Response(strict_json.dumps(value), status, mimetype="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _empty(status: int = 204) -> Response:
    response = Response(status=status)
    del response.headers["Content-Type"]
    response.headers["Cache-Control"] = "no-store"
    return response


def _set_cache_headers(response: Response) -> None:
    """What nobody in particular reads, any cache may keep (RFC 9111 section 5.2, RFC 5861)."""
    if current_caller_or_anonymous().id is None:
        age = current_app.config["PUBLIC_MAX_AGE"]
        response.headers["Cache-Control"] = f"public, max-age={age}, stale-while-revalidate={age}"
    response.headers["Vary"] = "Authorization"
