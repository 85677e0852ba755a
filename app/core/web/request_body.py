"""Checks of every request body, JSON or file: media type, content coding, completeness."""

from collections.abc import Callable, Sequence
from functools import partial

from flask import current_app, request
from werkzeug.exceptions import HTTPException

from app.core.web.problems import Problem


def check_content_type(media_types: Sequence[str], codings: Sequence[str] = ("identity",)) -> str:
    """Return the content coding of the body, if its header fields are acceptable.

    Raises:
        Problem: 415 for another media type, charset or coding; header fields name the accepted ones
            (RFC 9110 section 15.5.16).
    """
    environ = request.environ
    if environ.get("CONTENT_TYPE") == media_types[0] and "HTTP_CONTENT_ENCODING" not in environ:
        return "identity"  # the usual case: nothing needs to be parsed
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype not in media_types or charset not in ("utf-8", "utf8"):
        headers = {"Accept": ", ".join(media_types)}
        if request.method == "PATCH":
            headers["Accept-Patch"] = headers["Accept"]
        raise Problem("unsupported-media-type", headers=headers)
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding not in codings:
        headers = {"Accept-Encoding": ", ".join(codings)}
        raise Problem("unsupported-media-type", headers=headers)
    return coding


def read_body() -> bytes:
    """Return the complete body.

    Raises:
        Problem: 400, the body is incomplete.
        HTTPException: Werkzeug's own, 413 for example.
    """
    max_length = current_app.config["MAX_CONTENT_LENGTH"]
    length = request.environ.get("CONTENT_LENGTH", "")
    # `int` raises ValueError for thousands of digits.
    if length.isdecimal() and len(length) < 20 and int(length) <= max_length:
        # `get_data` takes five times as long for the same read.
        body = read_or_400(partial(request.environ["wsgi.input"].read, int(length)))
        if len(body) < int(length):
            raise incomplete_body_problem()
    else:
        body = read_or_400(partial(request.get_data, cache=False))
        reject_truncated(len(body))
    return body


def incomplete_body_problem() -> Problem:
    """Return the 400 for a body that ends too early."""
    return Problem("bad-request", "The body did not arrive whole.")


def read_or_400(read: Callable[[], bytes]) -> bytes:
    """Return the result of `read`, which reads from the body.

    Raises:
        Problem: 400, the body is incomplete.
        HTTPException: Werkzeug's own, 413 for example.
    """
    try:
        return read()
    except HTTPException:
        raise
    except Exception as error:  # the server's: broken chunks, a closed connection
        raise incomplete_body_problem() from error


def reject_truncated(size: int) -> None:
    """Reject a chunked body of this size if Werkzeug has silently truncated it at the limit.

    Raises:
        Problem: 413.
    """
    if request.content_length is None and size == request.max_content_length:
        raise Problem("content-too-large")
