"""Conditional requests (RFC 9110 section 13): ETags are created and compared in this module."""

import re
from collections.abc import Iterable
from hashlib import blake2b, md5
from typing import Any, NamedTuple

import orjson
from flask import request

from app.core.schemas.base import Schema
from app.core.web.flask_app import Response
from app.core.web.problems import Problem
from app.core.web.request_state import current_request, request_state

MAX_HEADER_LENGTH = 8000  # characters of If-Match or If-None-Match

# Also with empty elements, which recipients must accept (RFC 9110 section 5.6.1.2).
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAG_LIST = re.compile(rf"(?:[ \t]*(?:{_TAG}[ \t]*)?,)*[ \t]*(?:{_TAG}[ \t]*)?")
_OPAQUE_TAG = re.compile(r'"[^"]*"')
_VERSION = re.compile(r'"([1-9][0-9]{0,17})(?:-[0-9a-f]+)?"')  # of `etag_of_item`
ANY_TAG = frozenset(["*"])


class Precondition(NamedTuple):
    """The entity tags of If-Match and of If-None-Match, as `parse_tags` returns them."""

    if_match: frozenset[str] = ANY_TAG
    if_none_match: frozenset[str] = frozenset()

    def is_met_by(self, version: int) -> bool:
        """Whether a request that changes an item of this version may be executed."""
        # By the version alone: a member that changes without it is no reason to refuse a change.
        if "*" not in self.if_match and version not in _versions(self.if_match):
            return False
        return "*" not in self.if_none_match and version not in _versions(self.if_none_match)

    @property
    def versions(self) -> list[int] | None:
        """The versions that meet it, None for any.

        Too few where If-None-Match excludes versions: `is_met_by` decides about the others.
        """
        if "*" in self.if_match:
            return [] if self.if_none_match else None
        if "*" in self.if_none_match:
            return []
        return [*_versions(self.if_match) - _versions(self.if_none_match)]


def _versions(tags: frozenset[str]) -> set[int]:
    return {int(found[1]) for tag in tags if (found := _VERSION.fullmatch(tag))}


def etag_of_item(schema: Schema, row: Any) -> str:
    """Return the strong ETag of an item, such as `"3"` or `"3-5fd1a0b2"`.

    It is the version; where the schema has members that may change without it, a digest of them
    follows: docs/decisions.md#69-entity-tags-of-items

    Args:
        row: a row that begins with `schema.columns` and has a `version`.
    """
    if schema.is_versioned:
        return f'"{row.version}"'
    return f'"{row.version}-{etag_digest(schema, [row])[:8]}"'


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


def require_if_match() -> None:
    """Check that the request has If-Match.

    Raises:
        Problem: 428, it is missing (RFC 6585 section 3); 400, it is too long.
    """
    if "HTTP_IF_MATCH" not in request.environ:
        raise Problem("precondition-required")
    precondition()


def precondition() -> Precondition:
    """The preconditions of the request, parsed once.

    Raises:
        Problem: 400, a field is too long.
    """
    state = request_state()
    if state.precondition is None:
        environ = current_request().environ
        fields = environ.get("HTTP_IF_MATCH"), environ.get("HTTP_IF_NONE_MATCH")
        tags = map(_tags_of_field, ("If-Match", "If-None-Match"), fields, Precondition())
        state.precondition = Precondition(*tags)
    parsed: Precondition = state.precondition
    return parsed


def _tags_of_field(name: str, value: str | None, default: frozenset[str]) -> frozenset[str]:
    if value is None:
        return default
    if len(value) > MAX_HEADER_LENGTH:
        raise Problem("bad-request", f"{name} takes at most {MAX_HEADER_LENGTH} characters.")
    return parse_tags(value)


def parse_tags(condition: str) -> frozenset[str]:
    """The entity tags of a condition such as `"3", W/"4"`, with quotes, or `*`.

    They are compared weakly, which RFC 9110 section 13.1.1 does not allow for If-Match.
    """
    # nginx weakens the tag of a response that it compresses; the version in it is still exact:
    # docs/decisions.md#4-weak-entity-tags-in-if-match
    condition = condition.strip()
    if condition == "*":
        return ANY_TAG
    if not _TAG_LIST.fullmatch(condition):
        return frozenset()  # nothing matches: a change is a 412, but 404 comes first
    return frozenset(_OPAQUE_TAG.findall(condition))


def has_tag(tags: frozenset[str], etag: str) -> bool:
    """Whether an entity tag is one of `parse_tags`; the only comparison of entity tags."""
    return not tags.isdisjoint((etag, "*"))


def check_untagged() -> None:
    """Check If-Match of a request for a representation without an entity tag.

    Raises:
        Problem: 412, it names a tag.
    """
    if "HTTP_IF_MATCH" in request.environ and not has_tag(precondition().if_match, "*"):
        raise Problem("precondition-failed")


def make_conditional(response: Response, etag: str, *, matches: bool | None = None) -> Response:
    """Set the entity tag of a 200, or turn it into a 304 where it matches If-None-Match.

    Args:
        matches: the result of the comparison with If-None-Match, where it has been made.

    Raises:
        Problem: 412, it does not match If-Match (RFC 9110 section 13.2.2); 400, a field is too
            long.
    """
    requested = precondition()
    if not has_tag(requested.if_match, etag):
        raise Problem("precondition-failed")
    response.headers["ETag"] = etag
    if has_tag(requested.if_none_match, etag) if matches is None else matches:
        response.status_code = 304
        response.set_data(b"")
        del response.headers["Content-Type"]
        response.headers.pop("Content-Length", None)
    return response
