"""Methods, media types and header fields: the same on every route (RFC 9110)."""

import pytest

from tests.contract.operations import COLLECTIONS, ITEMS, OPERATIONS, Operation, ids
from tests.contract.world import World

pytestmark = pytest.mark.database_independent

READS = [o for o in OPERATIONS if o.method == "GET"]
WRITES = [o for o in OPERATIONS if o.body]
RULES = {o.rule: o for o in OPERATIONS}
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"}


def allowed(rule: str) -> set[str]:
    """The methods of a path: those of its routes, OPTIONS, and HEAD if there is GET."""
    methods = {o.method for o in OPERATIONS if o.rule == rule}
    return methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())


@pytest.mark.parametrize("operation", READS, ids=ids)
def test_head_equals_get_without_the_body(world: World, operation: Operation) -> None:
    path, by = world.path(operation), world.writer(operation)
    get = world.api.get(path, by=by)
    head = world.api.call("HEAD", path, by=by, status=get.status_code)
    assert head.data == b""
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control", "Vary"):
        assert head.headers.get(name) == get.headers.get(name)


@pytest.mark.parametrize("operation", RULES.values(), ids=lambda o: o.rule)
def test_options_lists_exactly_the_allowed_methods(world: World, operation: Operation) -> None:
    response = world.api.call("OPTIONS", world.path(operation), status=204)
    assert set(response.headers["Allow"].split(", ")) == allowed(operation.rule)
    assert ("Accept-Patch" in response.headers) == ("PATCH" in allowed(operation.rule))
    assert "Content-Type" not in response.headers


@pytest.mark.parametrize("operation", RULES.values(), ids=lambda o: o.rule)
def test_other_method_is_405_and_lists_the_allowed_methods(
    world: World, operation: Operation
) -> None:
    path = world.path(operation)
    for method in METHODS - allowed(operation.rule):
        response = world.api.call(method, path, by=world.admin, status=405)
        assert set(response.headers["Allow"].split(", ")) == allowed(operation.rule)
        assert response.mimetype == "application/problem+json"


@pytest.mark.parametrize("operation", WRITES, ids=ids)
def test_request_body_of_another_media_type_is_415(world: World, operation: Operation) -> None:
    path, by = world.path(operation), world.writer(operation)
    kwargs = {"by": by, "data": b"{}", "headers": {"If-Match": "*"}, "status": 415}
    for media_type in ("text/plain", "application/xml", "multipart/form-data", ""):
        response = world.api.call(operation.method, path, content_type=media_type, **kwargs)
        assert "application/json" in response.headers["Accept"], media_type


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_unknown_query_parameter_is_422_and_names_it(world: World, operation: Operation) -> None:
    path, by = world.path(operation), world.writer(operation)
    response = world.call(operation, by, path=f"{path}?nonsense=1")
    assert response.status_code == 422
    assert response.json["errors"][0]["parameter"] == "nonsense"


@pytest.mark.parametrize(
    "operation", COLLECTIONS + [o for o in ITEMS if o.method == "GET"], ids=ids
)
def test_only_anonymous_responses_have_a_public_cache_control(
    world: World, operation: Operation
) -> None:
    path = world.path(operation)
    personal = world.api.get(path, by=world.writer(operation), status=200)
    assert personal.headers["Cache-Control"] == operation.private_cache_control
    assert "Authorization" in personal.headers["Vary"]
    if operation.access.anonymous:
        public = world.api.get(path, status=200)
        assert public.headers["Cache-Control"].startswith("public, max-age=")
        assert "Authorization" in public.headers["Vary"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_path_with_trailing_slash_is_404(world: World, operation: Operation) -> None:
    response = world.call(operation, world.admin, path=world.path(operation) + "/")
    assert response.status_code == 404
