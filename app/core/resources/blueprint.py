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

from app.config import StartError
from app.core.files.file_mixin import FileSchema
from app.core.openapi.operation import DeclarationError, Stream, Upload, View, get_operation
from app.core.resources import batch_schema, declaration_checks, export, responders
from app.core.resources.actions import with_locked_row
from app.core.resources.audit_values import register_schema
from app.core.resources.declaration_checks import NOT_GIVEN
from app.core.resources.declarations import Decorator, checked, declares, responds
from app.core.resources.dispatch import build_endpoint
from app.core.resources.filters import PAGINATION_PARAMS, PageQuery, Sort
from app.core.resources.list_checks import list_query, listed_model
from app.core.resources.pagination import page_schema
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas.base import Schema
from app.core.schemas.member_checks import check_members
from app.core.schemas.merge_patch import patch_schema
from app.core.schemas.serialisable import check_serialisable
from app.core.security.authorization import Access, Caller
from app.core.web.problems import BY_STATUS
from app.core.web.rate_limit import FailureLimit, is_failure
from app.extensions import limiter


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
        self._names: set[str] = set()  # of the views

    def route(self, rule: str, **options: Any) -> Any:
        """Raise StartError: `get`, `post`, `put`, `patch` and `delete` register views."""
        raise StartError(f"{self.import_name}: write @{self.name}.get({rule!r}, …), not .route")

    # `access` is obligatory. `rate_limit` is a limit ("20 per minute") or the name of a setting.

    @checked
    def get(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for GET and HEAD."""
        return self._register("GET", rule, access, rate_limit)

    @checked
    def post(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for POST."""
        return self._register("POST", rule, access, rate_limit)

    @checked
    def put(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for PUT."""
        return self._register("PUT", rule, access, rate_limit)

    @checked
    def patch(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for PATCH (RFC 5789) with a JSON merge patch (RFC 7396)."""
        return self._register("PATCH", rule, access, rate_limit)

    @checked
    def delete(  # type: ignore[override]
        self, rule: str, *, access: Access = NOT_GIVEN, rate_limit: str | None = None
    ) -> Decorator:
        """Register a view for DELETE."""
        return self._register("DELETE", rule, access, rate_limit)

    def _register(
        self, method: str, rule: str, access: Access, rate_limit: str | None
    ) -> Decorator:
        def register(view: View) -> View:
            declaration_checks.check_route(
                view, method, f"{self.url_prefix or ''}{rule}", access, documented=self.documented
            )
            if view.__name__ in self._names:
                raise DeclarationError(view, "the blueprint has a view of this name already")
            self._names.add(view.__name__)
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
    @checked
    def body(schema: type[Schema], *, partial: bool = False, prepare: Any = None) -> Decorator:
        """The view's first argument is the request body; with `partial`, a merge patch."""
        read_only = [name for name, field in schema().fields.items() if field.dump_only]
        whole = check_members(schema(exclude=read_only), is_body=True)
        # `prepare` is slow work on the body, such as hashing: it runs in no transaction.
        return declares(body=patch_schema(schema) if partial else whole, prepare=prepare)

    @staticmethod
    @checked
    def accepts_file(
        media_types: Mapping[str, str], max_bytes: str | int, *, query: type[Schema] = Schema
    ) -> Decorator:
        """The view's arguments are a file (`app.core.files.uploads`) and the query parameters.

        Args:
            media_types: an example of a file by each accepted media type, such as `image/*`.
            max_bytes: the largest file, in bytes, or the name of the setting that holds it.
        """
        declared = declares(upload=Upload(media_types, max_bytes), query=query())
        return lambda view: declared(declaration_checks.check_upload(view, media_types, max_bytes))

    @staticmethod
    @checked
    def returns(schema: type[Schema]) -> Decorator:
        """200 with one row: the view returns the scoped query, the path's id selects the row."""
        row_schema = _row_schema(schema)
        respond = responders.item(row_schema)
        return responds("returns", 200, respond, row_schema, checks_session=True)

    @staticmethod
    @checked
    def returns_file() -> Decorator:
        """200 with the file of one row: the view returns the scoped query of a `FileMixin`."""
        respond = responders.file(_row_schema(FileSchema))
        return responds("returns_file", 200, respond, checks_session=True)

    @staticmethod
    @checked
    def paginated(
        schema: type[Schema], query: type[PageQuery] | Sort, *, parent: type[Schema] | None = None
    ) -> Decorator:
        """200 with a page: the view returns the scoped query, `query` filters and sorts it.

        With a `Sort` as `query`, it has no filters. With `parent`, the schema of items to which the
        rows belong, the view also returns their scoped query: 404 where the item is not visible.
        """
        parameters, row_schema = list_query(schema, query), _row_schema(schema)
        if model := listed_model(parameters, row_schema):
            # The audit log shows the rows of this table as the list does.
            register_schema(model.__tablename__, row_schema)
        respond = responders.page(row_schema, parameters, parent() if parent else None)
        declared: Any = {"query": parameters, "has_parent": bool(parent), "checks_session": True}
        return responds("paginated", 200, respond, page_schema(schema), **declared)

    @staticmethod
    @checked
    def exports(
        schema: type[Schema],
        query: type[PageQuery] | Sort,
        *,
        exclude: tuple[str, ...] = (),
        parent: type[Schema] | None = None,
    ) -> Decorator:
        """200 with a stream of all rows, without the members `exclude`; else as `paginated`."""
        row_schema = _row_schema(schema, exclude=exclude)
        parameters = list_query(schema, query, exclude=PAGINATION_PARAMS)
        stream, types = Stream(row_schema, export.example), export.MEDIA_TYPES
        declared: dict[str, Any] = {"query": parameters, "stream": stream, "media_types": types}
        respond = responders.stream(row_schema, parameters, parent() if parent else None)
        return responds("exports", 200, respond, has_parent=bool(parent), **declared)

    @staticmethod
    @checked
    def batch(schema: type[Schema]) -> Decorator:
        """200 with the result of each item: the view returns a `Batch` of those in its argument.

        `app.core.resources.batch` executes all of them in one transaction, or none.
        """
        body = batch_schema.batch_request_schema(schema)
        response_schema = batch_schema.batch_response_schema(schema)
        respond = responders.batch_result(_row_schema(schema))
        return responds("batch", 200, respond, response_schema, body=body)

    @staticmethod
    @checked
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
        respond = responders.created(status, row_schema, location_prefix, has_parent=bool(parent))
        declared: dict[str, Any] = {"has_parent": bool(parent), "checks_session": True}
        return responds("creates", status, respond, row_schema, **declared)

    @staticmethod
    @checked
    def updates(schema: type[Schema]) -> Decorator:
        """200 with the row, under If-Match: the view returns the scoped query and new values."""
        row_schema = _row_schema(schema)
        respond = responders.updated(row_schema)
        return responds("updates", 200, respond, row_schema, checks_session=True)

    @staticmethod
    @checked
    def deletes(schema: type[Schema]) -> Decorator:
        """204, under If-Match: the view returns the scoped query, the path's id selects the row."""
        respond = responders.deleted(_row_schema(schema))
        return responds("deletes", 204, respond, checks_session=True)

    @staticmethod
    @checked
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
        respond = responders.acted(row_schema)
        declared = responds("action", 200, respond, row_schema, checks_session=True, rows=rows)
        return lambda view: declared(with_locked_row(view, rows, row_schema, audit))

    @staticmethod
    @checked
    def response(
        status: int, schema: type[Schema] | None = None, *, repeatable: bool = True
    ) -> Decorator:
        """Any other response: the view returns what the schema dumps, or None. Never cached.

        With `repeatable=False` a POST ignores Idempotency-Key: its credentials are not stored.
        """
        dumped = check_members(schema(), is_body=False) if schema else None
        respond = responders.any_value(status, dumped)
        return responds("response", status, respond, dumped, is_repeatable=repeatable)

    @staticmethod
    @checked
    def queries(number: int) -> Decorator:
        """How many SQL statements the view executes itself, which the generated tests count.

        Those of the response decorator, which `docs/resources.md` lists, are not among them.
        """
        return declares(queries=number)

    @staticmethod
    @checked
    def error(status: int, reason: str) -> Decorator:
        """Document an error that the view itself causes, and when it occurs."""

        def decorate(view: View) -> View:
            if status not in BY_STATUS:
                raise DeclarationError(view, f"@error: no problem has the status {status}")
            get_operation(view).error_docs[status] = reason
            return view

        return decorate


def _row_schema(schema: type[Schema], **options: Any) -> Schema:
    """An instance that serialises rows."""
    return check_members(check_serialisable(schema(**options)), is_body=False)
