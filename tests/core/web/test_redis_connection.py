"""Redis over a connection of each thread's own, whatever becomes of the connection."""

import pytest
import redis

from app.core.web.redis_connection import ThreadLocalRedis


@pytest.mark.parametrize("closes", [False, True])
def test_what_redis_is_told_is_done_once_it_has_answered_something_later(
    redis_url: str, closes: bool
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        direct = ThreadLocalRedis(client.connection_pool)
        for n in range(3):
            client.set("key", n)
            if closes:
                client.client_kill_filter(_type="normal", skipme=True)
            direct.execute_no_wait("DEL", "key")
            client.ping()
            assert client.get("key") is None
        assert direct.execute("EXISTS", "key") == 0


def test_an_error_that_was_told_to_nobody_is_raised_next(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        direct = ThreadLocalRedis(client.connection_pool)
        direct.execute_no_wait("INCR")
        with pytest.raises(redis.ResponseError):
            direct.execute("PING")
        assert direct.execute("PING") == b"PONG"


def test_a_connection_that_is_closed_is_opened_again_for_a_question(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        direct = ThreadLocalRedis(client.connection_pool)
        for _ in range(2):
            assert direct.execute("PING") == b"PONG"
            client.client_kill_filter(_type="normal", skipme=True)
