"""Idempotency-Key: parallel requests, killed workers, purged keys."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import redis
from flask import Flask
from sqlalchemy import func, select, update

from app.core.background.periodic import purge_idempotency_keys
from app.core.database.types import now
from app.core.resources import idempotency
from app.core.resources.blueprint import Blueprint
from app.core.resources.idempotency import IdempotencyKey
from app.core.security.authorization import authenticated, current_caller
from app.extensions import db
from tests.api import Api, Caller
from tests.conftest import MakeApp, on_postgresql
from tests.errands.models import Errand
from tests.errands.schemas import ErrandSchema
from tests.live import Answer, Live, serve

KEY = {"Idempotency-Key": "key-1"}


def count(app: Flask, model: type) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model))


def test_one_of_many_parallel_requests_with_one_key_creates_and_others_replay_or_conflict(
    app: Flask, api: Api, user: Caller
) -> None:
    def post(_: int):
        return api.post("errands", {"title": "once"}, by=user, headers=KEY)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(post, range(30)))
    created = [a for a in answers if a.status_code == 201]
    refused = [a for a in answers if a.status_code != 201]
    assert count(app, Errand) == 1
    assert len({a.data for a in created}) == 1
    assert len([a for a in created if "Idempotent-Replayed" not in a.headers]) == 1
    assert all(a.status_code == 409 and a.headers["Retry-After"] == "1" for a in refused)


def test_response_and_effect_of_a_key_are_stored_atomically(
    app: Flask, api: Api, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(idempotency.Attempt, "store_response", lambda *_: 1 / 0)
        api.post("errands", {"title": "lost"}, by=user, headers=KEY, status=500)
    assert count(app, Errand) == count(app, IdempotencyKey) == 0
    api.post("errands", {"title": "lost"}, by=user, headers=KEY, status=201)
    assert count(app, Errand) == count(app, IdempotencyKey) == 1


@pytest.fixture
def live(another_database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Live]:
    patient = {"LOCK_TIMEOUT_MS": "30000", "STATEMENT_TIMEOUT_MS": "30000"}
    servers = {"REDIS_URL": redis_url, "CACHE_DIR": str(tmp_path)}
    with serve(another_database_url, **servers, **patient) as live:
        yield live


def titles(live: Live, by: dict[str, str]) -> list[str]:
    return [
        errand["title"]
        for errand in live.call("GET", "errands?limit=100", headers=by).json["items"]
    ]


@pytest.mark.slow
def test_thirty_clients_with_one_key_create_one_row_over_all_workers(live: Live) -> None:
    by = live.log_in()

    def post(_: int) -> Answer:
        return live.call("POST", "errands", {"title": "once"}, {**by, **KEY})

    with ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(post, range(30)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.body for answer in answers if answer.status == 201}) == 1
    assert titles(live, by).count("once") == 1


@pytest.mark.slow
def test_idempotency_keys_survive_a_flushed_redis(live: Live, redis_url: str) -> None:
    by = live.log_in()
    first = live.call("POST", "errands", {"title": "once"}, {**by, **KEY})
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushall()
    again = live.call("POST", "errands", {"title": "once"}, {**by, **KEY})
    assert again.body == first.body
    assert titles(live, by).count("once") == 1


@pytest.mark.slow
@on_postgresql
def test_retry_after_a_killed_worker_creates_one_row(live: Live, another_database_url: str) -> None:
    by = live.log_in()
    with (
        psycopg.connect(another_database_url) as other,
        ThreadPoolExecutor(1) as threads,
    ):
        other.execute("SELECT * FROM users FOR UPDATE")  # the insert waits for its owner's row
        cut = threads.submit(live.call, "POST", "errands", {"title": "once"}, {**by, **KEY})
        while not _waits_for_a_lock(another_database_url):
            assert not cut.done(), cut.result()
            time.sleep(0.02)
        for worker in live.workers():
            os.kill(worker, signal.SIGKILL)
        with pytest.raises(OSError):  # noqa: PT011 - whichever the kernel makes of it
            cut.result()
        other.rollback()
    retried = live.call("POST", "errands", {"title": "once"}, {**by, **KEY})
    while retried.status == 409:  # until PostgreSQL ends the session of the killed worker
        retried = live.call("POST", "errands", {"title": "once"}, {**by, **KEY})
    assert retried.status == 201
    assert titles(live, by).count("once") == 1


def _waits_for_a_lock(url: str) -> bool:
    with psycopg.connect(url) as connection:
        waiting = connection.execute(
            "SELECT 1 FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return waiting.fetchone() is not None


def test_expired_idempotency_keys_are_purged(app: Flask, api: Api, user: Caller) -> None:
    for number in range(3):
        headers = {"Idempotency-Key": f"key-{number}"}
        api.post("errands", {"title": "x"}, by=user, headers=headers, status=201)
    with app.app_context():
        old = update(IdempotencyKey).where(IdempotencyKey.key != "key-0")
        db.session.execute(old.values(expires_at=now() - timedelta(seconds=1)))
        db.session.commit()
        assert purge_idempotency_keys() == 2
        assert list(db.session.scalars(select(IdempotencyKey.key))) == ["key-0"]


def test_key_of_a_creation_without_a_body_replays_the_response(
    make_app: MakeApp, user: Caller
) -> None:
    blank = Blueprint("blank", __name__, url_prefix="/blank", description="Creates blank errands.")

    @blank.post("", access=authenticated)
    @blank.creates(ErrandSchema)
    def create_blank_task() -> Errand:
        """Create an errand without a body."""
        return Errand(owner_id=current_caller.id, title="Blank")

    api = Api(make_app(blank))
    first = api.post("blank", by=user, headers=KEY, status=201)
    again = api.post("blank", by=user, headers=KEY, status=201)
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"


def test_anonymous_client_repeats_its_request_from_another_address_of_its_network(
    api: Api,
) -> None:
    body = {"email": "ada@example.com", "name": "Ada", "password": "correct horse battery staple"}

    def post(address: str) -> int:
        environ = {"REMOTE_ADDR": address}
        return api.post("users", body, headers=KEY, environ_overrides=environ).status_code

    assert post("2001:db8::1") == 201
    assert post("2001:db8::2") == post("[2001:DB8::3]:443") == 201  # the stored response
    assert post("2001:db8:0:1::1") != 201
