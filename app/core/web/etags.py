"""Conditional requests (RFC 9110 section 13): where ETags are made, and where they are compared."""

import re
from collections.abc import Iterable
from hashlib import blake2b, md5
from typing import Any

import orjson
from flask import request

from app.core.schemas.base import Schema
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


def matches_if_none_match(etag: str) -> bool:
    """Whether the caller says, with If-None-Match, that they have what the tag stands for."""
    tags = get_condition_header("If-None-Match")
    return tags is not None and (tags.strip() == "*" or etag in re.findall(r'"[^"]*"', tags))


def make_conditional(response: Response, etag: str) -> Response:
    """Give a 200 its tag, or turn it into a 304 where the caller has it (section 13.1.2)."""
    response.headers["ETag"] = etag
    if matches_if_none_match(etag):
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
