"""The order of a request: everything the decorators of a view declare."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from uuid import UUID

from flask import request

from app.core.files import uploads
from app.core.resources import idempotency
from app.core.schemas.base import Schema
from app.core.security.authorization import (
    Access,
    check_access,
    require_valid_session,
)
from app.core.web import after_commit
from app.core.web.etags import (
    if_match_versions,
)
from app.core.web.flask_app import Response
from app.core.web.problems import Problem
from app.core.web.query_string import load_query
from app.core.web.request_body import load_json_body
from app.extensions import db

View = Callable[..., Any]
Responder = Callable[[Any, UUID | None], Response]


@dataclass(slots=True)
class Operation:
    """What the decorators of one view have said so far."""

    body: Schema | None = None
    query: Schema | None = None
    uploads: Mapping[str, str] | None = None
    responder: Responder | None = None
    response_kind: str = "response"  # the decorator that gave the answer
    media_types: tuple[str, ...] = ("application/json",)  # of the answer
    exported: Schema | None = None  # what each line of a stream is
    error_docs: dict[int, str] = field(default_factory=dict)
    parameters: list[Any] = field(default_factory=list)
    responses: dict[int, Any] = field(default_factory=dict)


def get_operation(view: View) -> Operation:
    """The declarations of a view, begun at the first decorator."""
    operation: Operation = vars(view).setdefault("operation", Operation())
    return operation


def build_endpoint(view: View, access: Access, *, writes: bool) -> View:
    """The function that Flask calls: everything the decorators said, in its order."""
    operation = get_operation(view)
    responder = operation.responder
    if responder is None:
        raise RuntimeError(f"{view.__name__} says nowhere what it answers")

    asks_itself = operation.response_kind in _SESSION_CHECKED_IN_STATEMENT and not operation.uploads

    @wraps(view)
    def endpoint(**path: Any) -> Response:
        check_access(access)
        if access.skip_authentication:
            return respond(path)
        if not asks_itself or "HTTP_IDEMPOTENCY_KEY" in request.environ:
            require_valid_session()
        try:
            return respond(path)
        except Problem:
            require_valid_session()  # of whoever has no session any more, nothing is found wrong
            raise

    def respond(path: dict[str, Any]) -> Response:
        accepted_media_type(operation.media_types)
        if operation.query is None and request.query_string:
            load_query(_NO_PARAMETERS)
        arguments: list[Any] = []
        if operation.body:
            arguments = [load_json_body(operation.body)]
        elif operation.uploads:
            parameters = load_query(operation.query or _NO_PARAMETERS)
            arguments = [uploads.receive_upload(operation.uploads), parameters]
        if operation.response_kind in ("updates", "deletes"):
            if_match_versions()  # 428 before the view asks the database
        item_id = next(reversed(path.values()), None)
        repeatable = operation.response_kind in ("creates", "batch")
        attempt = idempotency.lookup(arguments[0]) if repeatable else None
        if attempt and attempt.stored_response:
            return attempt.stored_response
        response = responder(view(*arguments, **path), item_id)
        if attempt:
            attempt.store_response(response)
        if writes:
            if db.session.registry.has():  # else it was a transaction by itself
                db.session.commit()
            after_commit.schedule_on_close(response)
        return response

    endpoint.access = access  # type: ignore[attr-defined]
    endpoint._apidoc = {  # type: ignore[attr-defined]
        "arguments": {"parameters": operation.parameters},
        "response": {"responses": operation.responses},
    }
    return endpoint


_NO_PARAMETERS = Schema()
# Kinds whose statement, with the caller's session as a condition, is the first thing that counts.
_SESSION_CHECKED_IN_STATEMENT = ("returns", "paginated", "creates", "updates", "deletes")


def accepted_media_type(media_types: tuple[str, ...]) -> str:
    """The media type that the caller likes best; of several, the first.

    Raises:
        Problem: 406, it is none of them (RFC 9110 section 12.5.1).
    """
    accept = request.headers.get("Accept", "*/*")
    if accept in ("*/*", media_types[0]):
        return media_types[0]
    best = max(media_types, key=request.accept_mimetypes.quality)
    if not request.accept_mimetypes.quality(best):
        raise Problem("not-acceptable", f"The answer is given as {' or '.join(media_types)}.")
    return best
