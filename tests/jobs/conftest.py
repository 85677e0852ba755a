"""Fixtures of the tests of jobs."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from app.core.background.job_types import JOB_TYPES, JobType
from app.extensions import db
from app.jobs.runner import create_job
from tests.api import Caller
from tests.jobs.job_calls import Handler


@pytest.fixture
def define_job(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`define_job(handler)` registers the handler of jobs of the type "test"."""

    def register(handler: Handler, attempts: int = 5) -> None:
        monkeypatch.setitem(JOB_TYPES, "test", JobType(handler, attempts))

    return register


@pytest.fixture
def new_job(app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch) -> Callable[..., UUID]:
    """`new_job()` is the id of a queued job of the user, which was not sent to a worker.

    Its type is "test", of which only `define_job` registers a handler.
    """

    def create(**arguments: Any) -> UUID:
        with app.app_context(), monkeypatch.context() as patch:
            patch.setitem(JOB_TYPES, "test", JobType(lambda run: None, 5))
            job = create_job("test", arguments, owner_id=user.id)
            db.session.add(job)
            db.session.commit()
            return job.id

    return create


@pytest.fixture
def sent(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The ids of the jobs that are sent to a worker; none of them runs."""
    ids: list[UUID] = []
    monkeypatch.setattr(app.extensions["jobs"], "send", ids.append)
    return ids
