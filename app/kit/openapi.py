"""The OpenAPI 3.1 document, made from the routes by flask-smorest; every error is a problem."""

from http import HTTPStatus
from typing import Any

import flask_smorest
import marshmallow as ma
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask

from app.kit.fields import Integer, Text
from app.kit.schema import Schema

CONFIG = {
    "API_TITLE": "Flask REST reference",
    "API_VERSION": "1.0.0",
    "OPENAPI_VERSION": "3.1.0",
}


class PlaceSchema(Schema):
    """One failing place of a request."""

    detail = Text(most=500, required=True)
    pointer = Text(most=500, metadata={"description": "JSON Pointer into the body (RFC 6901)."})
    parameter = Text(most=100, metadata={"description": "The query parameter's name."})


class ProblemSchema(Schema):
    """Problem details (RFC 9457)."""

    type = Text(most=200, required=True, metadata={"format": "uri-reference"})
    title = Text(most=100, required=True)
    status = Integer(least=400, most=599, required=True)
    detail = Text(most=1000, required=True)
    instance = Text(most=100, required=True, metadata={"format": "uri"})
    request_id = Text(most=128, required=True, allow_none=True)
    errors = ma.fields.List(ma.fields.Nested(PlaceSchema))


def _name(schema: Any) -> str:
    """A component's name: Task as given out, TaskNew and TaskChange as taken in."""
    instance = schema() if isinstance(schema, type) else schema
    name = type(instance).__name__.removesuffix("Schema")
    if instance.partial:
        return f"{name}Change"
    return f"{name}New" if instance.exclude else name


class Api(flask_smorest.Api):
    """flask-smorest, with our errors in the document and our handlers at run time."""

    ERROR_SCHEMA = ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = "DEFAULT_ERROR"

    def _register_error_handlers(self) -> None:
        """The handlers are those of `app.kit.problems`."""

    def _register_responses(self) -> None:
        problem = {"application/problem+json": {"schema": ProblemSchema}}
        for status in HTTPStatus:
            response: dict[str, Any] = {"description": status.phrase}
            if status >= 400:
                response["content"] = problem
            self.spec.components.response(status.name, response, lazy=True)
        default = {"description": "Any error.", "content": problem}
        self.spec.components.response("DEFAULT_ERROR", default, lazy=True)

    def _register_pagination_header(self) -> None:
        """Pages are told by the body and by Link, not by flask-smorest's own header."""

    def _register_etag_headers(self) -> None:
        """Conditional requests are those of `app.kit.conditional`."""


def init_app(app: Flask) -> Api:
    """The Api on which resources are registered; its document is served by `app.docs`."""
    app.config.update(CONFIG)
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    api = Api(spec_kwargs={"marshmallow_plugin": plugin})
    api.init_app(app)
    api.spec.components.security_scheme(
        "bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (RFC8725)"}
    )
    return api
