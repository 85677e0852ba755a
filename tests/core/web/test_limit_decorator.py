"""Limits of flask-limiter on views, blueprints and blocks."""

import flask
import pytest
from flask_limiter import RateLimitExceeded

from app.extensions import limiter
from tests.api import Api
from tests.conftest import MakeApp, on_sqlite
from tests.core.web.rate_limits import parse, remaining, statuses

pytestmark = on_sqlite


def is_not_found(response: flask.Response) -> bool:
    return response.status_code == 404


@pytest.fixture(params=["memory", "redis"])
def decorated(request: pytest.FixtureRequest, make_app: MakeApp) -> Api:
    """Plain Flask views with the decorators of flask-limiter's documentation."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    app = make_app(rate_limit="5 per hour", redis_url=url)

    @app.get("/limited")
    @limiter.limit("2 per hour")
    def limited_view() -> str:
        return "limited"

    @app.get("/expensive")
    @limiter.limit("4 per hour", cost=2)
    def expensive_view() -> str:
        return "expensive"

    @app.get("/failing")
    @limiter.limit("2 per hour", deduct_when=is_not_found)
    def failing_view() -> tuple[str, int]:
        return "failing", 404 if "fail" in flask.request.args else 200

    @app.get("/exempt")
    @limiter.exempt
    def exempt_view() -> str:
        return "exempt"

    @app.get("/block")
    def block_view() -> tuple[str, int]:
        try:
            with limiter.limit("1 per hour"):
                return "done", 200
        except RateLimitExceeded:
            return "skipped", 202

    blueprint = flask.Blueprint("limited_blueprint", __name__)
    blueprint.get("/blueprint/limited")(lambda: "limited")
    limiter.limit("2 per hour")(blueprint)
    app.register_blueprint(blueprint)
    return Api(app)


def test_limit_decorator_limits_a_view_in_addition_to_the_general_limit(
    decorated: Api,
) -> None:
    first = decorated.get("/limited", status=200)
    assert parse(first, "RateLimit-Policy") == {"limited_view": {"q": 2, "w": 3600}}
    assert remaining(first, "limited_view") == 1
    assert statuses(decorated, 2, "/limited") == [200, 429]
    response = decorated.get("/limited", status=429)
    assert response.json["type"] == "/problems/too-many-requests"
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    assert remaining(decorated.get("articles", status=200)) == 0


def test_limit_decorator_applies_cost(decorated: Api) -> None:
    assert remaining(decorated.get("/expensive", status=200), "expensive_view") == 2
    assert statuses(decorated, 2, "/expensive") == [200, 429]


def test_limit_decorator_applies_deduct_when(decorated: Api) -> None:
    assert remaining(decorated.get("/failing", status=200), "failing_view") == 2
    assert remaining(decorated.get("/failing?fail", status=404), "failing_view") == 1
    assert statuses(decorated, 3, "/failing?fail") == [404, 429, 429]


def test_limit_as_context_manager_limits_the_block(decorated: Api) -> None:
    assert statuses(decorated, 3, "/block") == [200, 202, 202]


def test_limit_of_a_blueprint_limits_its_views(decorated: Api) -> None:
    assert statuses(decorated, 3, "/blueprint/limited") == [200, 200, 429]


def test_exempt_decorator_exempts_a_view_from_the_general_limit(decorated: Api) -> None:
    assert statuses(decorated, 6) == [200] * 5 + [429]
    assert statuses(decorated, 6, "/exempt") == [200] * 6
    assert "RateLimit" not in decorated.get("/exempt").headers
