"""Conditional requests (RFC 9110 section 13): where ETags are made, and where they are compared."""

import re
from hashlib import blake2b

from flask import request

from app.core.web.flask_app import Response
from app.core.web.problems import Problem

MAX_HEADER_LENGTH = 8000  # characters of a condition

_TAG = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAG_LIST = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")


def etag_of_version(version: int) -> str:
    """The strong entity tag of an item: its version, so no body is ever hashed."""
    return f'"{version}"'


def etag_of(content: bytes) -> str:
    """The strong entity tag of anything else: a digest of its bytes, or of what decides them."""
    return f'"{blake2b(content, digest_size=12).hexdigest()}"'


def if_match_versions() -> frozenset[int] | None:
    """The versions that the request's If-Match allows to be changed; see `versions_in`.

    Raises:
        Problem: 428 where If-Match is missing (RFC 6585 section 3), 400 where it is too long.
    """
    versions = get_condition_header("If-Match")
    if versions is None:
        raise Problem("precondition-required")
    return parse_if_match(versions)


def parse_if_match(condition: str) -> frozenset[int] | None:
    """The versions that a condition such as `"3"` allows; None for `*`, any version.

    A weak tag counts as the strong one: ours are version numbers, and what weakens them on the
    way is nginx, when it compresses the answer (RFC 9110 section 8.8.1).
    """
    condition = condition.strip()
    if condition == "*":
        return None
    if not _TAG_LIST.fullmatch(condition):
        return frozenset()  # no tag matches: 412, once the resource is known to exist
    return frozenset(int(tag) for tag in re.findall(r'"([1-9][0-9]{0,17})"', condition))


def if_none_match_tags() -> frozenset[str]:
    """The entity tags of the request's If-None-Match, with quotes and without `W/`; or `*`.

    They are compared weakly (RFC 9110 section 13.1.2). Empty where the request has none.

    Raises:
        Problem: 400, the field is too long.
    """
    condition = get_condition_header("If-None-Match")
    if condition is None:
        return frozenset()
    return frozenset(["*"] if condition.strip() == "*" else re.findall(r'"[^"]*"', condition))


def matches_if_none_match(etag: str) -> bool:
    """Whether the caller has the representation with this entity tag, by If-None-Match."""
    return not if_none_match_tags().isdisjoint((etag, "*"))


def make_conditional(response: Response, etag: str, *, is_held: bool | None = None) -> Response:
    """Set the entity tag of a 200, or turn it into a 304 where the caller has it already.

    Args:
        is_held: whether the caller has it, where that is known: the result of a database's
            comparison. By default it is found out here (RFC 9110 section 13.1.2).
    """
    response.headers["ETag"] = etag
    if matches_if_none_match(etag) if is_held is None else is_held:
        response.status_code = 304
        response.set_data(b"")
        del response.headers["Content-Type"]
        response.headers.pop("Content-Length", None)
    return response


def get_condition_header(name: str) -> str | None:
    """The header field's value, or None where the request has none.

    Raises:
        Problem: 400, it is too long.
    """
    value = request.headers.get(name)
    if value is not None and len(value) > MAX_HEADER_LENGTH:
        raise Problem("bad-request", f"{name} takes at most {MAX_HEADER_LENGTH} characters.")
    return value
