"""Compares responses with the OpenAPI document."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from app.core.openapi.document import openapi_document
from tests.api import Api

Key = tuple[str, str]  # ("get", "/api/v1/notes/{note_id}")


def document_of(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of the application."""
    return openapi_document(app)


def path_of(rule: str) -> str:
    """A route's address as the document writes it."""
    return re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule)


def operations_in(document: dict[str, Any]) -> Iterator[tuple[Key, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                yield (method, path), operation


class Contract:
    """Checks responses of an application against its OpenAPI document."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.document = deepcopy(document_of(app))
        # Response schemas are open for new members; today no response has an undocumented one.
        for schema in self.document["components"]["schemas"].values():
            schema["additionalProperties"] = False
        resource = Resource.from_contents(self.document, default_specification=DRAFT202012)
        self.registry = Registry().with_resource("urn:openapi", resource)
        self.operations = dict(operations_in(self.document))
        self._validators: dict[int, Draft202012Validator] = {}  # by the id of a part of `document`

    def check(self, response: TestResponse) -> None:
        """Fail unless status, media type, header fields and body are as documented."""
        method = response.request.method
        operation = self._find(method, response.request.path)
        if operation is None:
            return
        where = f"{method} {response.request.path} -> {response.status_code}"
        assert str(response.status_code) in operation["responses"], f"{where} is not documented"
        documented = self._resolved(operation["responses"][str(response.status_code)])
        for name, header in documented["headers"].items():
            header = self._resolved(header)
            value = response.headers.get(name)
            assert value is not None or not header["required"], f"{where} lacks {name}"
            if value is not None:
                typed = int(value) if header["schema"]["type"] == "integer" else value
                self._validate(header["schema"], typed, f"{where}: {name}")
        content = documented.get("content")
        if content is None:
            assert not response.data, f"{where} has a body"
            return
        if "*/*" in content:  # a file
            return
        assert response.mimetype in content, f"{where} is {response.mimetype}"
        schema = content[response.mimetype].get("schema")  # a stream of lines has none
        if method != "HEAD" and schema is not None:
            self._validate(schema, response.json, where)

    def _find(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation of a request; None if there is none, such as for a 405."""
        try:
            rule, _ = self.app.url_map.bind("localhost").match(path, method, return_rule=True)
        except HTTPException:
            return None
        key = ("get" if method == "HEAD" else method.lower(), path_of(rule.rule))
        return self.operations.get(key)

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in part:
            return part
        _, section, name = part["$ref"].rsplit("/", 2)
        return self.document["components"][section][name]

    def _validate(self, schema: dict[str, Any], value: Any, where: str) -> None:
        if id(schema) not in self._validators:
            self._validators[id(schema)] = self._validator(schema)
        errors = self._validators[id(schema)].iter_errors(value)
        wrong = [f"{error.json_path}: {error.message}" for error in errors]
        assert not wrong, f"{where}: {wrong}"

    def _validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        if reference := schema.get("$ref"):
            schema = {"$ref": f"urn:openapi{reference}"}
        return Draft202012Validator(
            schema, registry=self.registry, format_checker=Draft202012Validator.FORMAT_CHECKER
        )


contract_of = cache(Contract)


class CheckedApi(Api):
    """An `Api` that checks every response against the OpenAPI document."""

    fill: Callable[[str], str] = staticmethod(str)  # replaces the parents in a rule by items

    def call(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        response = super().call(method, self.fill(path), **kwargs)
        contract_of(self.app).check(response)
        return response
