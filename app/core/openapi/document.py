"""The OpenAPI 3.1 document: what flask-smorest writes of the routes, completed by `contract`."""

import re
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import cache, partial
from typing import Any

import flask_smorest
import marshmallow as ma
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask

from app.core.openapi import conventions
from app.core.openapi.conventions import JSON
from app.core.resources import export
from app.core.resources.batch import BatchItemsField
from app.core.security.authorization import Access, internal
from app.core.web.problems import BY_STATUS, TYPES

CONFIG = {"API_TITLE": "Flask REST reference", "API_VERSION": "1.0.0", "OPENAPI_VERSION": "3.1.0"}


class Api(flask_smorest.Api):
    """flask-smorest without its own errors, pages and conditional requests."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_nothing(self) -> None:
        """Leave it out."""

    _register_error_handlers = _register_responses = _register_nothing
    _register_pagination_header = _register_etag_headers = _register_nothing


def init_app(app: Flask) -> Api:
    """The Api on which resources are registered; `api.spec.to_dict()` is the whole document."""
    app.config.update(CONFIG)
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    api = Api(spec_kwargs={"marshmallow_plugin": plugin})
    api.init_app(app)
    api.ma_plugin.converter.add_attribute_function(_describe_field)
    api.spec.to_dict = cache(partial(_write, app, api.spec.to_dict))
    app.extensions["openapi"] = api
    return api


def _name(schema: Any) -> str:
    """A component's name: Task as given out, TaskNew and TaskChange as taken in."""
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
_UUID = {"minLength": 36, "maxLength": 36}


def _describe_field(converter: Any, field: ma.fields.Field[Any], ret: JSON, **__: Any) -> JSON:
    """What apispec does not see of a field."""
    facts: JSON = getattr(field, "openapi_properties", dict)()
    if isinstance(field, BatchItemsField):
        refs = {op: converter.resolve_nested_schema(s) for op, s in field.shapes.items()}
        mapping = {op: ref["$ref"] for op, ref in refs.items()}
        one_of = {"propertyName": "op", "mapping": mapping}
        facts["items"] = {"oneOf": list(refs.values()), "discriminator": one_of}
    if isinstance(field, ma.fields.UUID):
        facts = dict(_UUID)
    if "condition" in field.metadata:
        name = str(field.name)
        suffix = next(s for s in _FILTERS if name.endswith(s))
        told = ret.get("description") or _FILTERS[suffix].format(name.removesuffix(suffix))
        needs = field.metadata["permission"]
        facts["description"] = f"{told} Needs the permission `{needs}`." if needs else told
    return facts


def _write(app: Flask, draft: Callable[[], JSON]) -> JSON:
    """The document, in the order in which one reads it."""
    written = deepcopy(draft())
    paths, schemas = written["paths"], written["components"]["schemas"]
    for schema in schemas.values():
        _lift_rules(schema)
    for name in _used(paths, "responses", schemas) - _used(paths, "requestBody", schemas):
        _open(schemas[name])
    for rule in app.url_map.iter_rules():
        path = paths.get(re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule), {})
        for method in path.keys() & {m.lower() for m in rule.methods or ()}:
            view: Any = app.view_functions[rule.endpoint]
            operation_id = rule.endpoint.rpartition(".")[2]
            path[method] = {
                "operationId": operation_id,
                **_operation(path, method, view.operation, view.access, schemas),
            }
    for address, path in paths.items():
        for parameter in path.get("parameters", ()):
            parameter["description"] = "The item's `id`."
            parameter["schema"] |= _UUID
        if created := path.get("post", {}).get("responses", {}).get("201"):
            created["links"] = _links(address, paths)
    statuses = sorted({s for o in _operations(paths) for s in o["responses"] if s >= "400"})
    return {
        "openapi": written["openapi"],
        "info": written["info"] | conventions.INFO,
        "servers": conventions.SERVERS,
        "tags": written["tags"],
        "paths": paths,
        "components": {
            "schemas": schemas
            | {"Problem": conventions.PROBLEM, "ErrorDetail": conventions.ERROR_DETAIL},
            "responses": {_component(int(s)): _problem(int(s)) for s in statuses},
            "parameters": {
                name: {"name": name, "in": "header", **parameter}
                for name, parameter in conventions.PARAMETERS.items()
            },
            "headers": {
                name: {"description": h.description, "required": h.always, "schema": h.schema}
                for name, h in conventions.HEADERS.items()
            },
            "securitySchemes": conventions.SECURITY_SCHEMES,
        },
    }


