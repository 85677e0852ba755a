"""Errors as problem details (RFC 9457), whether the service, Flask or an extension raises them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, current_app, has_request_context, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, ServiceUnavailable

from app.core.database.ids import uuid7
from app.core.web import strict_json
from app.core.web.client_address import client_address
from app.core.web.flask_app import Response
from app.core.web.request_state import request_state
from app.core.web.urls import below_prefix

log = structlog.get_logger()

INSUFFICIENT_AUTHENTICATION = 'error="insufficient_user_authentication"'  # RFC 9470 section 3


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A problem type; `/problems/{slug}` documents it."""

    status: int
    slug: str
    default_detail: str
    title: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)  # further ones: JSON Schemas

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or HTTPStatus(self.status).phrase)

    @property
    def uri(self) -> str:
        """The URI reference of the type (RFC 9457 section 3.1.1)."""
        return below_prefix(f"/problems/{self.slug}")

    def example(self) -> dict[str, Any]:
        """Return an example body for the documentation."""
        return {
            "type": self.uri,
            "title": self.title,
            "status": self.status,
            "detail": self.default_detail,
            "instance": "urn:uuid:019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e07",
            "request_id": "019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e06",
            **{name: schema["example"] for name, schema in self.members.items()},
        }


# To continue a login: docs/decisions.md#84-second-factors
_SECOND_FACTOR = {
    "mfa_token": {
        "type": "string",
        "maxLength": 500,
        "pattern": "^[A-Za-z0-9_=-]+$",
        "description": "Proves the first factor; valid for five minutes.",
        "example": "AZqfPHsefFiKUj8rbRyeB" + "0" * 43,
    },
    "methods": {
        "type": "array",
        "maxItems": 10,
        "items": {"type": "string", "maxLength": 30, "pattern": "^[a-z_]+$"},
        "description": "The ways to prove a second factor.",
        "example": ["totp"],
    },
}
TYPES = {
    kind.slug: kind
    for kind in (
        ProblemType(400, "bad-request", "The request could not be understood."),
        ProblemType(400, "invalid-cursor", "The cursor was not issued by this list with these "
                    "filters and this sort.", "Invalid Cursor"),
        ProblemType(401, "unauthorized", "This needs valid credentials."),
        ProblemType(401, "second-factor-required", "The first factor is right; the account needs "
                    "another one. Send `mfa_token` and a proof by one of the `methods`.",
                    "Second Factor Required", _SECOND_FACTOR),
        ProblemType(401, "recent-login-required", "The login is too long ago for this operation; "
                    "log in again.", "Recent Login Required"),
        ProblemType(403, "forbidden", "The caller may not do this."),
        ProblemType(404, "not-found", "There is nothing at this address."),
        ProblemType(405, "method-not-allowed", "This address does not support the method; "
                    "the Allow header lists those it does."),
        ProblemType(406, "not-acceptable", "The response is available as application/json only."),
        ProblemType(408, "request-timeout", "The request did not arrive in time."),
        ProblemType(409, "conflict", "The request conflicts with what is stored."),
        ProblemType(409, "request-in-progress", "The first request with this Idempotency-Key is "
                    "still running.", "Request in Progress"),
        ProblemType(412, "precondition-failed", "The current version does not meet If-Match or "
                    "If-None-Match. Read the resource again and repeat the change on what it is "
                    "now."),
        ProblemType(413, "content-too-large", "The request body exceeds the limit.",
                    "Content Too Large"),
        ProblemType(414, "uri-too-long", "The address exceeds the limit.", "URI Too Long"),
        ProblemType(415, "unsupported-media-type", "The body must be application/json in UTF-8, "
                    "without content coding."),
        ProblemType(416, "range-not-satisfiable", "The range is outside of the representation.",
                    "Range Not Satisfiable"),
        ProblemType(422, "validation-error", "The request is well-formed, but not valid; "
                    "`errors` names each invalid value.", "Validation Error"),
        ProblemType(422, "idempotency-key-reused", "This Idempotency-Key was used for another "
                    "request; a new request needs a new key.", "Idempotency-Key Reused"),
        ProblemType(422, "batch-failed", "No item of the batch was processed, because some of them "
                    "failed; `errors` names each of those.", "Batch Failed"),
        ProblemType(428, "precondition-required", "A change needs If-Match with the ETag of the "
                    "version it was made from (or * to overwrite whatever is stored)."),
        ProblemType(429, "too-many-requests", "The limit is reached; Retry-After says when to "
                    "try again."),
        ProblemType(431, "header-fields-too-large", "The request's header fields are too large.",
                    "Request Header Fields Too Large"),
        ProblemType(500, "internal-error", "The service failed; the request id finds the cause."),
        ProblemType(501, "not-implemented", "The service does not support the request."),
        ProblemType(502, "bad-gateway", "The service behind the gateway did not answer."),
        ProblemType(503, "service-unavailable", "The service is temporarily unavailable."),
        ProblemType(503, "outcome-unknown", "The connection to the database broke during a write, "
                    "which may have been done. Repeat the request with the same Idempotency-Key, "
                    "or read the resource first.", "Outcome Unknown"),
        ProblemType(504, "gateway-timeout", "The service behind the gateway took too long."),
    )
}  # fmt: skip
MAX_ERRORS = 100  # in one problem; further ones are left out
BY_STATUS = {kind.status: kind for kind in reversed(TYPES.values())}

