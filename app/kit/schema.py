"""Schemas: what comes in is refused unless declared, what goes out is dumped without reflection."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from hashlib import md5
from operator import itemgetter
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import marshmallow as ma
from sqlalchemy.orm import InstrumentedAttribute

from app.kit import bodies, current, json
from app.kit.fields import Amount, Integer, Timestamp
from app.kit.problems import Place, Problem
from app.kit.quick import Check, check_of


class Schema(ma.Schema):
    """One resource's members: `dump_only` ones are read-only, unknown ones are refused."""

    class Meta:
        unknown = ma.RAISE

    error_messages = {
        "unknown": "Unknown or read-only member.",
        "type": "Must be a JSON object.",
    }

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The members given out, in order; each is the name of a model's column as well."""
        return tuple(name for name in self.dump_fields if name not in self.transient)

    @cached_property
    def transient(self) -> frozenset[str]:
        """The members that are no columns, but attributes of an instance just made: secrets."""
        fields = self.dump_fields.items()
        return frozenset(name for name, field in fields if field.metadata.get("transient"))

    @cached_property
    def _amounts(self) -> list[tuple[str, str | None]]:
        """The members that orjson cannot write as the database gives them, and their currencies."""
        fields = self.dump_fields.items()
        return [(name, field.currency) for name, field in fields if isinstance(field, Amount)]

    @cached_property
    def _checks(self) -> list[tuple[str, Check]] | None:
        """The quick check of each member; None where `load` does more than to look at each."""
        fields = self.load_fields.items()
        special = any(f.data_key or f.attribute or callable(f.load_default) for _, f in fields)
        if special or any(self._hooks.values()) or (self._defaults and self.partial):
            return None
        return [(name, check_of(field)) for name, field in fields]

    def load_quickly(self, data: Any) -> dict[str, Any] | None:
        """What `load` gives for data that is plainly right; None for any other."""
        checks = self._checks
        if checks is None or type(data) is not dict:
            return None
        loaded, known = {}, 0
        for name, check in checks:
            if name in data:
                known += 1
                value = loaded[name] = check(data[name], data)
                if value is NotImplemented:
                    return None
            elif name in self._defaults:
                loaded[name] = self._defaults[name]
            elif name in self._required:
                return None
        return loaded if known == len(data) else None

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        fields = self.load_fields.items()
        return {name: f.load_default for name, f in fields if f.load_default is not ma.missing}

    @cached_property
    def _required(self) -> frozenset[str]:
        fields = () if self.partial else self.load_fields.items()
        return frozenset(name for name, field in fields if field.required)

    def columns(self, model: type) -> list[InstrumentedAttribute[Any]]:
        """The columns to select, so that a row can be given to `dump_row`."""
        return [getattr(model, name) for name in self.names]

    @cached_property
    def state_names(self) -> tuple[str, ...]:
        """The members that are others where `dump_row` makes something else of a row.

        Whoever changes a member that callers may write raises the version with it; the server's
        own members, such as when a key was last used, may change without.
        """
        if "version" not in self.names:
            return self.names
        known = {name for name, field in self.fields.items() if not field.dump_only}
        return tuple(
            name for name in self.names if name not in {*known, "created_at", "updated_at"}
        )

    @cached_property
    def _state(self) -> Callable[[Any], Any]:
        return itemgetter(*map(self.names.index, self.state_names))

    def digest(self, rows: Iterable[Any]) -> str:
        """A digest of the states of rows, in hexadecimal digits."""
        return md5(json.dumps([*map(self._state, rows)]), usedforsecurity=False).hexdigest()

    def dump_row(self, row: Any) -> dict[str, Any]:
        """What `dump` gives for the same values, as far as JSON shows, some forty times faster.

        Args:
            row: a row that begins with `columns`, in their order.
        """
        members: dict[str, Any] = dict(zip(self.names, row))  # noqa: B905 - `strict` costs as much
        for name, currency in self._amounts:
            value = members[name]
            if value is not None:
                code = members[currency] if currency else None
                members[name] = Amount.to_text(value, code)
        return members


