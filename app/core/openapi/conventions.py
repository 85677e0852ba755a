"""HTTP conventions of every kind of operation, as tables for the OpenAPI document.

Each is stated once, so that no route repeats or omits it. `tests/contract/test_openapi.py` checks
real responses against them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.core.web.etags import MAX_HEADER_LENGTH
from app.core.web.flask_app import SECURITY_HEADERS
from app.core.web.problems import MAX_ERRORS, TYPES

JSON = dict[str, Any]

INFO = {
    "summary": "The reference REST API service in Python.",
    "description": "Errors are problem details (RFC 9457)"
    # begin docs
    ": `type` is the URL of a page that explains it, and `/problems`\nlists all types"
    # end docs
    """. Errors of the gateway (408, 413, 414, 431, 502, 504) and 405 have the same format.

Every item has an `ETag`. A change requires it in `If-Match`, so that no update is lost (RFC 9110
section 13); a read with it in `If-None-Match` is a 304 where nothing changed. A `POST` with an
`Idempotency-Key` can be repeated safely, unless it deals in credentials. Lists use keyset
pagination: follow `Link` with the relation `next`, or send `next_cursor` as `cursor`; an export is
the whole list in one response.

Every `GET` supports `HEAD`, and `OPTIONS` lists the methods of a path. A request may carry its own
`X-Request-ID`. Responses may gain members; clients must ignore those they do not know.""",
    "contact": {"name": "The maintainers of this service"},
    "license": {"name": "MIT", "identifier": "MIT"},
    "x-api-id": "8f0e1a52-6f0a-4d0b-9a55-0f7d2c1d3b6e",
    "x-audience": "external-public",
}
SERVERS = [
    {
        "url": "/",
        "description": "The server of this document: production, staging or local.",
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
        "description": "Set by `/auth/cookies`, where cookies are enabled (RFC 6265). It "
        "must not be sent together with a bearer token.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "The value of the cookie `__Host-csrf_token`. Requests other than `GET` "
        "require it in addition to the cookies.",
    },
}


def _string(max_length: int, pattern: str = "", **more: Any) -> JSON:
    limits = {"maxLength": max_length, **({"pattern": pattern} if pattern else {})}
    return {"type": "string", **limits, **more}


_TEXT = r"^[^\x00]*$"
_REQUEST_ID = "^[A-Za-z0-9._-]{8,128}$"
_SECONDS = {"type": "integer", "format": "int32", "minimum": 0, "maximum": 31_622_400}
_QUOTA, _LEFT = r'"[^"]+";q=[0-9]+;w=[0-9]+', r'"[^"]+";r=[0-9]+;t=[0-9]+'
_HTTP_DATE = _string(29, "^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT$")
_LINK = r'<[^>]+>; rel="(first|prev|next)"'


class Header(NamedTuple):
    """A header field of responses; of an optional one, the description has the condition."""

    description: str
    schema: JSON
    always: bool = True


HEADERS = {
    "X-Request-ID": Header("Identifies the request in the logs.", _string(128, _REQUEST_ID)),
    "Cache-Control": Header(
        "Which caches may store the response.", _string(100, "^[a-z0-9=, -]+$")
    ),
    **{name: Header("A constant.", _string(100, const=v)) for name, v in SECURITY_HEADERS.items()},
    "Access-Control-Allow-Origin": Header(
        "The origin of the calling page, where it is allowed.",
        _string(260, r"^(\*|[a-z]+://[^/]+)$"),
        always=False,
    ),
    # draft-ietf-httpapi-ratelimit-headers
    "RateLimit-Policy": Header(
        "Each quota: `q` requests in `w` seconds. Absent while the counter is unavailable.",
        _string(500, f"^{_QUOTA}(, {_QUOTA})*$"),
        always=False,
    ),
    "RateLimit": Header(
        "What remains of each quota: `r` for `t` seconds. Absent while the counter is unavailable.",
        _string(500, f"^{_LEFT}(, {_LEFT})*$"),
        always=False,
    ),
    "Retry-After": Header("Seconds after which to retry.", _SECONDS),
    "WWW-Authenticate": Header("The challenge (RFC 6750 section 3).", _string(200, "^Bearer ")),
    "ETag": Header("The version (RFC 9110 section 8.8.3).", _string(200, '^(W/)?"[^"]+"$')),
    "Vary": Header(
        "The request header fields that the response depends on.", _string(100, "Authorization")
    ),
    "Content-Disposition": Header(
        "A name for the file (RFC 6266, RFC 8187).",
        _string(4000, r"""^attachment; filename=("[^"]+"|[^" ;]+)(; filename\*=UTF-8''\S+)?$"""),
    ),
    "Last-Modified": Header("When the file was stored.", _HTTP_DATE),
    "Accept-Ranges": Header("The unit of ranges.", _string(5, const="bytes")),
    "Content-Length": Header(
        "Of the file or the range, in bytes.",
        {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2**53 - 1},
    ),
    "Content-Range": Header(
        "The first and the last byte, and the size (RFC 9110 section 14.4).",
        _string(70, r"^bytes (\*|[0-9]+-[0-9]+)/[0-9]+$"),
    ),
    "Location": Header("The URL of the new item.", _string(200, "^/", format="uri-reference")),
    "Link": Header(
        "Other pages of the list, where it has more than one (RFC 8288).",
        _string(32_000, f"^{_LINK}(, {_LINK})*$"),
        always=False,
    ),
    "Idempotent-Replayed": Header(
        "Present where this is the stored response to the first request with the same key.",
        _string(4, const="true"),
        always=False,
    ),
    "Accept": Header(
        "The accepted media types, where the media type was the reason.",
        _string(500, "^[a-z0-9*/.+, -]+$"),
        always=False,
    ),
    "Accept-Encoding": Header(
        "The accepted content codings, where the coding was the reason.",
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
    416: ("Content-Range",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

# RFC 9110 section 5.5. A condition may be any field value: one that is not a list of entity tags
# matches nothing, which is not an error by itself.
_FIELD_VALUE = _string(MAX_HEADER_LENGTH, r"^[^\x00-\x08\x0a-\x1f\x7f]*$")
_BARE = r"[\x21\x23-\x7e][\x21-\x7e]{0,254}"
_QUOTED = r'"([\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255}"'

PARAMETERS: dict[str, JSON] = {
    "If-Match": {
        "description": "The `ETag` of the version to change, or `*` for any version.",
        "required": True,
        "schema": _FIELD_VALUE,
        "examples": {"one version": {"value": '"1"'}, "any version": {"value": "*"}},
    },
    "If-None-Match": {
        "description": "The `ETag` of a stored response; 304 where it is still current.",
        "schema": _FIELD_VALUE,
    },
    "If-Modified-Since": {
        "description": "The `Last-Modified` of a stored response, where it has no `ETag`.",
        "schema": _FIELD_VALUE,
    },
    "Range": {
        "description": "One range of bytes, such as `bytes=1000-` (RFC 9110 section 14.2).",
        "schema": _FIELD_VALUE,
    },
    "If-Range": {
        "description": "The `ETag` of a stored part; the whole file where it has changed.",
        "schema": _FIELD_VALUE,
    },
    "Idempotency-Key": {
        "description": "A string chosen by the client, unique to each new request. A repetition "
        "within 24 hours has no second effect and returns the response to the first request.",
        "schema": _string(512, f"^({_BARE}|{_QUOTED})$"),
    },
    "Content-Encoding": {
        "description": "`gzip`, where the file is compressed (RFC 9110 section 8.4).",
        "schema": {"type": "string", "enum": ["identity", "gzip"]},
    },
}


def file_request_body(examples: Mapping[str, str]) -> JSON:
    """The request body of an upload, with an example of a file for each media type."""
    return {
        "required": True,
        "content": {
            media_type: {"schema": _string(2**31 - 1, r"^[\s\S]+$"), "example": example}
            for media_type, example in examples.items()
        },
    }


FILE_CONTENT: JSON = {
    "*/*": {
        "schema": {"type": "string", "format": "binary", "maxLength": 2**31 - 1},
        "example": "The content of the file.",
    }
}


class OperationKind(NamedTuple):
    """What all operations of one response kind have in common."""

    parameters: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()
    error_docs: tuple[tuple[int, str], ...] = ()
    content_headers: tuple[str, ...] = ()  # not of a 304


OPERATION_KINDS = {
    "returns": OperationKind(("If-None-Match",), ("ETag", "Vary")),
    "returns_file": OperationKind(
        ("If-None-Match", "If-Modified-Since", "Range", "If-Range"),
        ("ETag", "Vary"),
        (406, 416),
        content_headers=("Accept-Ranges", "Content-Disposition", "Content-Length", "Last-Modified"),
    ),
    "paginated": OperationKind(("If-None-Match",), ("ETag", "Vary", "Link")),
    "exports": OperationKind((), ("Content-Disposition", "Vary")),
    "batch": OperationKind(),
    "creates": OperationKind((), ("ETag", "Location")),
    "updates": OperationKind(("If-Match",), ("ETag",), (412, 428)),
    "deletes": OperationKind(("If-Match",), (), (412, 428)),
    "action": OperationKind(("If-Match",), ("ETag",), (412, 428)),
    "response": OperationKind(),
}


def with_idempotency_key(kind: OperationKind) -> OperationKind:
    """What an operation has in common with all that honour Idempotency-Key."""
    running = (409, "The first request with this Idempotency-Key is still running.")
    return OperationKind(
        (*kind.parameters, "Idempotency-Key"),
        (*kind.headers, "Idempotent-Replayed"),
        kind.errors,
        (*kind.error_docs, running),
    )


_TYPE = _string(100, "^/(.+/)?problems/[a-z-]+$", format="uri-reference")
_STATUS: JSON = {"type": "integer", "format": "int32", "minimum": 400, "maximum": 599}
ERROR_DETAIL: JSON = {
    "type": "object",
    "description": "One error of a request.",
    "properties": {
        "detail": _string(500, _TEXT),
        "pointer": _string(8192, "^#", description="JSON Pointer into the body (RFC 6901)."),
        "parameter": _string(8192, r"^[\s\S]*$", description="The query parameter's name."),
        "status": _STATUS
        | {"description": "Of an item of a batch: the value it would have had by itself."},
        "type": _TYPE
        | {"description": "Of an item of a batch: the value it would have had by itself."},
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
        **{name: schema for kind in TYPES.values() for name, schema in kind.members.items()},
    },
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
}
