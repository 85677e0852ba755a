"""Conditional requests (RFC 9110 section 13): ETags are created and compared in this module."""

import re
from collections.abc import Iterable
from hashlib import blake2b, md5
from typing import Any

import orjson
from flask import request

from app.core.schemas.base import Schema
from app.core.web.flask_app import Response
from app.core.web.problems import Problem

MAX_HEADER_LENGTH = 8000  # characters of If-Match or If-None-Match

_TAG = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAG_LIST = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")


def etag_of_version(version: int) -> str:
    """Return the strong ETag of an item: its version."""
    return f'"{version}"'


def etag_of(content: bytes) -> str:
    """Return a strong ETag: a digest of a body, or of the values that determine it."""
    return f'"{blake2b(content, digest_size=12).hexdigest()}"'


def etag_digest(schema: Schema, rows: Iterable[Any]) -> str:
    """A digest of what decides the ETag of each row, in hexadecimal digits.

    Args:
        rows: rows of `schema.columns`.
    """
    values = [*map(schema.etag_values, rows)]
    # MD5 of the same JSON is what PostgreSQL computes to answer a 304 without sending the rows.
    json = orjson.dumps(values, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)
    return md5(json, usedforsecurity=False).hexdigest()


def if_match_versions() -> frozenset[int] | None:
    """Return the versions that the request's If-Match accepts; see `parse_if_match`.

    Raises:
        Problem: 428, If-Match is missing (RFC 6585 section 3); 400, it is too long.
    """
    versions = get_condition_header("If-Match")
    if versions is None:
        raise Problem("precondition-required")
    return parse_if_match(versions)


def parse_if_match(condition: str) -> frozenset[int] | None:
    """Return the versions that a condition such as `"3"` accepts; None for `*`, any version.

    Weak tags match as well, which RFC 9110 section 13.1.1 does not allow.
    """
    # nginx weakens the tag of a response that it compresses; the version in it is still exact:
    # docs/decisions.md#4-weak-entity-tags-in-if-match
    condition = condition.strip()
    if condition == "*":
        return None
    if not _TAG_LIST.fullmatch(condition):
        return frozenset()  # nothing matches: 412, but 404 comes first
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


def make_conditional(response: Response, etag: str, *, matches: bool | None = None) -> Response:
    """Set the entity tag of a 200, or turn it into a 304 where it matches If-None-Match.

    Args:
        matches: the result of the comparison, where the database has made it.
    """
    response.headers["ETag"] = etag
    if matches_if_none_match(etag) if matches is None else matches:
        response.status_code = 304
        response.set_data(b"")
        del response.headers["Content-Type"]
        response.headers.pop("Content-Length", None)
    return response


def get_condition_header(name: str) -> str | None:
    """Return the value of a header field, None if the request has none.

    Raises:
        Problem: 400, it is too long.
    """
    value = request.headers.get(name)
    if value is not None and len(value) > MAX_HEADER_LENGTH:
        raise Problem("bad-request", f"{name} takes at most {MAX_HEADER_LENGTH} characters.")
    return value