class ResourceSchema(Schema):
    """The members of everything that has a URL; all of them the server's."""

    id = ma.fields.UUID(dump_only=True)
    version = Integer(least=1, most=2**31 - 1, dump_only=True)
    created_at = Timestamp(dump_only=True)
    updated_at = Timestamp(dump_only=True)


def load_body(schema: Schema) -> dict[str, Any]:
    """The request's JSON body, validated.

    Raises:
        Problem: 415 for another media type or coding, 400 for what is no JSON, 413 for too much,
            422 with a JSON Pointer (RFC 6901) for each failing member.
    """
    request = current.request()
    patch = request.method == "PATCH"
    bodies.check_type(("application/json", "application/merge-patch+json")[: 1 + patch])
    try:
        data = json.loads(bodies.read())
    except json.StrictJSONError as error:
        raise Problem("bad-request", str(error)) from error
    return load_object(schema, data)


def load_object(schema: Schema, data: Any) -> dict[str, Any]:
    """A JSON object, validated.

    Raises:
        Problem: 422 with a JSON Pointer (RFC 6901) for each failing member.
    """
    return _load(schema, data, pointers)


def load_query(schema: Schema) -> dict[str, Any]:
    """The request's query parameters, validated.

    Raises:
        Problem: 422 naming each parameter that is unknown, repeated or malformed; 400 for a query
            that is not UTF-8, of which Werkzeug would make something else, or an error.
    """
    request = current.request()
    if not request.query_string:
        return load_parameters(schema, {})
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError as error:
        raise Problem("bad-request", "The query is not UTF-8.") from error
    given = request.args.to_dict(flat=False)
    repeated = [name for name, values in given.items() if len(values) > 1]
    if repeated:
        errors = _parameters({name: ["Given more than once."] for name in repeated})
        raise Problem("validation-error", errors=errors)
    return load_parameters(schema, {name: values[0] for name, values in given.items()})


def load_parameters(schema: Schema, given: Mapping[str, str]) -> dict[str, Any]:
    """Query parameters as strings, validated; raises as `load_query` does."""
    data = {}
    for name, text in given.items():
        from_text = getattr(schema.load_fields.get(name), "from_text", None)
        data[name] = from_text(text) if from_text else text
    return _load(schema, data, _parameters)


def _load(schema: Schema, data: Any, places: Any) -> dict[str, Any]:
    loaded = schema.load_quickly(data)
    if loaded is None:
        try:
            loaded = dict(schema.load(data))
        except ma.ValidationError as error:
            raise Problem("validation-error", errors=places(error.messages_dict)) from error
    return loaded


_IN_FRAGMENT = "!$&'()*+,;=:@?"  # what RFC 3986 section 3.5 lets stand, beside letters and digits


def pointers(messages: Mapping[Any, Any], at: str = "#") -> list[Place]:
    """What marshmallow says of a body, each place by its JSON Pointer (RFC 6901) below `at`."""
    places: list[Place] = []
    for key, found in messages.items():
        step = quote(str(key).replace("~", "~0").replace("/", "~1"), safe=_IN_FRAGMENT)
        # A name of a megabyte is not given back; its object is pointed at.
        where = at if key == "_schema" or len(step) > 8000 else f"{at}/{step}"
        if isinstance(found, Mapping):
            places += pointers(found, where)
        else:
            places += [{"detail": text, "pointer": where} for text in found]
    return places


def _parameters(messages: Mapping[str, Iterable[str]]) -> list[Place]:
    def reworded(text: str) -> str:
        return text.replace(Schema.error_messages["unknown"], "Unknown parameter.")

    return [
        {"detail": reworded(text), "parameter": name}
        for name, found in messages.items()
        for text in found
    ]