def _operation(path: JSON, method: str, declared: Any, access: Access, schemas: JSON) -> JSON:
    """One operation: what its view declares, and what follows from its kind and its access."""
    written = path[method]
    kind = conventions.OPERATION_KINDS[declared.response_kind]
    filters = declared.query.fields.values() if declared.query else ()
    reasons = [*declared.error_docs.items(), *kind.error_docs]
    errors = {400, 406, 422, 500, *kind.errors, *dict(reasons)}
    security: list[JSON] = [{}] if access.anonymous else []
    counted: tuple[str, ...] = ()
    if not access.skip_authentication:
        errors.add(401)
        cookies: JSON = {"cookie": []} if method == "get" else {"cookie": [], "csrf": []}
        security += [{"bearer": []}, cookies]
    if access is not internal:
        errors |= {429, 503}
        counted = conventions.RATE_LIMIT_HEADERS
    if "parameters" in path:
        errors.add(404)
    needs_more = any(f.metadata.get("permission") for f in filters)
    if not access.skip_authentication and (needs_more or not access.anonymous or method != "get"):
        errors.add(403)
    body = written.get("requestBody", {})
    parameters = [*kind.parameters, *(["Content-Encoding"] if declared.uploads else ())]
    if declared.uploads:
        body = conventions.file_request_body(declared.uploads)
    if body:
        errors |= {413, 415}
        if declared.body and declared.body.partial:
            # Both types are taken; one is listed, since generated clients stumble over two.
            body["content"] = {"application/merge-patch+json": body["content"]["application/json"]}
            body["description"] = "A merge patch (RFC 7396); `application/json` means the same."
    ((status, success),) = written["responses"].items()
    if declared.exported:
        success |= _stream(declared.exported, schemas)
    success["headers"] = _refs("headers", (*conventions.COMMON_HEADERS, *counted, *kind.headers))
    responses = {status: success}
    if "If-None-Match" in kind.parameters:
        responses["304"] = {"description": "Not Modified", "headers": success["headers"]}
    for code in sorted(errors):
        responses[str(code)] = {"$ref": f"#/components/responses/{_component(code)}"}
        if found := " ".join(reason for refused, reason in reasons if refused == code):
            responses[str(code)]["description"] = found
    for content in (body, success):
        for media_type in content.get("content", {}).values():
            if "schema" in media_type and "example" not in media_type:
                media_type["example"] = _sample(media_type["schema"], schemas)
    return {
        "summary": written["summary"].removesuffix("."),
        "description": f"{written.get('description', '')}\n\n{_who(access)}".strip(),
        "tags": written["tags"],
        "security": security,
        "parameters": [
            *written.get("parameters", ()),
            *({"$ref": f"#/components/parameters/{name}"} for name in parameters),
        ],
        **({"requestBody": body} if body else {}),
        "responses": responses,
    }


def _stream(exported: Any, schemas: JSON) -> JSON:
    """A 200 of lines: each media type with an example, since no schema describes a whole stream."""
    whole = _sample(schemas[_name(type(exported))], schemas)
    item = {name: whole[name] for name in exported.column_names}
    missing = " and ".join(f"`{name}`" for name in sorted(exported.exclude))
    without = f", without {missing}" if missing else ""
    return {
        "description": f"A line for each item, as the list has it{without}. "
        "In CSV the first line names the members.",
        "content": {name: {"example": export.example(name, item)} for name in export.MEDIA_TYPES},
    }


