"""JSON Merge Patch (RFC 7396): bodies of a PATCH, and the objects inside them.

No member of such a body is required. An object changes the members that it has, and null removes
one; a list replaces the stored one, so its items are complete.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import marshmallow as ma

from app.core.schemas.base import Schema, nested_schema
from app.core.schemas.fields import MoneyAmount


class MergePatch(dict[str, Any]):
    """An object in the body of a PATCH, as it was sent: changes to the stored object."""

    def __init__(self, sent: Mapping[str, Any], field: ma.fields.Field[Any]) -> None:
        super().__init__(sent)
        self.field = field  # of the whole object

    def apply(self, stored: dict[str, Any] | None) -> Any:
        """The new object to store, validated as a whole.

        Args:
            stored: the object in the JSON column.

        Raises:
            marshmallow.ValidationError: the new object is not valid, such as without a required
                member.
        """
        schema = nested_schema(self.field)
        if schema is None:
            return self.field.deserialize(_merge(stored, self))
        before = stored or {}
        loaded = self.field.deserialize(_merge(_as_sent(schema, before), self))
        return _with_read_only(schema, before, loaded)


def _merge(target: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """MergePatch of RFC 7396 section 2."""
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value) if isinstance(value, dict) else value
    return merged


def _as_sent(schema: ma.Schema, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a stored object that callers write, in the form in which they send them."""

    def convert(field: ma.fields.Field[Any], value: Any) -> Any:
        inner = nested_schema(field)
        if inner and isinstance(value, list):
            return [_as_sent(inner, each) for each in value]
        if inner and isinstance(value, dict):
            return _as_sent(inner, value)
        if isinstance(field, MoneyAmount) and value is not None:
            return MoneyAmount.to_text(value, stored.get(field.currency or ""))
        return value

    fields = schema.load_fields.items()
    return {name: convert(field, stored[name]) for name, field in fields if name in stored}


def _with_read_only(
    schema: ma.Schema, stored: Mapping[str, Any], loaded: dict[str, Any]
) -> dict[str, Any]:
    """The loaded object with the members of the stored one that callers cannot write."""
    for name, field in schema.load_fields.items():
        inner, before, after = nested_schema(field), stored.get(name), loaded.get(name)
        if inner and isinstance(before, dict) and isinstance(after, dict):
            loaded[name] = _with_read_only(inner, before, after)
    return {n: v for n, v in stored.items() if n not in schema.load_fields} | loaded


class _PatchedObject(ma.fields.Nested):
    """A nested object in the body of a PATCH; loads to a `MergePatch`."""

    def __init__(self, whole: ma.fields.Nested) -> None:
        inner = whole.schema
        patch = patch_schema(type(inner), exclude=frozenset(inner.exclude))
        for field in patch.load_fields.values():
            field.allow_none = True  # null removes the member
        super().__init__(patch, allow_none=whole.allow_none, metadata=whole.metadata)
        self.whole = whole

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        super()._deserialize(
            _without_nulls(self.schema, value), *args, **kwargs | {"partial": None}
        )
        return MergePatch(value, self.whole)


def _without_nulls(schema: ma.Schema, value: Any) -> Any:
    """The object without the members that are null: no rule but that of unknown ones applies."""
    if not isinstance(value, dict):
        return value
    rest: dict[str, Any] = {}
    for name, member in value.items():
        field = schema.load_fields.get(name)
        if member is not None or field is None:
            inner = field.schema if isinstance(field, _PatchedObject) else None
            rest[name] = _without_nulls(inner, member) if inner else member
    return rest


class _PatchedDict(ma.fields.Dict):
    """An object of any members in the body of a PATCH; loads to a `MergePatch`."""

    def __init__(self, whole: ma.fields.Dict) -> None:
        super().__init__(allow_none=whole.allow_none, metadata=whole.metadata)
        self.whole = whole

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        return MergePatch(value, self.whole)


@lru_cache(maxsize=256)
def patch_schema(schema: type[Schema], *, exclude: frozenset[str] = frozenset()) -> Schema:
    """The body of a PATCH of a resource with this schema."""
    whole = schema(exclude=exclude)
    objects: dict[str, Any] = {}
    for name, field in whole.load_fields.items():
        if isinstance(field, ma.fields.Nested) and not field.many:
            objects[name] = _PatchedObject(field)
        elif isinstance(field, ma.fields.Dict):
            objects[name] = _PatchedDict(field)
    read_only = exclude.union(name for name, field in whole.fields.items() if field.dump_only)
    has_lists = any(nested_schema(field) for field in whole.load_fields.values())
    if not objects and not has_lists:
        return schema(partial=True, exclude=read_only)
    members = objects | {"__module__": schema.__module__, "__doc__": schema.__doc__}
    patched: type[Schema] = type(schema.__name__, (schema,), members)
    # By name, because `True` would apply to the items of lists as well.
    return patched(partial=tuple(whole.load_fields), exclude=read_only)
