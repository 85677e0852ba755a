"""Loading with a schema, and its error messages as the `errors` of a problem (RFC 9457)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from app.core.schemas.base import Schema

MAX_NAME_LENGTH = 8000  # characters of a member name in a pointer

# What RFC 3986 section 3.5 allows in a fragment, apart from letters and digits.
_FRAGMENT_CHARS = "!$&'()*+,;=:@?"


def load(schema: Schema, data: Any) -> dict[str, Any]:
    """Data as parsed from JSON, validated: the values by member.

    Raises:
        marshmallow.ValidationError: it is not valid; `messages_dict` holds every reason.
    """
    loaded = schema.load_fast(data)
    return dict(schema.load(data)) if loaded is None else loaded


def errors_as_json_pointers(messages: Mapping[Any, Any], base: str = "#") -> list[dict[str, str]]:
    """The messages of a `ValidationError`, each with the JSON Pointer (RFC 6901) of its member.

    Args:
        messages: `messages_dict` of the error.
        base: the pointer of the object that was loaded, as a URI fragment (section 6).

    Returns:
        `[{"detail": "Not a valid string.", "pointer": "#/name"}, …]`.
    """
    errors: list[dict[str, str]] = []
    for key, reasons in messages.items():
        step = quote(str(key).replace("~", "~0").replace("/", "~1"), safe=_FRAGMENT_CHARS)
        # A name of a megabyte would be returned in full: the pointer ends at its object.
        is_object = key == "_schema" or len(step) > MAX_NAME_LENGTH
        pointer = base if is_object else f"{base}/{step}"
        if isinstance(reasons, Mapping):
            errors += errors_as_json_pointers(reasons, pointer)
        else:
            errors += [{"detail": text, "pointer": pointer} for text in reasons]
    return errors


def errors_as_parameters(messages: Mapping[str, Any]) -> list[dict[str, str]]:
    """The messages of a `ValidationError` about query parameters, each with the parameter's name.

    Returns:
        `[{"detail": "Unknown parameter.", "parameter": "colour"}, …]`.
    """

    def reworded(text: str) -> str:
        return text.replace(Schema.error_messages["unknown"], "Unknown parameter.")

    return [
        {"detail": reworded(text), "parameter": name}
        for name, reasons in messages.items()
        for text in reasons
    ]