# {"detail": "...", "pointer": "#/price"}, or "parameter" instead of "pointer"; for an item of a
# batch also the "type" and "status" of the problem that it would be by itself
ErrorDetail = Mapping[str, str | int]


class Problem(HTTPException):
    """An exception whose response is application/problem+json.

    Args:
        slug: a key of `TYPES`.
        detail: a sentence for the client without internals; `default_detail` by default.
        errors: for validation errors, one entry per invalid value.
        headers: added to the response.
        members: further members of the body, which the type declares.
    """

    def __init__(
        self,
        slug: str,
        detail: str | None = None,
        *,
        errors: Sequence[ErrorDetail] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind = TYPES[slug]
        self.code = self.kind.status
        super().__init__(detail or self.kind.default_detail)
        self.errors = errors
        self.headers, self.members = headers or {}, members or {}

    @property
    def type(self) -> str:
        """The URI reference of the problem type (RFC 9457 section 3.1.1)."""
        return self.kind.uri

    def errors_below(self, pointer: str, member: str = "") -> list[ErrorDetail]:
        """Return the errors of an object as errors of the body that it is a part of.

        Args:
            pointer: of the object in the body.
            member: the part of the object to which the pointers of the errors refer.
        """
        errors: Sequence[ErrorDetail] = self.errors or [{"detail": str(self.description)}]
        below = f"{pointer}{member}"
        return [
            {
                **e,
                "pointer": str(e["pointer"]).replace("#", below, 1) if "pointer" in e else pointer,
            }
            for e in errors
        ]

    def get_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return the response; Flask calls this method of every HTTP exception."""
        if self.code in _DENIALS and has_request_context():
            log_denial(_DENIALS[self.code], self.description)
        body = {
            "type": self.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.description,
            "instance": f"urn:uuid:{uuid7()}",
            "request_id": request_state().request_id,
            **self.members,
        }
        if self.errors:
            body["errors"] = self.errors[:MAX_ERRORS]
        response = Response(
            strict_json.dumps(body), self.kind.status, mimetype="application/problem+json"
        )
        response.headers["Cache-Control"] = "no-store"
        response.headers.update(self.headers)
        return response


# Every 401 and 403 ends here, so none is missing in the log (OWASP ASVS 16.3.1, 16.3.2).
_DENIALS = {401: "authentication_failed", 403: "authorization_denied"}


def log_denial(event: str, reason: str | None) -> None:
    """Log that a request was refused; `reason` is a constant sentence, without data of it."""
    rule, caller = request.url_rule, request_state().caller
    log.warning(
        event,
        reason=reason,
        method=request.method,
        route=rule.rule if rule else None,
        caller=caller.label if caller else None,
        ip_address=client_address(request),
    )


def init_app(app: Flask) -> None:
    """Respond with a problem to every exception."""
    app.register_error_handler(HTTPException, handle_http_exception)
    app.register_error_handler(Exception, _handle_unexpected)


def handle_http_exception(error: HTTPException) -> Response:
    """Return the problem response for an HTTP exception of Flask, Werkzeug or an extension."""
    if isinstance(error, Problem):
        return error.get_response()
    code = error.code or 500
    # An unknown status is treated as x00 of its class (RFC 9110 section 15).
    kind = BY_STATUS.get(code, BY_STATUS[400 if 400 <= code < 500 else 500])
    detail, headers = None, {}
    if code == 413:
        detail = f"The body of the request is larger than {_format_limit()}."
    if isinstance(error, ServiceUnavailable) and error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return Problem(kind.slug, detail, headers=headers).get_response()


def _format_limit() -> str:
    """The largest body of the request, which the operation may have set."""
    limit = request.max_content_length or 0
    return f"{limit / 2**20:g} MiB" if limit % 2**18 == 0 else f"{limit} bytes"


def _handle_unexpected(error: Exception) -> Response:
    if current_app.debug:
        raise error  # to the debugger of `make dev`
    log.exception("unhandled_exception")
    return Problem("internal-error").get_response()
