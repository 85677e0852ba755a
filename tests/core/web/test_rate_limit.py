"""Rate limits: who is counted, what the header fields say, and life without Redis."""

import os
import signal
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import flask
import http_sfv
import pytest
import redis
from flask import Flask
from flask_limiter import RateLimitExceeded
from limits.storage import RedisStorage
from werkzeug.test import TestResponse

from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from app.core.web.redis_window import SlidingWindowStorage
from app.extensions import limiter
from tests import services
from tests.api import PASSWORD, Api, Caller
from tests.conftest import MakeApp, on_sqlite, own_server

# Nothing here depends on the database.
pytestmark = on_sqlite

MakeApi = Callable[..., Api]


@pytest.fixture
def limited(make_app: MakeApp) -> MakeApi:
    """`limited("3 per hour")` is a further application that lets so many requests pass."""

    def make(limit: str, **settings: Any) -> Api:
        patient = {"redis_timeout_ms": 10_000}  # of a Redis that only has no turn
        return Api(make_app(rate_limit=limit, **patient | settings))

    return make


def parse(response: TestResponse, name: str) -> dict[str, dict[str, Any]]:
    """A field's parameters by the name of the policy, as an independent parser reads them."""
    items = http_sfv.List()
    items.parse(response.headers[name].encode())
    assert all(isinstance(item.value, str) for item in items)
    return {item.value: dict(item.params) for item in items}


def remaining(response: TestResponse, policy: str = "default") -> int:
    return int(parse(response, "RateLimit")[policy]["r"])


def statuses(api: Api, count: int, path: str = "products", **kwargs: Any) -> list[int]:
    return [api.get(path, **kwargs).status_code for _ in range(count)]


# --- header fields ---------------------------------------------------------------------------


def test_the_policy_tells_quota_and_window(limited: MakeApi) -> None:
    response = limited("30 per minute").get("products", status=200)
    assert parse(response, "RateLimit-Policy") == {"default": {"q": 30, "w": 60}}


def test_what_remains_falls_with_each_request_and_never_below_zero(limited: MakeApi) -> None:
    api = limited("3 per hour")
    assert [remaining(api.get("products")) for _ in range(5)] == [2, 1, 0, 0, 0]


@pytest.mark.parametrize("limit", ["5 per second", "5 per minute", "5 per 2 hour", "5 per day"])
def test_the_time_left_is_within_the_window(limited: MakeApi, limit: str) -> None:
    api = limited(limit)
    for _ in range(7):
        response = api.get("products")
        window = parse(response, "RateLimit-Policy")["default"]["w"]
        assert 0 <= parse(response, "RateLimit")["default"]["t"] <= window


def test_a_route_with_a_limit_of_its_own_tells_of_that_one(limited: MakeApi) -> None:
    response = limited("30 per minute", login_rate_limit="10 per hour").post("auth/login", {})
    assert parse(response, "RateLimit-Policy") == {"log_in": {"q": 10, "w": 3600}}
    assert remaining(response, "log_in") == 9


@pytest.mark.parametrize(
    ("path", "status"),
    [("products", 200), ("tasks", 401), ("/nothing", 404), ("products?x=1", 422), ("/docs", 200)],
)
def test_every_answer_tells_what_remains(limited: MakeApi, path: str, status: int) -> None:
    response = limited("30 per hour").get(path, status=status)
    assert remaining(response) == 29
    assert "Retry-After" not in response.headers


def test_a_method_that_is_not_allowed_counts_too(limited: MakeApi) -> None:
    assert remaining(limited("30 per hour").put("products", status=405)) == 29


def test_over_the_limit_is_429_until_the_time_that_it_tells(limited: MakeApi) -> None:
    api = limited("2 per 1 second")
    for _ in range(2):
        while (response := api.get("products")).status_code == 200:
            assert "Retry-After" not in response.headers
        assert response.status_code == 429
        assert response.json["type"] == "/problems/too-many-requests"
        wait = int(response.headers["Retry-After"])
        assert 1 <= wait <= 2
        time.sleep(wait)
        api.get("products", status=200)


