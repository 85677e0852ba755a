"""The decorators of a routes file: each declares one thing, the route decorator connects them.

    @notes.patch("/<uuid:note_id>", access=permission("notes:own"))
    @notes.body(NoteSchema, partial=True)
    @notes.updates(NoteSchema)
    def update_note(data, note_id):
        "Change a note."
        return Note.visible_to(current_caller), data

`app.core.resources.dispatch` has the order in which a request passes through what they declare.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flask

from app.core.files.file_mixin import FileSchema
from app.core.openapi.operation import Responder, Stream, Upload, View, get_operation
from app.core.resources import batch_schema, declaration_checks, export, responders
from app.core.resources.actions import with_locked_row
from app.core.resources.audit_values import register_schema
from app.core.resources.declaration_checks import NOT_GIVEN
from app.core.resources.dispatch import build_endpoint
from app.core.resources.filters import PAGINATION_PARAMS, PageQuery
from app.core.resources.list_checks import check_query, listed_model
from app.core.resources.pagination import page_schema
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas.base import Schema
from app.core.schemas.member_checks import check_members
from app.core.schemas.merge_patch import patch_schema
from app.core.schemas.serialisable import check_serialisable
from app.core.security.authorization import Access, Caller
from app.core.web.rate_limit import FailureLimit, is_failure
from app.extensions import limiter

Decorator = Callable[[View], View]


class Blueprint(flask.Blueprint):
    """The routes of a resource.

    Args:
        description: of the resource, for the OpenAPI document.
        documented: whether the views are operations of the API. Otherwise they are plain Flask
            views, which return responses themselves.
    """

    def __init__(
        self,
        name: str,
        import_name: str,
        *,
        description: str = "",
        documented: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(name, import_name, **options)
        self.description, self.documented = description, documented

    # `access` is obligatory. `rate_limit` is a limit ("20 per minute") or the name of a setting
    # that contains one.

    def get(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for GET and HEAD."""
        return self._register("GET", rule, access, rate_limit)

    def post(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for POST."""
        return self._register("POST", rule, access, rate_limit)

    def put(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for PUT."""
        return self._register("PUT", rule, access, rate_limit)

    def patch(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for PATCH (RFC 5789) with a JSON merge patch (RFC 7396)."""
        return self._register("PATCH", rule, access, rate_limit)

    def delete(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for DELETE."""
        return self._register("DELETE", rule, access, rate_limit)

    def _register(
        self, method: str, rule: str, access: Access, rate_limit: str | None
    ) -> Decorator:
        def register(view: View) -> View:
            declaration_checks.check_route(view, method, f"{self.url_prefix}{rule}", access)
            endpoint = build_endpoint(view, access, documented=self.documented, method=method)
            if rate_limit is not None:
                counted = is_failure if isinstance(rate_limit, FailureLimit) else None
                limit = declaration_checks.read_rate_limit(view, rate_limit)
                endpoint = limiter.limit(limit, deduct_when=counted)(endpoint)
            endpoint.rate_limit = rate_limit  # type: ignore[attr-defined]
            self.add_url_rule(rule, view_func=endpoint, methods=[method])
            return view

        return register

    @staticmethod
    def body(schema: type[Schema], *, partial: bool = False, prepare: Any = None) -> Decorator:
        """The view's first argument is the request body; with `partial`, a merge patch."""
        read_only = [name for name, field in schema().fields.items() if field.dump_only]
        whole = check_members(schema(exclude=read_only), is_body=True)
        # `prepare` is slow work on the body, such as hashing: it runs in no transaction.
        return _declares(body=patch_schema(schema) if partial else whole, prepare=prepare)

    @staticmethod
    def accepts_file(
        media_types: Mapping[str, str], max_bytes: str | int, *, query: type[Schema] = Schema
    ) -> Decorator:
        """The view's arguments are a file (`app.core.files.uploads`) and the query parameters.

        Args:
            media_types: an example of a file by each accepted media type, such as `image/*`.
            max_bytes: the largest file, in bytes, or the name of the setting that holds it.
        """

        def decorate(view: View) -> View:
            declaration_checks.check_max_bytes(view, max_bytes)
            operation = get_operation(view)
            operation.upload, operation.query = Upload(media_types, max_bytes), query()
            return view

        return decorate

    @staticmethod
    def returns(schema: type[Schema]) -> Decorator:
        """200 with one row: the view returns the scoped query, the path's id selects the row."""
        row_schema = _row_schema(schema)
        respond = responders.item(row_schema)
        return _responds("returns", 200, respond, row_schema, checks_session=True)

    @staticmethod
    def returns_file() -> Decorator:
        """200 with the file of one row: the view returns the scoped query of a `FileMixin`."""
        respond = responders.file(_row_schema(FileSchema))
        return _responds("returns_file", 200, respond, checks_session=True)

    @staticmethod
    def paginated(
        schema: type[Schema], query: type[PageQuery], *, parent: type[Schema] | None = None
    ) -> Decorator:
        """200 with a page: the view returns the scoped query, `query` filters and sorts it.

        Of rows that belong to one item, the view returns the scoped query of those items as well,
        and `parent` is their schema: 404 where the caller cannot see the item.
        """
        parameters, row_schema = check_query(query()), _row_schema(schema)
        if model := listed_model(parameters, row_schema):
            # The audit log shows the rows of this table as the list does.
            register_schema(model.__tablename__, row_schema)
        respond = responders.page(row_schema, parameters, parent() if parent else None)
        envelope = page_schema(schema)
        return _responds("paginated", 200, respond, envelope, query=parameters, checks_session=True)

    @staticmethod
    def exports(
        schema: type[Schema], query: type[PageQuery], *, exclude: tuple[str, ...] = ()
    ) -> Decorator:
        """200 with all rows of a list as a stream: the view returns the scoped query.

        Args:
            query: that of the list.
            exclude: the members that are left out.
        """
        row_schema = _row_schema(schema, exclude=exclude)
        parameters = check_query(query(exclude=PAGINATION_PARAMS))
        respond = responders.stream(row_schema, parameters)
        stream, types = Stream(row_schema, export.example), export.MEDIA_TYPES
        declared: dict[str, Any] = {"query": parameters, "stream": stream, "media_types": types}
        return _responds("exports", 200, respond, **declared)

    @staticmethod
    def batch(schema: type[Schema]) -> Decorator:
        """200 with the result of each item: the view returns a `Batch` of those in its argument.

        `app.core.resources.batch` executes all of them in one transaction, or none.
        """
        body = batch_schema.batch_request_schema(schema)
        response_schema = batch_schema.batch_response_schema(schema)
        respond = responders.batch_result(_row_schema(schema))
        return _responds("batch", 200, respond, response_schema, body=body)

    @staticmethod
    def creates(
        schema: type[Schema],
        *,
        location_prefix: str | None = None,
        parent: type[Schema] | None = None,
    ) -> Decorator:
        """201 with Location and ETag: the view returns a new model instance, which is stored.

        With `location_prefix`, the URL of another collection, it is a 202: the item is a job. With
        `parent`, as for `paginated`, the view returns the scoped query of the parents as well.
        """
        row_schema, status = _row_schema(schema), 202 if location_prefix else 201
        respond = responders.created(
            status, row_schema, location_prefix, has_parent=parent is not None
        )
        return _responds("creates", status, respond, row_schema, checks_session=True)

    @staticmethod
    def updates(schema: type[Schema]) -> Decorator:
        """200 with the row, under If-Match: the view returns the scoped query and new values."""
        row_schema = _row_schema(schema)
        respond = responders.updated(row_schema)
        return _responds("updates", 200, respond, row_schema, checks_session=True)

    @staticmethod
    def deletes(schema: type[Schema]) -> Decorator:
        """204, under If-Match: the view returns the scoped query, the path's id selects the row."""
        respond = responders.deleted(_row_schema(schema))
        return _responds("deletes", 204, respond, checks_session=True)

    @staticmethod
    def action(
        schema: type[Schema], rows: Callable[[Caller], ScopedSelect], *, audit: str
    ) -> Decorator:
        """200 with the row after a POST on an item, under If-Match: for changes of its state.

        The view's first argument is the locked row; it returns new values by column, or raises a
        409 where the state does not allow the action.

        Args:
            rows: the scoped query of a caller, such as `Order.visible_to`.
            audit: the verb of the audit event, such as "cancel".
        """
        row_schema = _row_schema(schema)
        responds = _responds(
            "action", 200, responders.acted(row_schema), row_schema, checks_session=True
        )
        return lambda view: responds(with_locked_row(view, rows, row_schema, audit))

    @staticmethod
    def response(
        status: int, schema: type[Schema] | None = None, *, repeatable: bool = True
    ) -> Decorator:
        """Any other response: the view returns what the schema dumps, or None. Never cached.

        With `repeatable=False` a POST ignores Idempotency-Key: its credentials are not stored.
        """
        dumped = check_members(schema(), is_body=False) if schema else None
        respond = responders.any_value(status, dumped)
        return _responds("response", status, respond, dumped, is_repeatable=repeatable)

    @staticmethod
    def queries(number: int) -> Decorator:
        """How many SQL statements the view executes itself, which the generated tests count.

        Those of the response decorator, which `docs/resources.md` lists, are not among them.
        """
        return _declares(queries=number)

    @staticmethod
    def error(status: int, reason: str) -> Decorator:
        """Document an error that the view itself causes, and when it occurs."""

        def decorate(view: View) -> View:
            get_operation(view).error_docs[status] = reason
            return view

        return decorate


def _row_schema(schema: type[Schema], **options: Any) -> Schema:
    """An instance that serialises rows."""
    return check_members(check_serialisable(schema(**options)), is_body=False)


def _responds(
    kind: str, status: int, respond: Responder, schema: Schema | None = None, **declared: Any
) -> Decorator:
    """A response decorator; `declared` are further attributes of the operation."""
    media_types = ("application/json",) if schema else ()
    response = {"status": status, "schema": schema, "media_types": media_types}
    return _declares(response_kind=kind, responder=respond, **(response | declared))


def _declares(**attributes: Any) -> Decorator:
    def decorate(view: View) -> View:
        for name, value in attributes.items():
            setattr(get_operation(view), name, value)
        return view

    return decorate
