"""The query parameters of a request, validated by a schema."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import marshmallow as ma
from flask import request

from app.core.schemas.base import Schema
from app.core.schemas.loading import errors_as_parameters, load
from app.core.web.problems import Problem


def load_query(schema: Schema) -> dict[str, Any]:
    """The request's query parameters, validated: the values by name.

    Raises:
        Problem: 422 naming each parameter that is unknown, repeated or malformed; 400 for a query
            that is not UTF-8.
    """
    if not request.query_string:
        return load_parameters(schema, {})
    # Werkzeug replaces bytes that are not UTF-8, so a search would find the replacement character.
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError as error:
        raise Problem("bad-request", "The query is not UTF-8.") from error
    parameters = request.args.to_dict(flat=False)
    # Flask uses the first value, proxies the last: docs/decisions.md#45-strict-input
    repeated = [name for name, values in parameters.items() if len(values) > 1]
    if repeated:
        messages = {name: ["Parameter must not be repeated."] for name in repeated}
        raise Problem("validation-error", errors=errors_as_parameters(messages))
    return load_parameters(schema, {name: values[0] for name, values in parameters.items()})


def load_parameters(schema: Schema, texts: Mapping[str, str]) -> dict[str, Any]:
    """Query parameters as strings, validated: the values by name.

    A field that is no string converts its text with `parse_query_value`.

    Raises:
        Problem: 422 naming each parameter that is unknown or malformed.
    """
    data: dict[str, Any] = {}
    for name, text in texts.items():
        convert = getattr(schema.load_fields.get(name), "parse_query_value", None)
        data[name] = convert(text) if convert else text
    try:
        return load(schema, data)
    except ma.ValidationError as error:
        errors = errors_as_parameters(error.messages_dict)
        raise Problem("validation-error", errors=errors) from error
