"""HTTP conventions of every kind of operation, as tables for the OpenAPI document.

Each row is stated once, so that no route repeats it and none forgets it. Real answers are checked
against it in `tests/contract/test_openapi.py`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.core.web.etags import MAX_HEADER_LENGTH
from app.core.web.flask_app import SECURITY_HEADERS
from app.core.web.problems import MAX_ERRORS

JSON = dict[str, Any]

INFO = {
    "summary": "The reference REST API service in Python.",
    "description": """\
Errors are problem details (RFC 9457): `type` leads to a page that explains it, and `/problems`
lists all. Those of the gateway (408, 413, 414, 431, 502, 504) have the same shape, and so has 405.

Every item has an `ETag`. A change needs it in `If-Match`, so that no update is lost (RFC 9110
section 13); a read with it in `If-None-Match` is a 304 where nothing changed. A `POST` that creates
takes an `Idempotency-Key` and can then be repeated safely. Lists are keyset pages: follow `Link`
with `rel="next"`, or send `next_cursor` as `cursor`; an export is the whole list in one answer.

`GET` works as `HEAD` too, and `OPTIONS` lists what an address supports. A request may carry an
`X-Request-ID` of its own. Answers may gain members; clients ignore those they do not know.""",
    "contact": {"name": "The maintainers of this service"},
    "license": {"name": "MIT", "identifier": "MIT"},
    "x-api-id": "8f0e1a52-6f0a-4d0b-9a55-0f7d2c1d3b6e",
    "x-audience": "external-public",
}
SERVERS = [
    {
        "url": "/",
        "description": "Whichever served this document: production, staging or local.",
        "x-internal": False,
    }
]
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token from `/auth/login`, a JWT that follows RFC8725 and RFC "
        "9068, or an API key from `/auth/api-keys`.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-access_token",
        "description": "Given by `/auth/cookies`, where the service is set up for cookies "
        "(RFC 6265). Never together with a bearer token.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "What is in the cookie `__Host-csrf_token`. Whatever changes something "
        "needs it beside the cookies.",
    },
}


def _string(most: int, pattern: str = "", **more: Any) -> JSON:
    return {
        "type": "string",
        "maxLength": most,
        **({"pattern": pattern} if pattern else {}),
        **more,
    }


_TEXT = r"^[^\x00]*$"
_REQUEST_ID = "^[A-Za-z0-9._-]{8,128}$"
_SECONDS = {"type": "integer", "format": "int32", "minimum": 0, "maximum": 31_622_400}
_QUOTA, _LEFT = r'"[^"]+";q=[0-9]+;w=[0-9]+', r'"[^"]+";r=[0-9]+;t=[0-9]+'
_LINK = r'<[^>]+>; rel="(first|prev|next)"'


class Header(NamedTuple):
    """A response's header field; one that is not `always` there says when."""

    description: str
    schema: JSON
    always: bool = True


HEADERS = {
    "X-Request-ID": Header("Finds the request in the logs.", _string(128, _REQUEST_ID)),
    "Cache-Control": Header("Who may keep the answer.", _string(100, "^[a-z0-9=, -]+$")),
    **{
        name: Header("Always the same.", _string(100, const=v))
        for name, v in SECURITY_HEADERS.items()
    },
    "Access-Control-Allow-Origin": Header(
        "The origin of the calling page, where it is on the allow-list.",
        _string(260, r"^(\*|[a-z]+://[^/]+)$"),
        always=False,
    ),
    # draft-ietf-httpapi-ratelimit-headers
    "RateLimit-Policy": Header(
        "Each quota, `q` requests in `w` seconds. Absent while the counter is away.",
        _string(500, f"^{_QUOTA}(, {_QUOTA})*$"),
        always=False,
    ),
    "RateLimit": Header(
        "What remains of each quota: `r` for `t` seconds. Absent while the counter is away.",
        _string(500, f"^{_LEFT}(, {_LEFT})*$"),
        always=False,
    ),
    "Retry-After": Header("Seconds after which to try again.", _SECONDS),
    "WWW-Authenticate": Header("The challenge (RFC 6750 section 3).", _string(200, "^Bearer ")),
    "ETag": Header("The version (RFC 9110 section 8.8.3).", _string(200, '^(W/)?"[^"]+"$')),
    "Vary": Header("What else the answer depends on.", _string(100, "Authorization")),
    "Content-Disposition": Header(
        "A name for the file (RFC 6266).", _string(100, '^attachment; filename="[a-z_.]+"$')
    ),
    "Location": Header("Where the new item is.", _string(200, "^/", format="uri-reference")),
    "Link": Header(
        "The ways on, where not all fits one page (RFC 8288).",
        _string(32_000, f"^{_LINK}(, {_LINK})*$"),
        always=False,
    ),
    "Idempotent-Replayed": Header(
        "Where this is what the first request with the same key was answered.",
        _string(4, const="true"),
        always=False,
    ),
    "Accept": Header(
        "The media types taken, where it was the type.", _string(100, "^[a-z/+, -]+$"), always=False
    ),
    "Accept-Encoding": Header(
        "The codings taken, where it was the coding.",
        _string(14, "^(gzip, )?identity$"),
        always=False,
    ),
}
COMMON_HEADERS = ("X-Request-ID", "Cache-Control", *SECURITY_HEADERS, "Access-Control-Allow-Origin")
RATE_LIMIT_HEADERS = ("RateLimit-Policy", "RateLimit")
PROBLEM_HEADERS: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    415: ("Accept", "Accept-Encoding"),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

