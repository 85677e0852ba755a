"""The base of all schemas: unknown members are refused; rows are serialised without reflection."""

from collections.abc import Callable
from functools import cached_property
from inspect import isfunction
from operator import itemgetter
from typing import Any

import marshmallow as ma

from app.config import StartError
from app.core.schemas.fields import UUID, DateTime, Integer, MoneyAmount


class Schema(ma.Schema):
    """The members of one JSON object: `dump_only` ones are read-only, unknown ones are refused.

    `load` and `dump` work as marshmallow documents them, hooks included. `load_fast` returns the
    result of `load`, and `row_to_dict` that of `dump`, in a fraction of the time.
    """

    class Meta:
        unknown = ma.RAISE

    error_messages = {
        "unknown": "Unknown or read-only member.",
        "type": "Must be a JSON object.",
    }

    def load_fast(self, data: Any) -> dict[str, Any] | None:
        """The result of `load` for valid data; None where `load` has to decide."""
        # The fields' own `deserialize` applies the rules of `load`, without its bookkeeping of
        # error messages, half of its time: docs/decisions.md#46-one-validator
        if type(data) is not dict or not self.is_loaded_by_fields:
            return None
        loaded: dict[str, Any] = {}
        used = 0  # members of the data that are fields
        try:
            for name, deserialize, default, required in self._load_plan:
                if name in data:
                    used += 1
                    loaded[name] = deserialize(data[name], name, data)
                elif required:
                    return None
                elif default is not ma.missing:
                    loaded[name] = default() if callable(default) else default
        except ma.ValidationError:
            return None
        return loaded if used == len(data) else None

    @cached_property
    def is_loaded_by_fields(self) -> bool:
        """Whether `load` does no more than to call each field that the data has, or its default."""
        if self._may_have_hooks or self.many or self.partial not in (None, False, True):
            return False
        return not any(
            field.data_key or field.attribute or nested_schema(field)
            for field in self.load_fields.values()
        )

    @cached_property
    def _may_have_hooks(self) -> bool:
        """Whether the class has methods of its own: marshmallow has no public way to ask."""
        own = [vars(each) for each in type(self).__mro__ if not issubclass(Schema, each)]
        names = [n for members in own for n, value in members.items() if isfunction(value)]
        # Since Python 3.14 a class with annotations has this function (PEP 649).
        return bool({*names} - {*vars(Schema), "__annotate_func__"})

    @cached_property
    def _load_plan(self) -> list[tuple[str, Callable[..., Any], Any, bool]]:
        """Name, `deserialize`, default and whether it is required, of each member to load."""
        return [
            # Under `partial`, neither `required` nor a default applies.
            (name, field.deserialize, ma.missing, False)
            if self.partial
            else (name, field.deserialize, field.load_default, field.required)
            for name, field in self.load_fields.items()
        ]

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """The members that `row_to_dict` returns, in order; each is the name of a column as well.

        All that are dumped, except those of `show_once`.
        """
        return tuple(name for name in self.dump_fields if name not in self.show_once)

    @cached_property
    def show_once(self) -> frozenset[str]:
        """The members that are attributes of a new instance, but no columns: generated secrets.

        A field says so with `metadata={"show_once": True}`; the response of a create has it.
        """
        fields = self.dump_fields.items()
        return frozenset(name for name, field in fields if field.metadata.get("show_once"))

    def columns(self, model: type) -> list[Any]:
        """The columns of the model to select for `row_to_dict`, in the order of `column_names`.

        A field with a method `column(model)` is not a column of the table, but this expression.
        """
        return [self._column(model, name) for name in self.column_names]

    def _column(self, model: Any, name: str) -> Any:
        field: Any = self.dump_fields[name]
        if hasattr(field, "column"):
            return field.column(model)
        column = getattr(model, name)
        return column if name in model.__table__.c else column.label(name)

    @cached_property
    def etag_columns(self) -> tuple[str, ...]:
        """The names of the columns that decide the ETag of a row.

        Where there is a `version`, it stands for every member that callers may write. Read-only
        members, such as when a key was last used, may change without it, so they count as well.
        """
        if "version" not in self.column_names:
            return self.column_names
        covered = {name for name, field in self.fields.items() if not field.dump_only}
        covered |= {"created_at", "updated_at"}
        return tuple(name for name in self.column_names if name not in covered)

    @cached_property
    def is_versioned(self) -> bool:
        """Whether the ETag of a row is decided by its id and version alone."""
        return self.etag_columns == ("id", "version")

    @cached_property
    def etag_values(self) -> Callable[[Any], Any]:
        """A function that picks the values of `etag_columns` from a row of `columns`."""
        return itemgetter(*map(self.column_names.index, self.etag_columns))

    def row_to_dict(self, row: Any) -> dict[str, Any]:
        """A row as JSON members; orjson writes them as it writes the result of `dump`.

        Args:
            row: a row of `columns`, or a sequence that begins with the same values.

        `check_serialisable` refuses schemas for which the two would differ.
        """
        members: dict[str, Any] = dict(zip(self.column_names, row))  # noqa: B905 - `strict` costs as much
        if self._has_conversions:
            self._convert(members)
        return members

    @cached_property
    def _has_conversions(self) -> bool:
        return bool(self._amounts or self._nested)

    @cached_property
    def _amounts(self) -> list[tuple[str, str | None]]:
        """The amounts, and the members that name their currencies: orjson writes no `Decimal`."""
        fields = self.dump_fields.items()
        return [(name, field.currency) for name, field in fields if isinstance(field, MoneyAmount)]

    @cached_property
    def _nested(self) -> list[tuple[str, "Schema"]]:
        """The members with objects inside, and the schemas of those."""
        pairs = ((name, nested_schema(field)) for name, field in self.dump_fields.items())
        return [(name, schema) for name, schema in pairs if isinstance(schema, Schema)]

    def _convert(self, members: dict[str, Any]) -> None:
        for name, currency in self._amounts:
            value = members.get(name)
            if value is not None:
                code = members.get(currency) if currency else None
                members[name] = MoneyAmount.to_text(value, code)
        for name, schema in self._nested:
            value = members.get(name)
            if isinstance(value, list):
                members[name] = [schema.object_to_dict(each) for each in value]
            elif value is not None:
                members[name] = schema.object_to_dict(value)

    def object_to_dict(self, stored: dict[str, Any]) -> dict[str, Any]:
        """An object of a JSON column, without its write-only members."""
        members = {name: stored[name] for name in self.column_names if name in stored}
        self._convert(members)
        return members


def derived_schema(schema: type[Schema], suffix: str, members: dict[str, Any]) -> Schema:
    """A schema with these members, named after another: TaskPageSchema after TaskSchema.

    Raises:
        StartError: the name of the other does not end in Schema.
    """
    if not schema.__name__.endswith("Schema"):
        raise StartError(f"{schema.__module__}.{schema.__name__}: its name does not end in Schema")
    name = schema.__name__.replace("Schema", f"{suffix}Schema")
    return Schema.from_dict(members, name=name)()  # type: ignore[return-value]


def nested_schema(field: ma.fields.Field[Any]) -> ma.Schema | None:
    """The schema of a `Nested` field, or of the items of a list of them; None for other fields."""
    inner = field.inner if isinstance(field, ma.fields.List) else field
    return inner.schema if isinstance(inner, ma.fields.Nested) else None


class ResourceSchema(Schema):
    """The members of every resource that has a URL, all of them read-only."""

    id = UUID(dump_only=True)
    version = Integer(min=1, max=2**31 - 1, dump_only=True)
    created_at = DateTime(dump_only=True)
    updated_at = DateTime(dump_only=True)
