"""Rate limits: what is counted, for whom, and what the response says."""

import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from flask import Flask

from tests.api import PASSWORD, Api, Caller, bearer
from tests.conftest import MakeApp, on_sqlite
from tests.core.web.rate_limits import MakeApi, parse, remaining, statuses
from tests.executed import statements

# Independent of the database.
pytestmark = on_sqlite


def test_ratelimit_policy_has_quota_and_window(limited: MakeApi) -> None:
    response = limited("30 per minute").get("articles", status=200)
    assert parse(response, "RateLimit-Policy") == {"default": {"q": 30, "w": 60}}


def test_remaining_quota_decreases_to_zero(limited: MakeApi) -> None:
    api = limited("3 per hour")
    assert [remaining(api.get("articles")) for _ in range(5)] == [2, 1, 0, 0, 0]


@pytest.mark.parametrize("limit", ["5 per second", "5 per minute", "5 per 2 hour", "5 per day"])
def test_ratelimit_reset_is_within_the_window(limited: MakeApi, limit: str) -> None:
    api = limited(limit)
    for _ in range(7):
        response = api.get("articles")
        window = parse(response, "RateLimit-Policy")["default"]["w"]
        assert 0 <= parse(response, "RateLimit")["default"]["t"] <= window


def test_route_with_a_separate_limit_reports_that_limit(limited: MakeApi) -> None:
    response = limited("30 per minute", login_rate_limit="10 per hour").post("auth/login", {})
    assert parse(response, "RateLimit-Policy") == {"log_in": {"q": 10, "w": 3600}}
    assert remaining(response, "log_in") == 9


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("articles", 200),
        ("errands", 401),
        ("/nothing", 404),
        ("articles?x=1", 422),
        ("/.well-known/jwks.json", 200),
    ],
)
def test_every_response_reports_the_remaining_quota(
    limited: MakeApi, path: str, status: int
) -> None:
    response = limited("30 per hour").get(path, status=status)
    assert remaining(response) == 29
    assert "Retry-After" not in response.headers


def test_method_not_allowed_is_counted(limited: MakeApi) -> None:
    assert remaining(limited("30 per hour").put("articles", status=405)) == 29


def test_request_over_the_limit_is_429_until_retry_after(limited: MakeApi) -> None:
    api = limited("2 per 1 second")
    for _ in range(2):
        while (response := api.get("articles")).status_code == 200:
            assert "Retry-After" not in response.headers
        assert response.status_code == 429
        assert response.json["type"] == "/problems/too-many-requests"
        wait = int(response.headers["Retry-After"])
        assert 1 <= wait <= 2
        time.sleep(wait)
        api.get("articles", status=200)


def test_rate_limited_request_has_no_effect(limited: MakeApi, editor: Caller) -> None:
    api = limited("1 per hour")
    api.get("articles", by=editor, status=200)
    mug = {"sku": "M", "name": "M", "category": "M", "price": "1", "currency": "EUR"}
    api.post("articles", mug, by=editor, status=429)
    assert api.get("articles", status=200).json["items"] == []


def test_user_is_counted_at_all_addresses(limited: MakeApi, user: Caller) -> None:
    api = limited("2 per hour")
    for address in ("192.0.2.1", "192.0.2.2"):
        api.get("errands", by=user, environ_overrides={"REMOTE_ADDR": address}, status=200)
    api.get("errands", by=user, environ_overrides={"REMOTE_ADDR": "192.0.2.3"}, status=429)


def test_users_at_one_address_have_separate_quotas(
    limited: MakeApi, user: Caller, other: Caller
) -> None:
    api = limited("1 per hour")
    for by in (user, other, None):
        api.get("articles", by=by, status=200)
        api.get("articles", by=by, status=429)


def test_anonymous_callers_are_counted_by_address(limited: MakeApi) -> None:
    api = limited("1 per hour")
    api.get("articles", status=200)
    api.get("articles", status=429)
    api.get("articles", environ_overrides={"REMOTE_ADDR": "192.0.2.1"}, status=200)


def test_invalid_credentials_count_for_the_address_and_not_for_their_user(
    limited: MakeApi, user: Caller
) -> None:
    api = limited("2 per hour")
    forged = {"Authorization": user.headers["Authorization"][:-4] + "AAAA"}
    assert statuses(api, 3, "errands", headers=forged) == [401, 401, 429]
    api.get("articles", status=429)
    assert remaining(api.get("errands", by=user, status=200)) == 1


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


def test_unknown_paths_are_counted(limited: MakeApi) -> None:
    assert statuses(limited("2 per hour"), 3, "/.env") == [404, 404, 429]