def test_a_refused_request_does_nothing(limited: MakeApi, editor: Caller) -> None:
    api = limited("1 per hour")
    api.get("products", by=editor, status=200)
    mug = {"sku": "M", "name": "M", "category": "M", "price": "1", "currency": "EUR"}
    api.post("products", mug, by=editor, status=429)
    assert api.get("products", status=200).json["items"] == []


# --- who is counted --------------------------------------------------------------------------


def test_a_user_is_counted_wherever_they_are(limited: MakeApi, user: Caller) -> None:
    api = limited("2 per hour")
    for address in ("192.0.2.1", "192.0.2.2"):
        api.get("tasks", by=user, environ_overrides={"REMOTE_ADDR": address}, status=200)
    api.get("tasks", by=user, environ_overrides={"REMOTE_ADDR": "192.0.2.3"}, status=429)


def test_users_at_one_address_do_not_share_a_quota(
    limited: MakeApi, user: Caller, other: Caller
) -> None:
    api = limited("1 per hour")
    for by in (user, other, None):
        api.get("products", by=by, status=200)
        api.get("products", by=by, status=429)


def test_anonymous_callers_are_counted_by_address(limited: MakeApi) -> None:
    api = limited("1 per hour")
    api.get("products", status=200)
    api.get("products", status=429)
    api.get("products", environ_overrides={"REMOTE_ADDR": "192.0.2.1"}, status=200)


def test_bad_credentials_count_for_the_address_and_not_for_the_user_they_name(
    limited: MakeApi, user: Caller
) -> None:
    api = limited("2 per hour")
    forged = {"Authorization": user.headers["Authorization"][:-4] + "AAAA"}
    assert statuses(api, 3, "tasks", headers=forged) == [401, 401, 429]
    api.get("products", status=429)
    assert remaining(api.get("tasks", by=user, status=200)) == 1


def test_addresses_of_one_ipv6_network_share_a_quota(limited: MakeApi) -> None:
    api = limited("100 per hour", register_rate_limit="3 per hour")
    found = []
    for n in range(8):
        account = {"email": f"ada{n}@example.com", "name": "Ada", "password": PASSWORD}
        address = {"REMOTE_ADDR": f"2001:db8:0:1::{n + 1:x}"}
        found.append(api.post("users", account, environ_overrides=address).status_code)
    assert found == [201] * 3 + [429] * 5
    other = {"REMOTE_ADDR": "2001:db8:0:2::1"}
    api.post("users", {}, environ_overrides=other, status=422)


def test_a_search_for_routes_counts(limited: MakeApi) -> None:
    assert statuses(limited("2 per hour"), 3, "/.env") == [404, 404, 429]


def test_health_is_never_refused(limited: MakeApi) -> None:
    api = limited("1 per hour")
    assert statuses(api, 2) == [200, 429]
    for path in ("/health/live", "/health/ready"):
        assert statuses(api, 3, path) == [200, 200, 200]
        assert "RateLimit" not in api.get(path).headers


def test_health_uses_up_nobodys_quota(limited: MakeApi) -> None:
    api = limited("1 per hour")
    assert statuses(api, 3, "/health/live") == [200, 200, 200]
    api.get("products", status=200)


# --- limits of their own ---------------------------------------------------------------------


def test_log_ins_have_a_limit_of_their_own(limited: MakeApi, user: Caller) -> None:
    api = limited("100 per hour", login_rate_limit="2 per hour")
    guess = {"email": user.email, "password": "a guess of some length"}
    assert [api.post("auth/login", guess).status_code for _ in range(3)] == [401, 401, 429]
    assert int(api.post("auth/login", guess).headers["Retry-After"]) > 0
    api.get("products", status=200)
    api.post("auth/refresh", {"refresh_token": "x"}, status=401)


def test_registrations_have_a_limit_of_their_own(limited: MakeApi) -> None:
    api = limited("100 per hour", register_rate_limit="2 per hour")
    assert [api.post("users", {}).status_code for _ in range(3)] == [422, 422, 429]
    api.post("auth/login", {}, status=422)