def _who(access: Access) -> str:
    if access.permission:
        return f"Needs the permission `{access.permission}`."
    return "For anyone." if access.anonymous else "For whoever is signed in; an API key is refused."


def _problem(status: int) -> JSON:
    """The response of an error status, with an example of each problem type that has it."""
    examples = {k.slug: {"value": k.example()} for k in TYPES.values() if k.status == status}
    schema = {"$ref": "#/components/schemas/Problem"}
    headers = (
        *conventions.COMMON_HEADERS,
        *conventions.RATE_LIMIT_HEADERS,
        *conventions.PROBLEM_HEADERS.get(status, ()),
    )
    return {
        "description": BY_STATUS[status].default_detail,
        "headers": _refs("headers", headers),
        "content": {"application/problem+json": {"schema": schema, "examples": examples}},
    }


def _component(status: int) -> str:
    return re.sub(r"\W", "", BY_STATUS[status].title)


def _refs(section: str, names: Iterable[str]) -> JSON:
    return {name: {"$ref": f"#/components/{section}/{name}"} for name in names}


def _operations(paths: JSON) -> Iterator[JSON]:
    for path in paths.values():
        yield from (value for method, value in path.items() if method != "parameters")


def _links(address: str, paths: JSON) -> JSON:
    """From a 201 to all that can be done with the new item (OpenAPI's Link Object)."""
    links = {}
    for item, path in paths.items():
        found = re.fullmatch(re.escape(address) + r"/\{(\w+)\}", item)
        for method, operation in path.items() if found else ():
            if found and method != "parameters":
                name = operation["operationId"]
                parameters = {found[1]: "$response.body#/id"}
                if method != "get":
                    parameters["If-Match"] = "$response.header.ETag"
                links[name] = {"operationId": name, "parameters": parameters}
    return links


def _used(paths: JSON, part: str, schemas: JSON) -> set[str]:
    """The names of the schemas that the requests, or the responses, are made of."""
    found: set[str] = set()
    text = repr([operation.get(part) for operation in _operations(paths)])
    while names := set(re.findall(r"#/components/schemas/(\w+)", text)) - found:
        found |= names
        text = repr([schemas[name] for name in names])
    return found


def _lift_rules(schema: JSON) -> None:
    """What a member says of its siblings is written at the object that they are in."""
    members = schema["properties"].values()
    if rules := [rule for member in members for rule in member.pop("x-rules", ())]:
        schema["allOf"] = rules


def _open(schema: JSON) -> None:
    """What is given out has all its members, and may gain more; what is taken in stays closed."""
    schema.pop("additionalProperties", None)
    optional = {n for n, p in schema["properties"].items() if p.pop("x-optional", False)}
    schema["required"] = [name for name in schema["properties"] if name not in optional]


_SAMPLES = {
    "uuid": "019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e07",
    "date-time": "2026-01-31T12:00:00Z",
    "idn-email": "ada1@example.com",
    "password": "correct horse battery staple",
}


def _sample(schema: JSON, schemas: JSON) -> Any:
    """An example of a whole, made of the examples of its parts."""
    if "oneOf" in schema:
        return _sample(schema["oneOf"][0], schemas)
    if "$ref" in schema:
        return _sample(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for known in ("example", "const", "default"):
        if known in schema:
            return schema[known]
    match schema["type"]:
        case "object":
            members, required = schema["properties"], schema.get("required", ())
            shown = [
                n for n, m in members.items() if n in required or {"example", "$ref"} & m.keys()
            ]
            wanted = shown or members
            return {name: _sample(members[name], schemas) for name in wanted}
        case "array":
            return [_sample(schema["items"], schemas)]
        case "integer":
            return max(schema["minimum"], 1)
        case "boolean":
            return True
        case [*_, "null"]:
            return None
    return schema["enum"][0] if "enum" in schema else _SAMPLES[schema["format"]]
