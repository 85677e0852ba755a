"""Idempotency-Key under attack: many at once, workers killed, expired keys purged."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from app.extensions import db
from app.kit import idempotency
from app.kit.idempotency import IdempotencyKey
from app.kit.model import now
from app.tasks.models import Task
from tests.api import Api, Caller

KEY = {"Idempotency-Key": "key-1"}


def count(app: Flask, model: type) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model))


def test_of_many_at_once_one_creates_and_the_others_replay_or_are_told_to_wait(
    app: Flask, api: Api, user: Caller
) -> None:
    def post(_: int):
        return api.post("tasks", {"title": "once"}, by=user, headers=KEY)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(post, range(30)))
    created = [a for a in answers if a.status_code == 201]
    refused = [a for a in answers if a.status_code != 201]
    assert count(app, Task) == 1
    assert len({a.data for a in created}) == 1
    assert len([a for a in created if "Idempotent-Replayed" not in a.headers]) == 1
    assert all(a.status_code == 409 and a.headers["Retry-After"] == "1" for a in refused)


def test_the_answer_is_kept_with_the_effect_or_not_at_all(
    app: Flask, api: Api, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(idempotency.Attempt, "keep", lambda *_: 1 / 0)
        api.post("tasks", {"title": "lost"}, by=user, headers=KEY, status=500)
    assert count(app, Task) == count(app, IdempotencyKey) == 0
    api.post("tasks", {"title": "lost"}, by=user, headers=KEY, status=201)
    assert count(app, Task) == count(app, IdempotencyKey) == 1


def test_expired_keys_are_purged_and_others_kept(app: Flask, api: Api, user: Caller) -> None:
    for number in range(3):
        headers = {"Idempotency-Key": f"key-{number}"}
        api.post("tasks", {"title": "x"}, by=user, headers=headers, status=201)
    with app.app_context():
        old = update(IdempotencyKey).where(IdempotencyKey.key != "key-0")
        db.session.execute(old.values(expires_at=now() - timedelta(seconds=1)))
        db.session.commit()
        idempotency.purge(100)
        db.session.commit()
        assert list(db.session.scalars(select(IdempotencyKey.key))) == ["key-0"]
