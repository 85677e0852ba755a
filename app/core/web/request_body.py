"""What holds for every request body, JSON or file: its type, its coding, and that it is whole."""

from collections.abc import Callable, Sequence
from functools import partial

from flask import current_app, request
from werkzeug.exceptions import HTTPException

from app.core.web.problems import Problem


def check_content_type(media_types: Sequence[str], codings: Sequence[str] = ("identity",)) -> str:
    """The body's content coding, once its headers are such as we take.

    Raises:
        Problem: 415 for another media type, charset or coding; it says which are taken.
    """
    environ = request.environ
    if environ.get("CONTENT_TYPE") == media_types[0] and "HTTP_CONTENT_ENCODING" not in environ:
        return "identity"  # as nearly always: nothing is to be parsed
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
    """The body, all of it.

    Raises:
        Problem: 400, it is broken off. Whatever Werkzeug raises, as 413, is passed on.
    """
    most = current_app.config["MAX_CONTENT_LENGTH"]
    told = request.environ.get("CONTENT_LENGTH", "")
    if told.isdecimal() and len(told) < 20 and int(told) <= most:  # Python converts no long ones
        # Werkzeug's way around the same read takes five times as long.
        body = read_or_400(partial(request.environ["wsgi.input"].read, int(told)))
        if len(body) < int(told):
            raise incomplete_body_problem()
    else:
        body = read_or_400(partial(request.get_data, cache=False))
        reject_truncated(len(body))
    return body


def incomplete_body_problem() -> Problem:
    """The answer to a body that ends before its time."""
    return Problem("bad-request", "The body did not arrive whole.")


def read_or_400(read: Callable[[], bytes]) -> bytes:
    """What `read` takes of the body.

    Raises:
        Problem: 400, the body is broken off. Whatever Werkzeug raises, as 413, is passed on.
    """
    try:
        return read()
    except HTTPException:
        raise
    except Exception as error:  # the server's own, for broken chunks and connections
        raise incomplete_body_problem() from error


def reject_truncated(size: int) -> None:
    """Make sure that so many bytes are all there were.

    Raises:
        Problem: 413, Werkzeug has cut a chunked body off at the limit, which it does silently.
    """
    if request.content_length is None and size == request.max_content_length:
        raise Problem("content-too-large")
