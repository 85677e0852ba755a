"""The OpenAPI document agrees with the routes and with real responses.

`CheckedApi` compares every response in `tests/contract`; the tests here provoke the others.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from flask import Flask
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import TooManyRequests
from werkzeug.test import TestResponse

from app import create_app
from app.config import Settings
from app.core.resources import dispatch
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.security.authorization import public
from examples.notes.models import Note
from examples.notes.schemas import NoteSchema
from tests.contract.document import document_of, operations_in, path_of
from tests.contract.operations import OPERATIONS, Operation, ids
from tests.contract.world import World
from tests.features import WITH_EXAMPLES, as_feature

COMMITTED = Path(__file__).parents[2] / "openapi.json"
NEVER = "01890a5d-ac96-774b-bcce-b302099a8057"


def made_from_code(**settings: Any) -> tuple[Flask, dict[str, Any]]:
    app = create_app(Settings(app_env="testing", secret_key="only reads the routes", **settings))
    return app, document_of(app)


def test_openapi_json_in_the_repository_is_current() -> None:
    # In another process: the examples that tests import grant permissions, which are scopes.
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "openapi"]
    printed = subprocess.run(command, cwd=COMMITTED.parent, capture_output=True, check=True)
    assert COMMITTED.read_bytes() == printed.stdout, "run `python3 dev.py openapi`"


def test_openapi_document_lists_exactly_the_routes(app: Flask) -> None:
    routes = {
        (method.lower(), path_of(rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if not rule.endpoint.startswith(("docs.", "jwks.", "oidc_browser."))  # outside the API
    }
    assert routes == {key for key, _ in operations_in(document_of(app))}


def test_openapi_document_contains_the_configured_password_length() -> None:
    _, document = made_from_code(password_min_length=20)
    password = document["components"]["schemas"]["Registration"]["properties"]["password"]
    assert password["minLength"] == 20


def test_two_lists_and_batches_of_one_schema_share_their_components() -> None:
    """apispec would warn of a second component with the same name, and number it."""
    blueprint = Blueprint("chores", __name__, url_prefix="/chores")

    def add(
        name: str, rule: str, register: Callable[..., Any], declare: Callable[..., Any]
    ) -> None:
        def view() -> Any:
            """Do something."""
            return ()

        def view_of_a_batch(items: Any) -> Any:
            """Do something."""
            return ()

        view = view_of_a_batch if name.startswith("batch") else view
        view.__name__ = name
        register(rule, access=public)(declare(view))

    by_creation = Sort({"created_at": Note.created_at}, default="created_at")
    for n in (1, 2):
        lists = blueprint.paginated(NoteSchema, by_creation)
        add(f"list_{n}", f"/{n}", blueprint.get, lists)
        add(f"batch_{n}", f"/{n}", blueprint.post, blueprint.batch(NoteSchema))
    settings = Settings(app_env="testing", secret_key="only reads the routes")
    document = document_of(create_app(settings, features=(*WITH_EXAMPLES, as_feature(blueprint))))
    names = document["components"]["schemas"]
    assert [name for name in names if name[-1].isdigit()] == []
    lists = [
        document["paths"][f"/api/v1/{path}"]["get"] for path in ("chores/1", "chores/2", "notes")
    ]
    contents = [each["responses"]["200"]["content"]["application/json"] for each in lists]
    assert {content["schema"]["$ref"] for content in contents} == {"#/components/schemas/NotePage"}


def test_request_schemas_are_closed_and_response_schemas_open_and_complete(app: Flask) -> None:
    schemas = document_of(app)["components"]["schemas"]
    assert schemas["NoteNew"]["additionalProperties"] is False
    assert schemas["NoteChange"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["Note"]
    assert schemas["Note"]["required"] == list(schemas["Note"]["properties"])
    assert "count" not in schemas["NotePage"]["required"]


def test_201_response_links_to_every_operation_on_the_item(app: Flask) -> None:
    document = document_of(app)
    for (_, path), operation in operations_in(document):
        if created := operation["responses"].get("201"):
            item = next(p for p in document["paths"] if p.startswith(path + "/{"))
            on_item = [o["operationId"] for (_, p), o in operations_in(document) if p == item]
            assert sorted(created["links"]) == sorted(on_item)


def documented(operation: Operation) -> set[int]:
    return {int(s) for s in SAID[(operation.method.lower(), path_of(operation.rule))]["responses"]}


def _said() -> dict[Any, dict[str, Any]]:
    settings = Settings(app_env="testing", secret_key="only reads the routes")
    return dict(operations_in(document_of(create_app(settings, features=WITH_EXAMPLES))))


SAID = _said()


def has_it_already(world: World, o: Operation, path: str) -> TestResponse:
    tag = world.api.get(path, by=world.writer(o), status=200).headers["ETag"]
    return call(world, o, path, headers={"If-None-Match": tag})


def call(world: World, o: Operation, path: str, **kwargs: Any) -> TestResponse:
    kwargs = {"by": world.writer(o), "headers": {"If-Match": "*"}} | kwargs
    if "content_type" not in kwargs:
        kwargs |= world.content(o)
    return world.api.call(o.method, path, **kwargs)


def with_a_key_for_something_else(world: World, o: Operation, path: str) -> TestResponse:
    scope = "articles:write" if o.access.permission == "parcels:own" else "parcels:own"
    data = {"name": "Test", "scopes": [scope]}
    key = world.api.post("auth/api-keys", data, by=world.admin, status=201).json["secret"]
    return call(world, o, path, by=None, headers={"Authorization": f"Bearer {key}"})


def below_nothing(operation: Operation) -> str:
    """A path with an id that no row has, the last one."""
    if operation.of_item and not operation.by_id:
        return re.sub(r"<[^>]*>(?!.*<)", NEVER, operation.rule)
    return f"{operation.collection}/{NEVER}"


def too_large(operation: Operation) -> dict[str, Any]:
    """A body of more bytes than are taken; of a file, only the announcement of one."""
    if operation.file is None:
        return {"data": b" " * 2**21, "content_type": "application/json"}
    announced = {"CONTENT_LENGTH": str(2**32)}
    return {"content_type": operation.file[0], "environ_overrides": announced}


PROVOKED: dict[int, Callable[[World, Operation, str], TestResponse]] = {
    304: has_it_already,
    400: lambda w, o, p: call(w, o, f"{p}?nonsense=%ff"),
    401: lambda w, o, p: call(w, o, p, by=None, headers={"Authorization": "Bearer no.no.no"}),
    403: with_a_key_for_something_else,
    404: lambda w, o, p: call(w, o, below_nothing(o)),
    406: lambda w, o, p: call(w, o, p, headers={"Accept": "text/html"}),
    412: lambda w, o, p: call(w, o, p, headers={"If-Match": '"7"'}),
    413: lambda w, o, p: call(w, o, p, **too_large(o)),
    415: lambda w, o, p: call(w, o, p, data=b"{}", content_type="application/x-nonsense"),
    422: lambda w, o, p: call(w, o, f"{p}?nonsense=1"),
    428: lambda w, o, p: call(w, o, p, headers={}),
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_documented_status_can_be_provoked(
    world: World, operation: Operation, subtests: pytest.Subtests
) -> None:
    path = world.path(operation)
    for status in sorted(documented(operation) & PROVOKED.keys()):
        if status == 403 and operation.access.anonymous:
            continue  # it is for a parameter, not for the address
        with subtests.test(status=status):
            assert PROVOKED[status](world, operation, path).status_code == status


FAILURES = {
    429: TooManyRequests(),
    500: RuntimeError("planted"),
    503: PoolTimeoutError("planted"),
}


@pytest.mark.database_independent
@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if not o.endpoint.startswith("health.")], ids=ids
)
def test_documented_failure_status_has_the_documented_form(
    world: World,
    operation: Operation,
    subtests: pytest.Subtests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = world.path(operation)
    world.body(operation)  # creates what it refers to
    for status in sorted(documented(operation) & FAILURES.keys()):
        with subtests.test(status=status):
            monkeypatch.setattr(dispatch, "check_access", Mock(side_effect=FAILURES[status]))
            response = call(world, operation, path)
            assert response.status_code == status
            assert status == 500 or int(response.headers["Retry-After"]) >= 1


def test_every_operation_has_summary_description_and_examples(subtests: pytest.Subtests) -> None:
    for operation in OPERATIONS:
        with subtests.test(operation=str(operation)):
            said = SAID[(operation.method.lower(), path_of(operation.rule))]
            assert said["summary"]
            assert said["description"]
            assert said["operationId"] == operation.endpoint.rpartition(".")[2]
            assert ("requestBody" in said) == bool(operation.body or operation.file)
            for response in said["responses"].values():
                assert all(each["example"] for each in response.get("content", {}).values())


def test_rate_limited_response_has_quota_headers(world: World) -> None:
    for path in ("articles", "/api/v1/nothing-here"):
        assert {"RateLimit", "RateLimit-Policy"} <= set(world.api.get(path).headers.keys())
