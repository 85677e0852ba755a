"""The order of a request: the steps between Flask's routing and the response."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from uuid import UUID

from flask import Request, current_app
from sqlalchemy.exc import IntegrityError

from app.core.database.errors import OutcomeUnknownError
from app.core.database.ids import uuid7
from app.core.files import uploads
from app.core.openapi.operation import DeclarationError, Operation, View, get_operation
from app.core.resources import idempotency
from app.core.resources.references import (
    deleted_reference_problem,
    has_references,
    require_referred_rows,
)
from app.core.schemas.base import Schema
from app.core.security.authorization import (
    Access,
    check_access,
    forget_ended_cookie_session,
    require_recent_login,
    require_valid_session,
)
from app.core.web import after_commit
from app.core.web.etags import check_untagged, require_if_match
from app.core.web.flask_app import Response
from app.core.web.negotiation import accepted_media_type
from app.core.web.problems import Problem
from app.core.web.query_string import load_query
from app.core.web.request_body import load_json_body
from app.core.web.request_state import current_request
from app.extensions import db


@dataclass(slots=True)
class Call:
    """The state of a request between the steps."""

    request: Request  # Flask's proxy costs at each look
    operation: Operation
    access: Access
    view: View
    path: dict[str, Any]  # the path's parameters by name
    arguments: list[Any] = field(default_factory=list)  # of the view, before those of the path
    key: idempotency.IdempotencyKey | None = None  # of the request
    attempt: idempotency.Attempt | None = None
    upload_id: UUID | None = None  # of a stored file that nothing in the database refers to yet
    response: Any = None

    @property
    def item_id(self) -> UUID | None:
        """The id of the item: the last of the path."""
        return next(reversed(self.path.values()), None)


Step = Callable[[Call], Response | None]  # a response ends the request


def admission_steps(operation: Operation, access: Access) -> list[Step]:
    """The steps that identify the caller, before anything else of the request is read."""
    steps = [
        # First, so that an error of the request reveals nothing to those who may not send it.
        (_check_access, True),
        # Before the view runs, unless the response kind checks the session in its own statement,
        # which saves a round trip: docs/decisions.md#20-session-revocation
        (_check_session, not access.skip_authentication and not access.needs_recent_login),
        (_check_recent_login, access.needs_recent_login),
    ]
    return [step for step, is_needed in steps if is_needed]


def service_steps(operation: Operation, *, documented: bool, method: str) -> list[Step]:
    """The steps for an admitted caller, in this order."""
    kind, writes = operation.response_kind, method != "GET"
    repeatable = documented and method == "POST" and operation.is_repeatable
    refers = operation.body is not None and has_references(operation.body)
    steps = [
        # Before the body is read: a refused request costs little.
        (_check_accept, documented and bool(operation.media_types)),
        # Unknown parameters are errors everywhere, so that a typo in a filter cannot go unnoticed.
        # Lists read theirs together with the rows.
        (_reject_query, documented and operation.query is None),
        (_load_body, operation.body is not None),
        # After the parameters: a file is large, and one with wrong parameters is not stored.
        (_receive_upload, operation.upload is not None),
        # 428 before any SQL, so it does not reveal what exists; the statement that writes compares
        # the version: docs/decisions.md#3-order-of-preconditions
        (_require_if_match, kind in ("updates", "deletes", "action")),
        # Other reads have an entity tag, which the responder compares.
        (_check_untagged, documented and not writes and kind in ("exports", "response")),
        # After the body, which is part of the key's fingerprint; before the view's side effects.
        (_read_key, repeatable),
        (_prepare_body, operation.prepare is not None),
        (_replay, repeatable),
        (_respond_with_references if refers else _respond, True),
        (_check_untagged_response, not documented and not writes),
        # In the transaction of the effect: docs/decisions.md#34-idempotency-keys
        (_store_response, repeatable),
        # After the response was built, so that an error in building it rolls back.
        (_commit, writes),
    ]
    return [step for step, is_needed in steps if is_needed]


def build_endpoint(
    view: View, access: Access, *, documented: bool = True, method: str = "GET"
) -> View:
    """The function that Flask calls.

    Raises:
        DeclarationError: the view has no docstring, or no response decorator.
    """
    if not view.__doc__:
        raise DeclarationError(view, "a docstring is missing")
    operation = get_operation(view) if documented else Operation()
    if documented and operation.responder is None:
        raise DeclarationError(view, "a response decorator is missing")
    admission = admission_steps(operation, access)
    service = service_steps(operation, documented=documented, method=method)

    @wraps(view)
    def endpoint(**path: Any) -> Any:
        declared = operation, access, view, path
        try:
            return _run(Call(current_request(), *declared), admission, service)
        except Problem as problem:
            # The session of a cookie was revoked, which the first statement has found.
            if problem.code == 401 and forget_ended_cookie_session():
                return _run(Call(current_request(), *declared), admission, service)
            raise

    endpoint.access = access  # type: ignore[attr-defined]
    return endpoint


def _run(call: Call, admission: list[Step], service: list[Step]) -> Any:
    for step in admission:
        step(call)
    try:
        for step in service:
            if (early := step(call)) is not None:
                return early
    except Problem:
        # A revoked session is a 401, also where the request has other errors.
        if not call.access.skip_authentication:
            require_valid_session()
        raise
    except OutcomeUnknownError:
        call.upload_id = None  # the row that keeps the file may be stored
        raise
    finally:
        if call.upload_id:
            uploads.discard_upload(call.upload_id)
    return call.response


_NO_MEMBERS = Schema()


def _check_access(call: Call) -> None:
    check_access(call.access)


def _check_session(call: Call) -> None:
    # A stored response is returned without the statement that would check, and a file is stored
    # before it.
    in_statement = call.operation.checks_session and call.operation.upload is None
    if call.access.anonymous and call.request.method not in ("GET", "HEAD"):
        in_statement = False  # with a cookie it is repeated without, which a body does not allow
    if not in_statement or "HTTP_IDEMPOTENCY_KEY" in call.request.environ:
        require_valid_session()


def _check_recent_login(_: Call) -> None:
    require_recent_login()


def _check_accept(call: Call) -> None:
    accepted_media_type(call.request, call.operation.media_types)


def _reject_query(call: Call) -> None:
    if call.request.query_string:
        load_query(_NO_MEMBERS)


def _load_body(call: Call) -> None:
    call.arguments.append(load_json_body(call.operation.body))  # type: ignore[arg-type]


def _receive_upload(call: Call) -> None:
    examples, max_bytes = call.operation.upload or ({}, 0)
    if isinstance(max_bytes, str):
        max_bytes = int(current_app.config[max_bytes])
    parameters = load_query(call.operation.query or _NO_MEMBERS)
    is_repetition = idempotency.has_stored_response()
    upload_id = call.upload_id = None if is_repetition else uuid7()
    upload = uploads.receive_upload(
        upload_id,
        examples,
        max_bytes,
        call.operation.codings,
        is_kept=call.operation.keeps_file,
        name=parameters.get("file_name"),
    )
    call.arguments += [upload, parameters]


def _require_if_match(call: Call) -> None:
    require_if_match()


def _check_untagged(_: Call) -> None:
    check_untagged()


def _check_untagged_response(call: Call) -> None:
    if "ETag" not in getattr(call.response, "headers", ()):
        check_untagged()


def _read_key(call: Call) -> None:
    # A view without a body has no arguments: the fingerprint is that of method and URL.
    call.key = idempotency.requested_key(call.arguments[0] if call.arguments else None)


def _prepare_body(call: Call) -> None:
    call.operation.prepare(call.arguments[0])  # type: ignore[misc]


def _replay(call: Call) -> Response | None:
    if call.key is not None:
        call.attempt = idempotency.lookup(call.key)
    is_first = call.attempt and not call.attempt.stored_response
    if is_first and call.operation.upload and not call.upload_id:
        # The stored response has expired while the file arrived, which was not stored.
        raise Problem("request-in-progress", headers={"Retry-After": "1"})
    return call.attempt.stored_response if call.attempt else None


def _respond_with_references(call: Call) -> None:
    schema, body = call.operation.body or _NO_MEMBERS, call.arguments[0]
    require_referred_rows(schema, body)
    try:
        _respond(call)
    except IntegrityError as error:
        raise deleted_reference_problem(error, schema, body) or error from error


def _respond(call: Call) -> None:
    responder = call.operation.responder
    try:
        result = call.view(*call.arguments, **call.path)
        call.response = responder(result, call.item_id) if responder else result
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        name = f"{call.view.__module__}.{call.view.__qualname__}"
        error.add_note(f"{name}: docs/resources.md, section 5, has what a view returns")
        raise
    if responder and call.access.name == "authenticated":  # about an account and its credentials
        call.response.headers["Cache-Control"] = "private, no-store"


def _store_response(call: Call) -> None:
    if call.attempt:
        call.attempt.store_response(call.response)


def _commit(call: Call) -> None:
    if db.session.registry.has():  # else a single statement has committed itself
        db.session.commit()
    call.upload_id = None
    after_commit.schedule_on_close(call.response)
