"""The schemas of the document: what apispec cannot see of our fields, and examples."""

import re
from collections.abc import Iterable
from typing import Any

import marshmallow as ma

from app.core.openapi.conventions import JSON
from app.core.schemas.fields import MoneyAmount


def schema_name(schema: Any) -> str:
    """The name of a component: Task in responses, TaskNew and TaskChange in requests."""
    instance = schema() if isinstance(schema, type) else schema
    name = type(instance).__name__.removesuffix("Schema")
    if instance.partial:
        return f"{name}Change"
    return f"{name}New" if instance.exclude else name


_FILTERS = {
    "_from": "Only items whose `{}_at` is this or later.",
    "_to": "Only items whose `{}_at` is earlier.",
    "_min": "Only items whose `{}` is at least this.",
    "_max": "Only items whose `{}` is at most this.",
    "": "Only items with this `{}`.",
}


def describe_field(converter: Any, field: ma.fields.Field[Any], ret: JSON, **__: Any) -> JSON:
    """The JSON Schema keywords of a field that apispec does not know; an attribute function of it.

    Our fields describe themselves: with `openapi_properties()`, and with `variants`, the schemas of
    a list's items by the value of their member `op`.
    """
    properties: JSON = getattr(field, "openapi_properties", dict)()
    if variants := getattr(field, "variants", None):
        refs = {op: converter.resolve_nested_schema(schema) for op, schema in variants.items()}
        mapping = {op: ref["$ref"] for op, ref in refs.items()}
        discriminator = {"propertyName": "op", "mapping": mapping}
        one_of = {"oneOf": list(refs.values()), "discriminator": discriminator}
        # Generators of clients name the type of the items by its title.
        properties["items"] = {"title": f"{schema_name(field.parent)}Item", **one_of}
    if "condition" in field.metadata:
        properties["description"] = _describe_filter(field, ret.get("description"))
    return properties


def _describe_filter(field: ma.fields.Field[Any], description: str | None) -> str:
    name = str(field.name)
    suffix = next(s for s in _FILTERS if name.endswith(s))
    text = description or _FILTERS[suffix].format(name.removesuffix(suffix))
    permission = field.metadata["permission"]
    return f"{text} Requires the permission `{permission}`." if permission else text


def complete_schemas(schemas: JSON, operations: list[JSON]) -> None:
    """Finish the components in place, once every operation refers to those that it uses."""
    for schema in schemas.values():
        _limit_decimals(schema)
    # Clients must accept new members of responses; requests with unknown members are refused:
    # docs/decisions.md#47-openapi-document
    in_requests = _referenced_schemas(operations, "requestBody", schemas)
    for name in _referenced_schemas(operations, "responses", schemas) - in_requests:
        _allow_unknown_members(schemas[name])


def _referenced_schemas(operations: list[JSON], part: str, schemas: JSON) -> set[str]:
    """The names of the schemas that the requests, or the responses, refer to."""
    names: set[str] = set()
    text = repr([operation.get(part) for operation in operations])
    while new := set(re.findall(r"#/components/schemas/(\w+)", text)) - names:
        names |= new
        text = repr([schemas[name] for name in new])
    return names


def _limit_decimals(schema: JSON) -> None:
    """State how many decimals the amounts have, which depends on a sibling, in their object.

    In `dependentSchemas`, which generators of clients ignore; they misunderstand `allOf`.
    """
    amounts: dict[str, list[str]] = {}
    for name, member in schema["properties"].items():
        if currency := member.pop("x-currency", None):
            amounts.setdefault(currency, []).append(name)
    if amounts:
        rules = {name: MoneyAmount.decimals_rule(name, amounts[name]) for name in amounts}
        schema["dependentSchemas"] = rules


def _allow_unknown_members(schema: JSON) -> None:
    schema.pop("additionalProperties", None)
    optional = {n for n, p in schema["properties"].items() if p.pop("x-optional", False)}
    schema["required"] = [name for name in schema["properties"] if name not in optional]


def add_examples(bodies: Iterable[JSON], schemas: JSON) -> None:
    """Add an example to each media type of these request bodies and responses."""
    for body in bodies:
        for media_type in body.get("content", {}).values():
            if "schema" in media_type and "example" not in media_type:
                media_type["example"] = example_of(media_type["schema"], schemas)


_EXAMPLES = {
    "uuid": "019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e07",
    "date-time": "2026-01-31T12:00:00Z",
    "idn-email": "ada1@example.com",
    "password": "correct horse battery staple",
}


def example_of(schema: JSON, schemas: JSON) -> Any:
    """An example of a value, composed of the examples of its members."""
    if "oneOf" in schema:
        return example_of(schema["oneOf"][0], schemas)
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for keyword in ("example", "const", "default"):
        if keyword in schema:
            return schema[keyword]
    match schema["type"]:
        case "object":
            return _example_of_object(schema, schemas)
        case "array":
            return [example_of(schema["items"], schemas)]
        case "integer":
            return max(schema["minimum"], 1)
        case "boolean":
            return True
        case [*_, "null"]:
            return None
    return schema["enum"][0] if "enum" in schema else _EXAMPLES[schema["format"]]


def _example_of_object(schema: JSON, schemas: JSON) -> JSON:
    members, required = schema["properties"], schema.get("required", ())
    shown = [n for n, m in members.items() if n in required or {"example", "$ref"} & m.keys()]
    return {name: example_of(members[name], schemas) for name in shown or members}
