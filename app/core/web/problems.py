"""Errors as RFC 9457 problem details: one shape, one place, whoever raises them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.core.database.ids import uuid7
from app.core.web import strict_json
from app.core.web.flask_app import Response
from app.core.web.request_state import request_state

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What a problem's `type` stands for; its page is `/problems/{slug}`."""

    status: int
    slug: str
    default_detail: str  # the default `detail`
    title: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or HTTPStatus(self.status).phrase)

    def example(self) -> dict[str, Any]:
        """A body such as `Problem` makes, for the documentation."""
        return {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.default_detail,
            "instance": "urn:uuid:019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e07",
            "request_id": "019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e06",
        }


TYPES = {
    kind.slug: kind
    for kind in (
        ProblemType(400, "bad-request", "The request could not be understood."),
        ProblemType(400, "invalid-cursor", "The cursor is not one that this list gave out with "
                    "these filters and this sort.", "Invalid Cursor"),
        ProblemType(401, "unauthorized", "This needs valid credentials."),
        ProblemType(403, "forbidden", "The caller may not do this."),
        ProblemType(404, "not-found", "There is nothing at this address."),
        ProblemType(405, "method-not-allowed", "This address does not support the method; "
                    "the Allow header lists those it does."),
        ProblemType(406, "not-acceptable", "The answer can only be given as application/json."),
        ProblemType(408, "request-timeout", "The request did not arrive in time."),
        ProblemType(409, "conflict", "The request conflicts with what is stored."),
        ProblemType(409, "request-in-progress", "The first request with this Idempotency-Key is "
                    "still running.", "Request in Progress"),
        ProblemType(412, "precondition-failed", "The stored version is not the one that If-Match "
                    "names. Read the resource again and repeat the change on what it is now."),
        ProblemType(413, "content-too-large", "The request body exceeds the limit.",
                    "Content Too Large"),
        ProblemType(414, "uri-too-long", "The address exceeds the limit.", "URI Too Long"),
        ProblemType(415, "unsupported-media-type", "The body must be application/json in UTF-8, "
                    "without content coding."),
        ProblemType(416, "range-not-satisfiable", "The range lies outside of what there is.",
                    "Range Not Satisfiable"),
        ProblemType(422, "validation-error", "The request is well-formed, but not valid; "
                    "`errors` names each place.", "Validation Error"),
        ProblemType(422, "idempotency-key-reused", "This Idempotency-Key was used for another "
                    "request; a new request needs a new key.", "Idempotency-Key Reused"),
        ProblemType(422, "batch-failed", "Nothing of the batch was done, because some of its items "
                    "cannot be; `errors` names each of them.", "Batch Failed"),
        ProblemType(428, "precondition-required", "A change needs If-Match with the ETag of the "
                    "version it was made from (or * to overwrite whatever is stored)."),
        ProblemType(429, "too-many-requests", "The limit is reached; Retry-After says when to "
                    "try again."),
        ProblemType(431, "header-fields-too-large", "The request's header fields are too large.",
                    "Request Header Fields Too Large"),
        ProblemType(500, "internal-error", "The service failed; the request id finds the cause."),
        ProblemType(501, "not-implemented", "The service does not support what was asked."),
        ProblemType(502, "bad-gateway", "The service behind the gateway did not answer."),
        ProblemType(503, "service-unavailable", "The service cannot answer just now."),
        ProblemType(504, "gateway-timeout", "The service behind the gateway took too long."),
    )
}  # fmt: skip
MAX_ERRORS = 100  # named in one problem
BY_STATUS = {kind.status: kind for kind in reversed(TYPES.values())}

# {"detail": "...", "pointer": "#/price"}, or "parameter" in place of the pointer; of an item of a
# batch also the "type" and "status" that it would have had by itself
ErrorDetail = Mapping[str, str | int]


class Problem(HTTPException):
    """An error to be answered as problem+json.

    Args:
        slug: a key of `TYPES`.
        detail: a sentence for the caller; the type's default_detail by default. Never internals.
        errors: for validation, every failing place.
        headers: added to the response.
    """

    def __init__(
        self,
        slug: str,
        detail: str | None = None,
        *,
        errors: Sequence[ErrorDetail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = TYPES[slug]
        self.code = self.kind.status
        super().__init__(detail or self.kind.default_detail)
        self.errors = errors
        self.headers = headers or {}

    @property
    def type(self) -> str:
        """What the body's `type` says: the address of the page that explains it."""
        return f"/problems/{self.kind.slug}"

    def get_response(self, *args: Any, **kwargs: Any) -> Response:
        """The response, as Flask asks an HTTP exception for it."""
        body = {
            "type": self.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.description,
            "instance": f"urn:uuid:{uuid7()}",
            "request_id": request_state().request_id,
        }
        if self.errors:
            body["errors"] = self.errors[:MAX_ERRORS]
        response = Response(
            strict_json.dumps(body), self.kind.status, mimetype="application/problem+json"
        )
        response.headers["Cache-Control"] = "no-store"
        response.headers.update(self.headers)
        return response


def init_app(app: Flask) -> None:
    """Answer every exception that reaches Flask as a problem."""
    app.register_error_handler(HTTPException, handle_http_exception)
    app.register_error_handler(Exception, _handle_unexpected)


def handle_http_exception(error: HTTPException) -> Response:
    """The problem response for any HTTP exception, of Flask, Werkzeug or an extension."""
    if isinstance(error, Problem):
        return error.get_response()
    code = error.code or 500
    kind = BY_STATUS.get(code, BY_STATUS[400 if 400 <= code < 500 else 500])  # RFC 9110 section 15
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return Problem(kind.slug, headers=headers).get_response()


def _handle_unexpected(error: Exception) -> Response:
    log.exception("unhandled_exception")
    return Problem("internal-error").get_response()
