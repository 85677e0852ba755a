"""The Operation Object of a route: what its view declares, and what follows from that."""

import inspect
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

from app.core.openapi import conventions
from app.core.openapi.conventions import JSON
from app.core.openapi.operation import Operation
from app.core.schemas.fields import UUID
from app.core.security.authorization import Access, internal
from app.core.web.problems import BY_STATUS, TYPES

_PATH_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")


class Route(NamedTuple):
    """A documented view, and where it is registered."""

    rule: str  # /api/v1/notes/<uuid:note_id>
    method: str  # get
    endpoint: str  # notes.read_note
    docstring: str
    operation: Operation
    access: Access

    @property
    def path(self) -> str:
        """The rule as OpenAPI writes it: /api/v1/notes/{note_id}."""
        return _PATH_PARAMETER.sub(r"{\2}", self.rule)

    @property
    def tag(self) -> str:
        """The name of the blueprint."""
        return self.endpoint.rpartition(".")[0]


def path_parameters(rule: str) -> list[JSON]:
    """The Parameter Objects of the ids in a rule."""
    return [
        {
            "in": "path",
            "name": name,
            "required": True,
            "schema": {"type": "string", "format": converter} | UUID.LENGTH,
            "description": "The item's `id`.",
        }
        for converter, name in _PATH_PARAMETER.findall(rule)
    ]


def operation_object(route: Route) -> JSON:
    """The Operation Object, in which schemas still are marshmallow's."""
    declared = route.operation
    kind = conventions.OPERATION_KINDS[declared.response_kind]
    if route.method == "post" and declared.is_repeatable:
        kind = conventions.with_idempotency_key(kind)
    summary, _, description = inspect.cleandoc(route.docstring).partition("\n\n")
    query = [{"in": "query", "schema": declared.query}] if declared.query else []
    compressible = declared.upload and "gzip" in declared.codings
    headers = [*kind.parameters, *(["Content-Encoding"] if compressible else ())]
    body = _request_body(declared)
    return {
        "operationId": route.endpoint.rpartition(".")[2],
        "summary": summary.removesuffix("."),
        "description": f"{description}\n\n{_describe_access(route.access)}".strip(),
        "tags": [route.tag],
        "security": _security(route),
        "parameters": [*query, *headers],  # apispec makes references of names
        **({"requestBody": body} if body else {}),
        "responses": _responses(route, kind, has_body=bool(body)),
    }


def _request_body(declared: Operation) -> JSON:
    if declared.upload:
        return conventions.file_request_body(declared.upload.examples)
    if declared.body is None:
        return {}
    if not declared.body.partial:
        return {"required": True, "content": {"application/json": {"schema": declared.body}}}
    # Both types are accepted; one is listed, because code generators fail at two:
    # docs/decisions.md#47-openapi-document
    return {
        "required": True,
        "content": {"application/merge-patch+json": {"schema": declared.body}},
        "description": "A merge patch (RFC 7396); `application/json` means the same.",
    }


def _security(route: Route) -> list[JSON]:
    anonymous: list[JSON] = [{}] if route.access.anonymous else []
    if route.access.skip_authentication:
        return anonymous
    cookies: JSON = {"cookie": []} if route.method == "get" else {"cookie": [], "csrf": []}
    return [*anonymous, {"bearer": []}, cookies]


def _responses(route: Route, kind: conventions.OperationKind, *, has_body: bool) -> JSON:
    declared = route.operation
    success: JSON = {"description": HTTPStatus(declared.status).phrase}
    if declared.schema:
        success["content"] = {"application/json": {"schema": declared.schema}}
    if declared.stream:
        success["description"] = _describe_stream(declared.stream.schema.exclude)
        success["content"] = {media_type: {} for media_type in declared.media_types}
    counted = () if route.access is internal else conventions.RATE_LIMIT_HEADERS
    headers = _header_refs((*conventions.COMMON_HEADERS, *counted, *kind.headers))
    success["headers"] = headers | _header_refs(kind.content_headers)
    responses = {str(declared.status): success}
    if declared.response_kind == "returns_file":
        success["content"] = conventions.FILE_CONTENT
        part = success["headers"] | _header_refs(["Content-Range"])
        responses["206"] = success | {"description": "Partial Content", "headers": part}
    if "If-None-Match" in kind.parameters:
        responses["304"] = {"description": "Not Modified", "headers": headers}
    reasons = [*declared.error_docs.items(), *kind.error_docs]
    for status in sorted({*_errors(route, has_body=has_body), *kind.errors, *dict(reasons)}):
        responses[str(status)] = {"$ref": f"#/components/responses/{response_name(status)}"}
        if description := " ".join(reason for code, reason in reasons if code == status):
            responses[str(status)]["description"] = description
    return responses


def _errors(route: Route, *, has_body: bool) -> set[int]:
    """The error statuses that follow from the access rule, the path and the parameters."""
    declared, access = route.operation, route.access
    errors = {400, 422, 500}
    if declared.media_types:
        errors.add(406)
    if route.method == "get":
        errors.add(412)
    if not access.skip_authentication:
        errors.add(401)
    if access is not internal:
        errors |= {429, 503}
    if "<" in route.rule:
        errors.add(404)
    if has_body:
        errors |= {413, 415}
    # Anonymous reads are never a 403, unless a filter requires a permission.
    filters = declared.query.fields.values() if declared.query else ()
    needs_more = any(f.metadata.get("permission") for f in filters)
    may_be_forbidden = needs_more or not access.anonymous or route.method != "get"
    if not access.skip_authentication and may_be_forbidden:
        errors.add(403)
    return errors


def _describe_stream(exclude: Iterable[str]) -> str:
    missing = " and ".join(f"`{name}`" for name in sorted(exclude))
    without = f", without {missing}" if missing else ""
    return (
        f"A line for each item, with the members that it has in the list{without}. "
        "In CSV the first line names the members."
    )


def _describe_access(access: Access) -> str:
    if access.permission:
        return f"Requires the permission `{access.permission}`."
    if access.anonymous:
        return "Requires no credentials."
    if access.needs_recent_login:
        return "Requires a user session with a recent login; API keys are not accepted."
    return "Requires a user session; API keys are not accepted."


def response_name(status: int) -> str:
    """The name of the component for the responses of an error status."""
    return re.sub(r"\W", "", BY_STATUS[status].title)


def problem_response(status: int) -> JSON:
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
        "headers": _header_refs(headers),
        "content": {"application/problem+json": {"schema": schema, "examples": examples}},
    }


def _header_refs(names: Iterable[str]) -> JSON:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
