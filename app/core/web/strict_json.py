"""JSON: strict parsing of requests (RFC 8259, RFC 7493), fast serialisation of responses."""

import json
from typing import Any

import orjson
from flask.json.provider import JSONProvider


class StrictJSONError(ValueError):
    """The bytes are not one JSON text in UTF-8, or a member name occurs twice in an object."""


def loads(body: bytes) -> Any:
    """Return the value of a request body.

    Raises:
        StrictJSONError: its message may be shown to the client.
    """
    # Parsed twice: orjson rejects what the standard library accepts (NaN, 1e999, lone surrogates,
    # a byte order mark, other encodings, depth beyond 1024), and the standard library detects
    # repeated member names, which orjson accepts. docs/decisions.md#45-strict-input
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise StrictJSONError(f"The body is not valid JSON: {error.msg}.") from error
    try:
        return _DECODER.decode(body.decode())
    except RecursionError as error:
        raise StrictJSONError("The body is nested too deeply.") from error
    except StrictJSONError:
        raise
    except ValueError as error:  # integers of thousands of digits
        raise StrictJSONError("The body contains a number that is too large.") from error


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise StrictJSONError("The body repeats a member name within one object.")
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members)


def dumps(value: Any) -> bytes:
    """Return JSON in UTF-8; date-times in UTC with `Z` (RFC 3339), UUIDs as strings."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


class ORJSONProvider(JSONProvider):
    """Makes `flask.jsonify` and the responses of extensions use the same JSON."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:  # noqa: D102
        if kwargs.get("indent"):  # for `flask openapi`
            return orjson.dumps(obj, option=orjson.OPT_INDENT_2).decode()
        return dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:  # noqa: D102
        return loads(s.encode() if isinstance(s, str) else s)