def test_a_log_in_counts_as_a_request_as_well(limited: MakeApi) -> None:
    api = limited("2 per hour", login_rate_limit="100 per hour")
    assert [api.post("auth/login", {}).status_code for _ in range(3)] == [422, 422, 429]


# --- flask-limiter's own decorators ------------------------------------------------------------


def is_not_found(response: flask.Response) -> bool:
    return response.status_code == 404


@pytest.fixture(params=["memory", "redis"])
def decorated(request: pytest.FixtureRequest, make_app: MakeApp) -> Api:
    """An application with plain Flask views that are decorated as flask-limiter documents it."""
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


def test_limit_decorator_limits_a_view_and_leaves_the_general_limit_in_force(
    decorated: Api,
) -> None:
    first = decorated.get("/limited", status=200)
    assert parse(first, "RateLimit-Policy") == {"limited_view": {"q": 2, "w": 3600}}
    assert remaining(first, "limited_view") == 1
    assert statuses(decorated, 2, "/limited") == [200, 429]
    response = decorated.get("/limited", status=429)
    assert response.json["type"] == "/problems/too-many-requests"
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    assert remaining(decorated.get("products", status=200)) == 0


def test_limit_decorator_honours_cost(decorated: Api) -> None:
    assert remaining(decorated.get("/expensive", status=200), "expensive_view") == 2
    assert statuses(decorated, 2, "/expensive") == [200, 429]


def test_limit_decorator_honours_deduct_when(decorated: Api) -> None:
    assert remaining(decorated.get("/failing", status=200), "failing_view") == 2
    assert remaining(decorated.get("/failing?fail", status=404), "failing_view") == 1
    assert statuses(decorated, 3, "/failing?fail") == [404, 429, 429]


def test_limit_of_a_block_of_code_limits_the_block(decorated: Api) -> None:
    assert statuses(decorated, 3, "/block") == [200, 202, 202]


def test_limit_of_a_blueprint_limits_its_views(decorated: Api) -> None:
    assert statuses(decorated, 3, "/blueprint/limited") == [200, 200, 429]


def test_exempt_decorator_exempts_a_view_from_the_general_limit(decorated: Api) -> None:
    assert statuses(decorated, 6) == [200] * 5 + [429]
    assert statuses(decorated, 6, "/exempt") == [200] * 6
    assert "RateLimit" not in decorated.get("/exempt").headers


# --- `rate_limit=` of a route ------------------------------------------------------------------


def resource(limit: Any) -> Blueprint:
    """A resource with one view that has this limit."""
    blueprint = Blueprint("odd", __name__, url_prefix="/odd", description="Odd.")

    def read_odd() -> None:
        """Return nothing."""

    read_odd.__qualname__ = f"read_odd[{limit}]"  # flask-limiter keeps limits by qualified name
    register = blueprint.get("", access=public, rate_limit=limit)
    register(blueprint.response(204)(read_odd))
    return blueprint


@pytest.mark.parametrize("limit", ["2 per hour", "BULK_RATE_LIMIT"])
def test_route_takes_a_limit_or_the_name_of_a_setting(make_app: MakeApp, limit: str) -> None:
    api = Api(make_app(resource(limit), bulk_rate_limit="2 per hour"))
    assert statuses(api, 3, "odd") == [204, 204, 429]


@pytest.mark.parametrize(
    "limit", ["BULK_RATE_LIMT", "SECRET_KEY", "2 per fortnight", "", 2, ["2 per hour"]]
)
def test_limit_that_cannot_be_read_stops_the_start_and_names_the_view(
    make_app: MakeApp, limit: Any
) -> None:
    with pytest.raises(RuntimeError) as raised:
        make_app(resource(limit))
    message = str(raised.value)
    assert "read_odd" in message
    assert repr(limit) in message
    assert "\n" not in message


# --- behind a proxy --------------------------------------------------------------------------


def forwarded(addresses: str) -> dict[str, Any]:
    return {"headers": {"X-Forwarded-For": addresses}}