def test_health_routes_are_not_limited(limited: MakeApi) -> None:
    api = limited("1 per hour")
    assert statuses(api, 2) == [200, 429]
    for path in ("/health/live", "/health/ready"):
        assert statuses(api, 3, path) == [200, 200, 200]
        assert "RateLimit" not in api.get(path).headers


def test_health_routes_are_not_counted(limited: MakeApi) -> None:
    api = limited("1 per hour")
    assert statuses(api, 3, "/health/live") == [200, 200, 200]
    api.get("articles", status=200)


def test_logins_have_a_separate_limit(limited: MakeApi, user: Caller) -> None:
    api = limited("100 per hour", login_rate_limit="2 per hour")
    guess = {"email": user.email, "password": "a guess of some length"}
    assert [api.post("auth/login", guess).status_code for _ in range(3)] == [401, 401, 429]
    assert int(api.post("auth/login", guess).headers["Retry-After"]) > 0
    api.get("articles", status=200)
    api.post("auth/refresh", {"refresh_token": "x"}, status=401)


def test_registrations_have_a_separate_limit(limited: MakeApi) -> None:
    api = limited("100 per hour", register_rate_limit="2 per hour")
    assert [api.post("users", {}).status_code for _ in range(3)] == [422, 422, 429]
    api.post("auth/login", {}, status=422)


def test_login_is_counted_as_a_request(limited: MakeApi) -> None:
    api = limited("2 per hour", login_rate_limit="100 per hour")
    assert [api.post("auth/login", {}).status_code for _ in range(3)] == [422, 422, 429]


def forwarded(addresses: str) -> dict[str, Any]:
    return {"headers": {"X-Forwarded-For": addresses}}


def test_x_forwarded_for_is_ignored_without_a_proxy(limited: MakeApi) -> None:
    api = limited("1 per hour")
    api.get("articles", **forwarded("192.0.2.1"), status=200)
    api.get("articles", **forwarded("192.0.2.2"), status=429)


def test_address_seen_by_the_proxy_is_counted(limited: MakeApi) -> None:
    api = limited("1 per hour", trusted_proxies=1)
    api.get("articles", **forwarded("192.0.2.1"), status=200)
    api.get("articles", **forwarded("192.0.2.2"), status=200)
    api.get("articles", **forwarded("192.0.2.1"), status=429)


def test_x_forwarded_for_of_the_client_is_ignored_behind_a_proxy(limited: MakeApi) -> None:
    api = limited("1 per hour", trusted_proxies=1)
    api.get("articles", **forwarded("198.51.100.1, 192.0.2.1"), status=200)
    api.get("articles", **forwarded("198.51.100.2, 192.0.2.1"), status=429)
    api.get("articles", **forwarded("198.51.100.2, 192.0.2.2"), status=200)


def test_limits_of_another_application_do_not_apply(make_app: MakeApp, app: Flask) -> None:
    make_app(rate_limit="1 per hour")
    assert statuses(Api(app), 3) == [200, 200, 200]


def test_keys_and_sessions_of_a_user_share_one_quota(limited: MakeApi, user: Caller) -> None:
    api = limited("20 per hour")
    keys = [
        api.post(
            "auth/api-keys", {"name": "n", "scopes": ["errands:own"]}, by=user, status=201
        ).json
        for _ in range(5)
    ]
    found = [api.get("errands", headers=bearer(key["secret"]), status=200) for key in keys]
    assert [remaining(response) for response in found] == [14, 13, 12, 11, 10]
    assert remaining(api.get("errands", by=user, status=200)) == 9


@pytest.mark.parametrize("credential", ["key_{}", "{}", "a.{}.b"])
def test_random_credentials_over_the_limit_cost_no_query(limited: MakeApi, credential: str) -> None:
    api = limited("3 per hour")

    def send(n: int) -> int:
        random = urlsafe_b64encode(bytes([n]) * 48).decode()
        headers = bearer(credential.format(random))
        headers |= {"X-Forwarded-For": f"192.0.2.{n}"}
        return api.get("errands", headers=headers).status_code

    assert [send(n) for n in range(3)] == [401] * 3
    with statements(api.app) as sent:
        assert [send(n) for n in range(3, 10)] == [429] * 7
    assert sent == []


def test_key_that_was_valid_is_usable_where_random_keys_used_up_the_quota(
    limited: MakeApi, user: Caller
) -> None:
    api = limited("6 per hour")
    body = {"name": "n", "scopes": ["errands:own"]}
    key = bearer(api.post("auth/api-keys", body, by=user, status=201).json["secret"])
    api.get("errands", headers=key, status=200)
    random = bearer("key_" + urlsafe_b64encode(b"x" * 48).decode())
    assert statuses(api, 8, "errands", headers=random) == [401] * 6 + [429] * 2
    api.get("errands", headers=key, status=200)
