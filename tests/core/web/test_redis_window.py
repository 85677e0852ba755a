"""Rate limits in Redis, and without it."""

import os
import signal
import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest
import redis
from flask import Flask
from limits.storage import RedisStorage

from app.core.web.redis_window import SlidingWindowStorage
from tests import services
from tests.api import Api, Caller
from tests.conftest import on_sqlite, own_server
from tests.core.web.rate_limits import MakeApi, parse, remaining, statuses

# Independent of the database.
pytestmark = on_sqlite


@pytest.fixture
def redis_pid(redis_url: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        return int(client.info("server")["process_id"])


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The errors of timeouts of Redis."""
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
    """Whether a request is counted in Redis."""
    api.get("articles", status=200)
    with redis.Redis.from_url(api.app.config["REDIS_URL"]) as client:
        return bool(client.keys("LIMITS*"))


def test_all_processes_count_in_one_redis(limited: MakeApi, redis_url: str) -> None:
    for left in (2, 1, 0):
        api = limited("3 per hour", redis_url=redis_url)
        assert remaining(api.get("articles", status=200)) == left
    limited("3 per hour", redis_url=redis_url).get("articles", status=429)


def test_counting_and_the_remaining_quota_need_one_round_trip(
    limited: MakeApi, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = limited("9 per hour", redis_url=redis_url)
    api.get("articles", status=200)  # connects and loads the script
    sent: list[Any] = []
    send = redis.Connection.send_packed_command
    monkeypatch.setattr(
        redis.Connection, "send_packed_command", lambda *a, **k: (sent.append(a[1]), send(*a, **k))
    )
    assert remaining(api.get("articles", status=200)) == 7
    assert len(sent) == 1


@pytest.mark.parametrize("storage", [RedisStorage, SlidingWindowStorage])
def test_script_counts_as_that_of_the_library(
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
        let_pass(hour + hour // 2)  # to the middle of the next window
        assert [hit() for _ in range(3)] == [True, True, False]
        assert window() == (3, hour // 2, 2, hour + hour // 2)
        let_pass(hour - 600)
        assert [hit() for _ in range(3)] == [True, True, False]
        assert window() == (2, 2400, 2, hour + 2400)
        let_pass(2 * hour)
        assert hit()
        assert window() == (0, 0, 1, 2 * hour)


def test_first_request_in_redis_reports_the_whole_window(limited: MakeApi, redis_url: str) -> None:
    response = limited("3 per hour", redis_url=redis_url).get("articles", status=200)
    assert 3590 <= parse(response, "RateLimit")["default"]["t"] <= 3600


def test_each_process_counts_separately_without_redis(limited: MakeApi) -> None:
    for _ in range(2):
        assert remaining(limited("3 per hour").get("articles", status=200)) == 2


def test_flushed_redis_resets_the_quota(limited: MakeApi, redis_url: str) -> None:
    api = limited("1 per hour", redis_url=redis_url)
    assert statuses(api, 2) == [200, 429]
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert statuses(api, 2) == [200, 429]


def test_killed_redis_is_replaced_by_counters_of_the_process(
    limited: MakeApi, redis_url: str, redis_pid: int, user: Caller
) -> None:
    api = limited("3 per hour", redis_url=redis_url)
    api.get("articles", status=200)
    os.kill(redis_pid, signal.SIGKILL)
    assert statuses(api, 4) == [200, 200, 200, 429]
    api.get("articles/summary", by=user, status=200)
    api.get("/health/live", status=200)


def test_unavailable_database_is_queried_once_and_redis_stays_in_use(
    limited: MakeApi, redis_url: str
) -> None:
    away = f"postgresql://nobody@127.0.0.1:{services.free_port()}/nowhere"
    api = limited("9 per hour", redis_url=redis_url, database_url=away)
    asked: list[Any] = []
    state = api.app.extensions["core"]
    load = state.load_caller
    state.load_caller = lambda: (asked.append(1), load())[1]
    key = f"key_{urlsafe_b64encode(bytes(48)).decode()}"  # authenticated by a query
    response = api.get("articles", status=503, headers={"Authorization": f"Bearer {key}"})
    assert len(asked) == 1
    assert remaining(response) == 8
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("LIMITS*")


def test_start_without_redis_counts_in_the_process(limited: MakeApi) -> None:
    api = limited("2 per hour", redis_url=f"redis://127.0.0.1:{services.free_port()}/0")
    assert statuses(api, 3) == [200, 200, 429]


def test_restarted_redis_is_used_again(limited: MakeApi, redis_url: str, redis_pid: int) -> None:
    api = limited("1000 per hour", redis_url=redis_url)
    api.get("articles", status=200)
    os.kill(redis_pid, signal.SIGKILL)
    api.get("articles", status=200)
    with own_server("redis", int(redis_url.rpartition(":")[2].partition("/")[0])):
        deadline = time.monotonic() + services.SECONDS
        while not recovered(api):  # retried after 1, 2, 4 ... seconds
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_hanging_redis_costs_at_most_three_timeouts(
    limited: MakeApi, redis_url: str, redis_pid: int, user: Caller, waits: list[str]
) -> None:
    api = limited("1000 per hour", redis_url=redis_url, redis_timeout_ms=50)
    api.get("articles", status=200)
    os.kill(redis_pid, signal.SIGSTOP)
    try:
        api.get("articles", status=200)
        assert 1 <= len(waits) <= 2
        assert statuses(api, 50) == [200] * 50
        api.get("errands", by=user, status=200)
        assert len(waits) <= 3
    finally:
        os.kill(redis_pid, signal.SIGCONT)


def test_summary_is_returned_while_its_cache_hangs(
    limited: MakeApi, redis_url: str, redis_pid: int, waits: list[str]
) -> None:
    api = limited("1000 per hour", redis_url=redis_url, redis_timeout_ms=50)
    os.kill(redis_pid, signal.SIGSTOP)
    try:
        api.get("articles/summary", status=200)
        waits.clear()
        api.get("articles/summary", status=200)
        assert len(waits) == 1
    finally:
        os.kill(redis_pid, signal.SIGCONT)