# RFC 9110 section 5.5. Conditions are not narrowed down to entity tags: one that is not well-formed
# matches nothing, which is no error of its own.
_FIELD_VALUE = _string(MAX_HEADER_LENGTH, r"^[^\x00-\x08\x0a-\x1f\x7f]*$")
_BARE = r"[\x21\x23-\x7e][\x21-\x7e]{0,254}"
_QUOTED = r'"([\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255}"'

PARAMETERS: dict[str, JSON] = {
    "If-Match": {
        "description": "The `ETag` of what the change was made from, or `*` for any version.",
        "required": True,
        "schema": _FIELD_VALUE,
        "examples": {"one version": {"value": '"1"'}, "any version": {"value": "*"}},
    },
    "If-None-Match": {
        "description": "The `ETag` of the answer that the caller has; 304 where it still holds.",
        "schema": _FIELD_VALUE,
    },
    "Idempotency-Key": {
        "description": "A string of the caller's own, another for each new request. A repetition "
        "within 24 hours has no second effect, and is given the first answer.",
        "schema": _string(512, f"^({_BARE}|{_QUOTED})$"),
    },
    "Content-Encoding": {
        "description": "`gzip`, where the file is compressed (RFC 9110 section 8.4).",
        "schema": {"type": "string", "enum": ["identity", "gzip"]},
    },
}


def file_request_body(examples: Mapping[str, str]) -> JSON:
    """The request body of an upload, with an example of a file by each of its media types."""
    return {
        "required": True,
        "content": {
            media_type: {"schema": _string(2**31 - 1, r"^[\s\S]+$"), "example": example}
            for media_type, example in examples.items()
        },
    }


class OperationKind(NamedTuple):
    """What all operations of one response kind have in common."""

    parameters: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()
    error_docs: tuple[tuple[int, str], ...] = ()


OPERATION_KINDS = {
    "returns": OperationKind(("If-None-Match",), ("ETag", "Vary")),
    "paginated": OperationKind(("If-None-Match",), ("ETag", "Vary", "Link")),
    "exports": OperationKind((), ("Content-Disposition", "Vary")),
    "batch": OperationKind(
        ("Idempotency-Key",),
        ("Idempotent-Replayed",),
        error_docs=((409, "The first request with this Idempotency-Key is still running."),),
    ),
    "creates": OperationKind(
        ("Idempotency-Key",),
        ("ETag", "Location", "Idempotent-Replayed"),
        error_docs=((409, "The first request with this Idempotency-Key is still running."),),
    ),
    "updates": OperationKind(("If-Match",), ("ETag",), (412, 428)),
    "deletes": OperationKind(("If-Match",), (), (412, 428)),
    "response": OperationKind(),
}

_TYPE = _string(100, "^/problems/[a-z-]+$", format="uri-reference")
_STATUS: JSON = {"type": "integer", "format": "int32", "minimum": 400, "maximum": 599}
ERROR_DETAIL: JSON = {
    "type": "object",
    "description": "One failing place of a request.",
    "properties": {
        "detail": _string(500, _TEXT),
        "pointer": _string(8192, "^#", description="JSON Pointer into the body (RFC 6901)."),
        "parameter": _string(8192, r"^[\s\S]*$", description="The query parameter's name."),
        "status": _STATUS | {"description": "Of an item of a batch: what it would have been."},
        "type": _TYPE | {"description": "Of an item of a batch: what it would have been."},
    },
    "required": ["detail"],
}
PROBLEM: JSON = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "properties": {
        "type": _TYPE,
        "title": _string(100, "^[A-Z]"),
        "status": _STATUS,
        "detail": _string(1000, _TEXT),
        "instance": _string(45, "^urn:uuid:", format="uri"),
        "request_id": _string(128, _REQUEST_ID) | {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "maxItems": MAX_ERRORS,
            "items": {"$ref": "#/components/schemas/ErrorDetail"},
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
}
