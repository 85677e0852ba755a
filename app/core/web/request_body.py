"""The body of a request: media type, content coding, completeness, and JSON by a schema."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, Any

import marshmallow as ma
from flask import current_app, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from app.core.schemas.base import Schema
from app.core.schemas.loading import errors_as_json_pointers, load
from app.core.web import strict_json
from app.core.web.problems import Problem

JSON_TYPES = ("application/json",)
MERGE_PATCH_TYPES = ("application/json", "application/merge-patch+json")  # RFC 7396


def load_json_body(schema: Schema) -> dict[str, Any]:
    """The request's JSON body, validated: the values by member.

    Raises:
        Problem: 415 for another media type or coding, 400 for a body that is not JSON, 413 for one
            that is too long, 422 with a JSON Pointer (RFC 6901) for each invalid member.
    """
    check_content_type(MERGE_PATCH_TYPES if request.method == "PATCH" else JSON_TYPES)
    try:
        return load(schema, strict_json.loads(read_body()))
    except strict_json.StrictJSONError as error:
        raise Problem("bad-request", str(error)) from error
    except ma.ValidationError as error:
        errors = errors_as_json_pointers(error.messages_dict)
        raise Problem("validation-error", errors=errors) from error


def check_content_type(
    media_types: Sequence[str],
    codings: Sequence[str] = ("identity",),
    charsets: Sequence[str] = ("utf-8",),
) -> str:
    """The body's content coding; media type and charset are checked as well.

    Args:
        media_types: those that are accepted, in lower case; `image/*` stands for every subtype.
        codings: those that are accepted, and `charsets` likewise.

    Raises:
        Problem: 415 for a media type, charset or coding that is not accepted; its Accept or
            Accept-Encoding names those that are (RFC 9110 section 15.5.16).
    """
    environ = request.environ
    sent = environ.get("CONTENT_TYPE", "")
    if sent == media_types[0] and not sent.endswith("*") and "HTTP_CONTENT_ENCODING" not in environ:
        return "identity"  # without parsing the header, as for most requests
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    is_accepted = _is_accepted(request.mimetype, media_types)
    if not is_accepted or charset.replace("utf8", "utf-8") not in charsets:
        headers = {"Accept": ", ".join(media_types)}
        if request.method == "PATCH":
            headers["Accept-Patch"] = headers["Accept"]  # RFC 5789 section 2.2
        detail = f"The body must be {' or '.join(media_types)}."
        if is_accepted:
            detail = f"The charset of the body must be {' or '.join(map(str.upper, charsets))}."
        raise Problem("unsupported-media-type", detail, headers=headers)
    coding = request.headers.get("Content-Encoding", "identity").lower()
    coding = "gzip" if coding == "x-gzip" else coding  # RFC 9110 section 8.4.1.3
    if coding not in codings:
        headers = {"Accept-Encoding": ", ".join(codings)}
        detail = f"The content coding of the body must be {' or '.join(codings)}."
        raise Problem("unsupported-media-type", detail, headers=headers)
    return coding


def _is_accepted(media_type: str, media_types: Sequence[str]) -> bool:
    kind, _, subtype = media_type.partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}", subtype):  # RFC 6838 section 4.2
        return False
    return media_type in media_types or f"{kind}/*" in media_types


def read_body() -> bytes:
    """The complete body.

    Raises:
        Problem: 400, it is incomplete. What Werkzeug raises, such as 413, is passed on.
    """
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    declared = request.environ.get("CONTENT_LENGTH", "")
    # Python converts no decimal text of more than some thousand digits.
    if declared.isdecimal() and len(declared) < 20 and int(declared) <= limit:
        # Werkzeug's `get_data` takes five times as long for the same read.
        body = read_or_400(partial(request.environ["wsgi.input"].read, int(declared)))
        if len(body) < int(declared):
            raise incomplete_body_problem()
    else:
        body = read_or_400(body_stream(limit).read)
        if len(body) > limit:
            raise RequestEntityTooLarge
    return body


def incomplete_body_problem() -> Problem:
    """400, for a body that ends before its declared length or its last chunk."""
    return Problem("bad-request", "The body is incomplete.")


def read_or_400(read: Callable[[], bytes]) -> bytes:
    """The bytes that `read` returns of the body.

    Raises:
        Problem: 400, the body is incomplete. What Werkzeug raises, such as 413, is passed on.
    """
    try:
        return read()
    except HTTPException:
        raise
    except Exception as error:  # each server has its own, for broken chunks and connections
        raise incomplete_body_problem() from error


def body_stream(max_bytes: int) -> IO[bytes]:
    """The body, of which one byte more than `max_bytes` can be read.

    Raises:
        RequestEntityTooLarge: it is declared to be longer.
    """
    request.max_content_length = max_bytes  # which the response names
    if (request.content_length or 0) > max_bytes:
        raise RequestEntityTooLarge
    # Werkzeug does not look whether a body of exactly its limit ends there: it refuses the next
    # read, or cuts the body off.
    return get_input_stream(request.environ, max_content_length=max_bytes + 1)
