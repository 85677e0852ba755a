"""The responders: for each kind of operation, the response from what its view returned."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app, request

from app.core.openapi.operation import Responder
from app.core.resources import batch, export, repository
from app.core.resources.download import file_response
from app.core.resources.filters import PageQuery
from app.core.resources.pagination import fetch_page
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas.base import Schema
from app.core.security.authorization import current_caller_or_anonymous
from app.core.web import strict_json
from app.core.web.etags import etag_of_item, make_conditional, precondition
from app.core.web.flask_app import Response
from app.core.web.negotiation import accepted_media_type
from app.core.web.urls import below_prefix


def item(schema: Schema) -> Responder:
    """200 with the row of a scoped query that the path's id selects, or 304."""

    def respond(scoped: ScopedSelect, item_id: UUID | None) -> Response:
        row = repository.get(scoped, item_id, schema)
        response = _json(200, schema.row_to_dict(row))
        _set_cache_headers(response)
        return make_conditional(response, etag_of_item(schema, row))

    return respond


def file(schema: Schema) -> Responder:
    """200 with the file of the row of a scoped query, 206 with a part of it, or 304."""

    def respond(scoped: ScopedSelect, item_id: UUID | None) -> Response:
        return file_response(repository.get(scoped, item_id, schema))

    return respond


def page(schema: Schema, query: PageQuery, parent: Schema | None) -> Responder:
    """200 with the page of a scoped query that the parameters select, or 304.

    With `parent`, the view returns the scoped query of the parents as well: 404 where the caller
    cannot see the one that the path names.
    """

    def respond(result: Any, item_id: UUID | None) -> Response:
        scoped, parents = result if parent else (result, None)
        fetched = fetch_page(scoped, schema, query, parents, item_id)
        if parent and parents is not None and fetched.is_empty:
            repository.get(parents, item_id, parent)
        response = _json(200, None if fetched.etag_matches else fetched.body())
        if fetched.link:
            response.headers["Link"] = fetched.link
        _set_cache_headers(response)
        return make_conditional(response, fetched.etag, matches=fetched.etag_matches)

    return respond


def stream(schema: Schema, query: PageQuery, parent: Schema | None) -> Responder:
    """200 with all rows of a scoped query that the parameters select, as a stream.

    With a parent, the view returns the scoped query of the parents as well, as for `page`.
    """

    def respond(result: Any, item_id: UUID | None) -> Response:
        media_type = accepted_media_type(request, export.MEDIA_TYPES)
        scoped, parents = result if parent else (result, None)
        if parent and parents is not None:
            repository.get(parents, item_id, parent)
        return export.stream_response(scoped, schema, query, media_type)

    return respond


def created(
    status: int, schema: Schema, location_prefix: str | None, *, has_parent: bool
) -> Responder:
    """The status with the row that was stored of a new model instance.

    With a parent, the view returns the scoped query of the parents as well, as for `page`.
    """

    def respond(result: Any, parent_id: UUID | None) -> Response:
        instance, parents = result if has_parent else (result, None)
        if not getattr(sa.inspect(instance, raiseerr=False), "transient", False):
            # One that the view has added to the session would be inserted twice.
            raise TypeError(
                f"{type(instance).__name__}: no instance, or it is in a session already"
            )
        row = repository.create(instance, schema, parents, parent_id)
        # Only a hash of a secret is stored: this response is the only one that contains it.
        shown_once = {name: getattr(instance, name) for name in schema.show_once}
        response = _json(status, schema.row_to_dict(row) | shown_once)
        response.headers["Location"] = f"{below_prefix(location_prefix or request.path)}/{row.id}"
        response.headers["ETag"] = etag_of_item(schema, row)
        return response

    return respond


def updated(schema: Schema) -> Responder:
    """200 with the row after the change, under If-Match; of the scoped query and new values."""

    def respond(change: tuple[ScopedSelect, dict[str, Any]], item_id: UUID | None) -> Response:
        scoped, values = change
        row = repository.update(scoped, item_id, values, precondition(), schema)
        return _changed_item(schema, row)

    return respond


def acted(schema: Schema) -> Responder:
    """200 with the row after an action, which has written it."""

    def respond(row: Any, _: UUID | None) -> Response:
        return _changed_item(schema, row)

    return respond


def _changed_item(schema: Schema, row: Any) -> Response:
    response = _json(200, schema.row_to_dict(row))
    response.headers["ETag"] = etag_of_item(schema, row)
    return response


def deleted(schema: Schema) -> Responder:
    """204 once the row of a scoped query is deleted, under If-Match."""

    def respond(scoped: ScopedSelect, item_id: UUID | None) -> Response:
        repository.delete(scoped, item_id, precondition(), schema)
        return _empty()

    return respond


def batch_result(schema: Schema) -> Responder:
    """200 with the result of each item of a `Batch`, which is executed in one transaction."""

    def respond(requested: batch.Batch, parent_id: UUID | None) -> Response:
        return _json(200, {"items": batch.execute_batch(requested, schema, parent_id)})

    return respond


def any_value(status: int, schema: Schema | None) -> Responder:
    """The status with the view's value as the schema dumps it, or without a body; not cached."""

    def respond(result: Any, _: UUID | None) -> Response:
        response = _json(status, schema.dump(result)) if schema else _empty(status)
        response.headers["Cache-Control"] = "no-store"
        return response

    return respond


def _json(status: int, value: Any) -> Response:
    response = Response(strict_json.dumps(value), status, content_type="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _empty(status: int = 204) -> Response:
    response = Response(status=status)
    del response.headers["Content-Type"]
    response.headers["Cache-Control"] = "no-store"
    return response


def _set_cache_headers(response: Response) -> None:
    """Allow shared caches for anonymous callers (RFC 9111 section 5.2, RFC 5861)."""
    # nginx is such a cache, and purges nothing: docs/decisions.md#50-gateway-cache
    if current_caller_or_anonymous().id is None:
        age = current_app.config["PUBLIC_MAX_AGE"]
        response.headers["Cache-Control"] = f"public, max-age={age}, stale-while-revalidate={age}"
    response.headers["Vary"] = "Authorization"