def test_without_a_proxy_forwarded_addresses_are_not_believed(limited: MakeApi) -> None:
    api = limited("1 per hour")
    api.get("products", **forwarded("192.0.2.1"), status=200)
    api.get("products", **forwarded("192.0.2.2"), status=429)


def test_behind_one_proxy_the_address_that_it_saw_counts(limited: MakeApi) -> None:
    api = limited("1 per hour", trusted_proxies=1)
    api.get("products", **forwarded("192.0.2.1"), status=200)
    api.get("products", **forwarded("192.0.2.2"), status=200)
    api.get("products", **forwarded("192.0.2.1"), status=429)


def test_what_the_client_itself_says_of_its_address_is_not_believed(limited: MakeApi) -> None:
    api = limited("1 per hour", trusted_proxies=1)
    api.get("products", **forwarded("198.51.100.1, 192.0.2.1"), status=200)
    api.get("products", **forwarded("198.51.100.2, 192.0.2.1"), status=429)
    api.get("products", **forwarded("198.51.100.2, 192.0.2.2"), status=200)


# --- Redis -----------------------------------------------------------------------------------


@pytest.fixture
def redis_pid(redis_url: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        return int(client.info("server")["process_id"])


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An entry for each wait for Redis that ended without an answer."""
    ended: list[str] = []
    read_response = redis.Connection.read_response

    def note(*args: Any, **kwargs: Any) -> Any:
        try:
            return read_response(*args, **kwargs)
        except redis.TimeoutError as error:
            ended.append(str(error))
            raise

    monkeypatch.setattr(redis.Connection, "read_response", note)
    return ended


def recovered(api: Api) -> bool:
    """Whether a request was counted in Redis: the keys of limits are there again."""
    api.get("products", status=200)
    with redis.Redis.from_url(api.app.config["REDIS_URL"]) as client:
        return bool(client.keys("LIMITS*"))


def test_all_processes_count_in_one_redis(limited: MakeApi, redis_url: str) -> None:
    for left in (2, 1, 0):
        api = limited("3 per hour", redis_url=redis_url)
        assert remaining(api.get("products", status=200)) == left
    limited("3 per hour", redis_url=redis_url).get("products", status=429)


def test_counting_and_telling_what_remains_is_one_round_trip(
    limited: MakeApi, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = limited("9 per hour", redis_url=redis_url)
    api.get("products", status=200)  # connects, and brings the script
    sent: list[Any] = []
    send = redis.Connection.send_packed_command
    monkeypatch.setattr(
        redis.Connection, "send_packed_command", lambda *a, **k: (sent.append(a[1]), send(*a, **k))
    )
    assert remaining(api.get("products", status=200)) == 7
    assert len(sent) == 1


@pytest.mark.parametrize("storage", [RedisStorage, SlidingWindowStorage])
def test_our_script_counts_as_that_of_the_library(
    app: Flask, redis_url: str, storage: type[RedisStorage]
) -> None:
    prefix = "counted+" if storage is SlidingWindowStorage else ""
    counters, hour = storage(prefix + redis_url), 3600
    with app.app_context(), redis.Redis.from_url(redis_url) as client:

        def hit() -> bool:
            return bool(counters.acquire_sliding_window_entry("key", 3, hour))

        def window() -> tuple[int, float, int, float]:
            past, past_left, count, left = counters.get_sliding_window("key", hour)
            return past, round(past_left, -1), count, round(left, -1)

        def let_pass(seconds: int) -> None:
            for key in client.scan_iter():
                client.pexpire(key, client.pttl(key) - seconds * 1000)

        assert [hit() for _ in range(4)] == [True, True, True, False]
        assert window() == (0, 0, 3, 2 * hour)
        let_pass(hour + hour // 2)  # half of the next window
        assert [hit() for _ in range(3)] == [True, True, False]
        assert window() == (3, hour // 2, 2, hour + hour // 2)
        let_pass(hour - 600)
        assert [hit() for _ in range(3)] == [True, True, False]
        assert window() == (2, 2400, 2, hour + 2400)
        let_pass(2 * hour)
        assert hit()
        assert window() == (0, 0, 1, 2 * hour)


def test_first_request_counted_in_redis_reports_the_whole_window(
    limited: MakeApi, redis_url: str
) -> None:
    response = limited("3 per hour", redis_url=redis_url).get("products", status=200)
    assert 3590 <= parse(response, "RateLimit")["default"]["t"] <= 3600


def test_without_redis_each_process_counts_by_itself(limited: MakeApi) -> None:
    for _ in range(2):
        assert remaining(limited("3 per hour").get("products", status=200)) == 2


def test_a_flushed_redis_begins_anew(limited: MakeApi, redis_url: str) -> None:
    api = limited("1 per hour", redis_url=redis_url)
    assert statuses(api, 2) == [200, 429]
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert statuses(api, 2) == [200, 429]


def test_without_its_redis_the_service_answers_and_counts_by_itself(
    limited: MakeApi, redis_url: str, redis_pid: int, user: Caller
) -> None:
    api = limited("3 per hour", redis_url=redis_url)
    api.get("products", status=200)
    os.kill(redis_pid, signal.SIGKILL)
    assert statuses(api, 4) == [200, 200, 200, 429]
    api.get("products/summary", by=user, status=200)
    api.get("/health/live", status=200)


def test_a_database_that_is_away_is_waited_for_once_and_is_no_redis_that_is_away(
    limited: MakeApi, redis_url: str
) -> None:
    away = f"postgresql://nobody@127.0.0.1:{services.free_port()}/nowhere"
    api = limited("9 per hour", redis_url=redis_url, database_url=away)
    asked: list[Any] = []
    state = api.app.extensions["core"]
    load = state.load_caller
    state.load_caller = lambda: (asked.append(1), load())[1]
    key = f"key_{urlsafe_b64encode(bytes(48)).decode()}"  # it takes the database to know whose
    response = api.get("products", status=503, headers={"Authorization": f"Bearer {key}"})
    assert len(asked) == 1
    assert remaining(response) == 8
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("LIMITS*")


def test_a_service_that_starts_without_its_redis_answers(limited: MakeApi) -> None:
    api = limited("2 per hour", redis_url=f"redis://127.0.0.1:{services.free_port()}/0")
    assert statuses(api, 3) == [200, 200, 429]


def test_a_redis_that_comes_back_is_used_again(
    limited: MakeApi, redis_url: str, redis_pid: int
) -> None:
    api = limited("1000 per hour", redis_url=redis_url)
    api.get("products", status=200)
    os.kill(redis_pid, signal.SIGKILL)
    api.get("products", status=200)
    with own_server("redis", int(redis_url.rpartition(":")[2].partition("/")[0])):
        deadline = time.monotonic() + services.SECONDS
        while not recovered(api):  # it is asked again after 1, 2, 4 ... seconds
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_redis_that_hangs_costs_few_short_waits(
    limited: MakeApi, redis_url: str, redis_pid: int, user: Caller, waits: list[str]
) -> None:
    api = limited("1000 per hour", redis_url=redis_url, redis_timeout_ms=50)
    api.get("products", status=200)
    os.kill(redis_pid, signal.SIGSTOP)
    try:
        api.get("products", status=200)
        assert 1 <= len(waits) <= 2
        assert statuses(api, 50) == [200] * 50
        api.get("tasks", by=user, status=200)
        assert len(waits) <= 3
    finally:
        os.kill(redis_pid, signal.SIGCONT)


def test_the_summary_is_answered_though_its_cache_hangs(
    limited: MakeApi, redis_url: str, redis_pid: int, waits: list[str]
) -> None:
    api = limited("1000 per hour", redis_url=redis_url, redis_timeout_ms=50)
    os.kill(redis_pid, signal.SIGSTOP)
    try:
        api.get("products/summary", status=200)
        waits.clear()
        api.get("products/summary", status=200)
        assert len(waits) == 1
    finally:
        os.kill(redis_pid, signal.SIGCONT)


def test_another_application_leaves_the_limits_of_this_one_alone(
    make_app: MakeApp, app: Flask
) -> None:
    make_app(rate_limit="1 per hour")
    assert statuses(Api(app), 3) == [200, 200, 200]
