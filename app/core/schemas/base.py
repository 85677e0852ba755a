"""Schemas: what comes in is refused unless declared, what goes out is dumped without reflection."""

from collections.abc import Callable, Iterable
from functools import cached_property
from hashlib import md5
from operator import itemgetter
from typing import Any

import marshmallow as ma
from sqlalchemy.orm import InstrumentedAttribute

from app.core.schemas.fast_validators import FastValidator, fast_validator_for
from app.core.schemas.fields import DateTime, Integer, MoneyAmount
from app.core.web import strict_json


class Schema(ma.Schema):
    """One resource's members: `dump_only` ones are read-only, unknown ones are refused."""

    class Meta:
        unknown = ma.RAISE

    error_messages = {
        "unknown": "Unknown or read-only member.",
        "type": "Must be a JSON object.",
    }

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """The members given out, in order; each is the name of a model's column as well."""
        return tuple(name for name in self.dump_fields if name not in self.show_once)

    @cached_property
    def show_once(self) -> frozenset[str]:
        """The members that are no columns, but attributes of an instance just made: secrets."""
        fields = self.dump_fields.items()
        return frozenset(name for name, field in fields if field.metadata.get("show_once"))

    @cached_property
    def _amounts(self) -> list[tuple[str, str | None]]:
        """The members that orjson cannot write as the database gives them, and their currencies."""
        fields = self.dump_fields.items()
        return [(name, field.currency) for name, field in fields if isinstance(field, MoneyAmount)]

    @cached_property
    def _checks(self) -> list[tuple[str, FastValidator]] | None:
        """The quick check of each member; None where `load` does more than to look at each."""
        fields = self.load_fields.items()
        special = any(f.data_key or f.attribute or callable(f.load_default) for _, f in fields)
        if special or any(self._hooks.values()) or (self._defaults and self.partial):
            return None
        return [(name, fast_validator_for(field)) for name, field in fields]

    def load_fast(self, data: Any) -> dict[str, Any] | None:
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
        """The columns to select, so that a row can be given to `row_to_dict`."""
        return [getattr(model, name) for name in self.column_names]

    @cached_property
    def etag_columns(self) -> tuple[str, ...]:
        """The members that are others where `row_to_dict` makes something else of a row.

        Whoever changes a member that callers may write raises the version with it; the server's
        own members, such as when a key was last used, may change without.
        """
        if "version" not in self.column_names:
            return self.column_names
        known = {name for name, field in self.fields.items() if not field.dump_only}
        return tuple(
            name for name in self.column_names if name not in {*known, "created_at", "updated_at"}
        )

    @cached_property
    def _state(self) -> Callable[[Any], Any]:
        return itemgetter(*map(self.column_names.index, self.etag_columns))

    def etag_digest(self, rows: Iterable[Any]) -> str:
        """A digest of the states of rows, in hexadecimal digits."""
        return md5(strict_json.dumps([*map(self._state, rows)]), usedforsecurity=False).hexdigest()

    def row_to_dict(self, row: Any) -> dict[str, Any]:
        """What `dump` gives for the same values, as far as JSON shows, some forty times faster.

        Args:
            row: a row that begins with `columns`, in their order.
        """
        members: dict[str, Any] = dict(zip(self.column_names, row))  # noqa: B905 - `strict` costs as much
        for name, currency in self._amounts:
            value = members[name]
            if value is not None:
                code = members[currency] if currency else None
                members[name] = MoneyAmount.to_text(value, code)
        return members


class ResourceSchema(Schema):
    """The members of everything that has a URL; all of them the server's."""

    id = ma.fields.UUID(dump_only=True)
    version = Integer(min=1, max=2**31 - 1, dump_only=True)
    created_at = DateTime(dump_only=True)
    updated_at = DateTime(dump_only=True)
