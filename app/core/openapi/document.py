"""The OpenAPI 3.1 document: apispec writes the schemas, our conventions the rest.

It is written when it is first requested, so neither start nor tests pay for it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import click
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask, current_app
from flask.cli import with_appcontext

from app.core.openapi import components, conventions
from app.core.openapi.conventions import JSON
from app.core.openapi.operation_object import (
    Route,
    operation_object,
    path_parameters,
    problem_response,
    response_name,
)
from app.core.web.app_state import init_app_state


def init_app(app: Flask, title: str, version: str) -> None:
    """Name the service in its document, and add the command `flask openapi`."""
    app.config.from_mapping(OPENAPI_TITLE=title, OPENAPI_VERSION=version)
    app.cli.add_command(print_document)


@click.command("openapi")
@with_appcontext
def print_document() -> None:
    """Print the OpenAPI document."""
    click.echo(current_app.json.dumps(openapi_document(current_app), indent=2))


def openapi_document(app: Flask) -> JSON:
    """The document of the application, which callers must not change."""
    state = init_app_state(app)
    if state.openapi_document is None:
        with app.app_context():  # some fields describe themselves by settings
            state.openapi_document = _build_document(app)
    return state.openapi_document


# apispec without flask-smorest: docs/decisions.md#47-openapi-document
def _build_document(app: Flask) -> JSON:
    plugin = MarshmallowPlugin(schema_name_resolver=components.schema_name)
    title, version = app.config["OPENAPI_TITLE"], app.config["OPENAPI_VERSION"]
    spec = APISpec(title, version, "3.1.0", plugins=[plugin])
    plugin.converter.add_attribute_function(components.describe_field)  # type: ignore[union-attr]
    # Schemas are resolved by apispec while the paths are added; what depends on the finished
    # schemas or on other paths follows in a second pass.
    routes = list(_routes(app))
    for route in routes:
        operation = {route.method: operation_object(route)}
        spec.path(route.path, operations=operation, parameters=path_parameters(route.rule))
    written = spec.to_dict()
    paths, schemas = written["paths"], written["components"]["schemas"]
    operations = [paths[route.path][route.method] for route in routes]
    components.complete_schemas(schemas, operations)
    for route, operation in zip(routes, operations, strict=True):
        _add_examples_and_links(route, operation, paths, schemas)
    return {
        "openapi": written["openapi"],
        "info": written["info"] | conventions.INFO,
        "servers": conventions.SERVERS,
        "tags": [
            {"name": name, "description": getattr(app.blueprints[name], "description", "")}
            for name in dict.fromkeys(route.tag for route in routes)
        ],
        "paths": paths,
        "components": _components(schemas, operations),
    }


def _routes(app: Flask) -> Iterator[Route]:
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        if hasattr(view, "operation"):
            (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            declared = (view.__doc__, view.operation, view.access)
            yield Route(rule.rule, method.lower(), rule.endpoint, *declared)


def _add_examples_and_links(route: Route, operation: JSON, paths: JSON, schemas: JSON) -> None:
    """Add what follows from the schemas and from other paths."""
    status = str(route.operation.status)
    success = operation["responses"][status]
    if stream := route.operation.stream:
        whole = components.example_of(schemas[components.schema_name(type(stream.schema))], schemas)
        item = {name: whole[name] for name in stream.schema.column_names}
        for media_type, content in success["content"].items():
            content["example"] = stream.example(media_type, item)
    components.add_examples((operation.get("requestBody", {}), success), schemas)
    if status == "201":
        success["links"] = _links(route.path, paths)


def _links(address: str, paths: JSON) -> JSON:
    """From a 201 to each operation on the new item (OpenAPI's Link Object)."""
    links = {}
    for item, path in paths.items():
        match = re.fullmatch(re.escape(address) + r"/\{(\w+)\}", item)
        for method, operation in path.items() if match else ():
            if match and method != "parameters":
                name = operation["operationId"]
                parents = re.findall(r"\{(\w+)\}", address)
                parameters = {name: f"$request.path.{name}" for name in parents}
                parameters[match[1]] = "$response.body#/id"
                if method != "get":
                    parameters["If-Match"] = "$response.header.ETag"
                links[name] = {"operationId": name, "parameters": parameters}
    return links


def _components(schemas: JSON, operations: list[JSON]) -> JSON:
    """The components to which an operation refers, itself or by one of its responses."""
    statuses = sorted({s for o in operations for s in o["responses"] if s >= "400"})
    own = {"Problem": conventions.PROBLEM, "ErrorDetail": conventions.ERROR_DETAIL}
    responses = {response_name(int(s)): problem_response(int(s)) for s in statuses}
    referring = json.dumps([operations, responses])
    used = set(re.findall(r'"#/components/\w+/([\w-]+)"', referring))
    return {
        "schemas": schemas | own,
        "responses": responses,
        "parameters": {
            name: {"name": name, "in": "header", **parameter}
            for name, parameter in conventions.PARAMETERS.items()
            if name in used
        },
        "headers": {
            name: {"description": h.description, "required": h.always, "schema": h.schema}
            for name, h in conventions.HEADERS.items()
            if name in used
        },
        "securitySchemes": conventions.SECURITY_SCHEMES,
    }
