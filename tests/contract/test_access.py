"""Every operation is called by callers of every role, generated from the routes."""

from itertools import product

import pytest
from flask import Flask

from app import create_app
from app.config import Settings
from app.core.resources.blueprint import Blueprint
from app.features import FEATURES
from app.users.roles import ROLES
from tests.contract.operations import ITEMS, OPERATIONS, Operation, ids, status_for_others
from tests.contract.world import World
from tests.features import as_feature

WHO = ("anonymous", "owner", "other", "editor", "admin")


def may(operation: Operation, who: str) -> bool:
    """Whether the declared access admits this caller."""
    if who == "anonymous":
        return operation.access.anonymous
    role = "user" if who in ("owner", "other") else who
    needed = operation.access.permission
    return needed is None or needed in ROLES[role]


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_operation_admits_only_callers_of_its_declared_access(
    world: World, operation: Operation, subtests: pytest.Subtests
) -> None:
    for who in WHO:
        with subtests.test(who=who):
            # Only a request that may succeed changes the rows of its world.
            changes = may(operation, who) and not hides(operation, who)
            check_access(World(world.api.app) if changes else world, operation, who)


def check_access(world: World, operation: Operation, who: str) -> None:
    response = world.call(operation, world.caller(who))
    if not may(operation, who):
        assert response.status_code == (401 if who == "anonymous" else 403)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    elif hides(operation, who):
        assert response.status_code == status_for_others(operation)
    elif operation.rule.startswith("/api/v1/auth/"):
        assert response.status_code != 403  # credentials made up from examples are refused
    else:
        assert response.status_code not in (401, 403, 404, 500), response.text


def hides(operation: Operation, who: str) -> bool:
    """Whether the item that the test makes is another user's; admins see all of some resources."""
    seen_by_admins = operation.endpoint.startswith(("users.", "jobs."))
    owns = who == "owner" or (who == "admin" and seen_by_admins)
    return bool(status_for_others(operation)) and not owns


@pytest.mark.parametrize("operation", [o for o in ITEMS if status_for_others(o) == 404], ids=ids)
def test_item_of_another_user_is_answered_like_a_missing_one(
    world: World, operation: Operation
) -> None:
    foreign = world.call(operation, world.other).json
    never = operation.collection + "/01890a5d-ac96-774b-bcce-b302099a8057"
    missing = world.call(operation, world.other, path=never).json
    for body in (foreign, missing):
        del body["instance"], body["request_id"]
    assert foreign == missing


@pytest.mark.parametrize("operation", [o for o in ITEMS if status_for_others(o)], ids=ids)
def test_conditional_request_does_not_reveal_item_of_another_user(
    world: World, operation: Operation, subtests: pytest.Subtests
) -> None:
    sent = {"by": world.other, "json": world.body(operation, world.other)}
    path, status = world.item(operation), status_for_others(operation)
    for field, tag in product(("If-Match", "If-None-Match"), ('"1"', '"7"', "*")):
        with subtests.test(field=field, tag=tag):
            headers = {"If-Match": "*", field: tag}
            world.api.call(operation.method, path, headers=headers, status=status, **sent)


def test_view_without_declared_access_stops_the_start() -> None:
    unprotected = Blueprint("unprotected", __name__, url_prefix="/unprotected")
    unprotected.add_url_rule("", "view", lambda: "anybody")
    settings = Settings(app_env="testing", secret_key="not a secret, but long enough for tests")
    with pytest.raises(RuntimeError, match=r"unprotected\.view"):
        create_app(settings, features=(*FEATURES, as_feature(unprotected)))


def test_access_tests_cover_every_route(app: Flask) -> None:
    # Pages for people, a well-known file and redirects, outside the API; features of tests.
    excluded = {"docs", "jwks", "oidc_browser", "articles", "errands"}
    covered = {operation.endpoint for operation in OPERATIONS}
    routes = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert {e for e in routes if e.split(".")[0] not in excluded} == covered
