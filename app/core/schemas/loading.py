"""Validation of request bodies and query parameters against a schema."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import marshmallow as ma
from flask import request

from app.core.schemas.base import Schema
from app.core.web import request_body, strict_json
from app.core.web.problems import ErrorDetail, Problem


def load_body(schema: Schema) -> dict[str, Any]:
    """The request's JSON body, validated.

    Raises:
        Problem: 415 for another media type or coding, 400 for what is no JSON, 413 for too much,
            422 with a JSON Pointer (RFC 6901) for each failing member.
    """
    patch = request.method == "PATCH"
    request_body.check_content_type(
        ("application/json", "application/merge-patch+json")[: 1 + patch]
    )
    try:
        data = strict_json.loads(request_body.read_body())
    except strict_json.StrictJSONError as error:
        raise Problem("bad-request", str(error)) from error
    return load_object(schema, data)


def load_object(schema: Schema, data: Any) -> dict[str, Any]:
    """A JSON object, validated.

    Raises:
        Problem: 422 with a JSON Pointer (RFC 6901) for each failing member.
    """
    return _load(schema, data, errors_as_json_pointers)


def load_query(schema: Schema) -> dict[str, Any]:
    """The request's query parameters, validated.

    Raises:
        Problem: 422 naming each parameter that is unknown, repeated or malformed; 400 for a query
            that is not UTF-8, of which Werkzeug would make something else, or an error.
    """
    if not request.query_string:
        return load_parameters(schema, {})
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError as error:
        raise Problem("bad-request", "The query is not UTF-8.") from error
    given = request.args.to_dict(flat=False)
    repeated = [name for name, values in given.items() if len(values) > 1]
    if repeated:
        errors = _parameter_errors({name: ["Given more than once."] for name in repeated})
        raise Problem("validation-error", errors=errors)
    return load_parameters(schema, {name: values[0] for name, values in given.items()})


def load_parameters(schema: Schema, given: Mapping[str, str]) -> dict[str, Any]:
    """Query parameters as strings, validated; raises as `load_query` does."""
    data = {}
    for name, text in given.items():
        parse_query_value = getattr(schema.load_fields.get(name), "parse_query_value", None)
        data[name] = parse_query_value(text) if parse_query_value else text
    return _load(schema, data, _parameter_errors)


def _load(schema: Schema, data: Any, places: Any) -> dict[str, Any]:
    loaded = schema.load_fast(data)
    if loaded is None:
        try:
            loaded = dict(schema.load(data))
        except ma.ValidationError as error:
            raise Problem("validation-error", errors=places(error.messages_dict)) from error
    return loaded


_IN_FRAGMENT = "!$&'()*+,;=:@?"  # what RFC 3986 section 3.5 lets stand, beside letters and digits


def errors_as_json_pointers(messages: Mapping[Any, Any], at: str = "#") -> list[ErrorDetail]:
    """What marshmallow says of a body, each place by its JSON Pointer (RFC 6901) below `at`."""
    places: list[ErrorDetail] = []
    for key, found in messages.items():
        step = quote(str(key).replace("~", "~0").replace("/", "~1"), safe=_IN_FRAGMENT)
        # A name of a megabyte is not given back; its object is pointed at.
        where = at if key == "_schema" or len(step) > 8000 else f"{at}/{step}"
        if isinstance(found, Mapping):
            places += errors_as_json_pointers(found, where)
        else:
            places += [{"detail": text, "pointer": where} for text in found]
    return places


def _parameter_errors(messages: Mapping[str, Iterable[str]]) -> list[ErrorDetail]:
    def reworded(text: str) -> str:
        return text.replace(Schema.error_messages["unknown"], "Unknown parameter.")

    return [
        {"detail": reworded(text), "parameter": name}
        for name, found in messages.items()
        for text in found
    ]
