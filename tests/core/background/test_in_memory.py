"""Jobs of a service without the feature `jobs`: in threads of the process, after the commit."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from contextvars import Context
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from app.auth.notices import MAX_PER_HOUR
from app.core.background.backend import submit_job
from app.core.background.in_memory import REMEMBERED, InMemoryBackend
from app.core.background.job_types import JOB_TYPES, JobError, JobRun, JobType
from app.core.database.types import now
from app.core.resources.audit_log import current_audit_context
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import authenticated, current_caller
from app.core.web.problems import Problem
from app.extensions import db
from tests import rows
from tests.api import Caller
from tests.auth.mailing import ADA, Mailing
from tests.conftest import MakeApp
from tests.errands.models import Errand
from tests.features import as_feature
from tests.mail_server import Mailbox, receive

Define = Callable[[Callable[[JobRun], Any]], None]
background = Blueprint("background", __name__, url_prefix="/background")


@background.post("", access=authenticated)
@background.response(204)
def submit_test_job() -> None:
    """Submit a job."""
    submit_job("test", {"name": "value"}, owner_id=current_caller.id)


@background.post("/refused", access=authenticated)
@background.response(204)
def submit_refused_job() -> None:
    """Submit a job, and refuse the request."""
    submit_job("test", {})
    raise Problem("conflict", "Refused.")


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with receive() as box:
        yield box


@pytest.fixture
def forgetful(
    make_app: MakeApp, mailbox: Mailbox, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mailing]:
    """An application whose jobs are in memory, as without the feature `jobs`."""
    with redirect_stdout(output):
        app = make_app(smtp_url=mailbox.url, log_level="INFO")
    as_feature(background).init_app(app)
    with monkeypatch.context() as patch:
        patch.setitem(app.extensions, "jobs", InMemoryBackend(app))
        yield Mailing(app)
        app.extensions["jobs"].stop()


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Define:
    """`define(handler)` registers the handler of jobs of the type "test"."""
    return lambda handler: monkeypatch.setitem(JOB_TYPES, "test", JobType(handler, 5))


def submit(app: Flask, owner: Caller | None = None, times: int = 1, *, commit: bool = True) -> None:
    """Submit jobs as a command does: pytest-flask has entered the context of a request."""

    def command() -> None:
        with app.app_context():
            for _ in range(times):
                submit_job("test", {}, owner_id=owner and owner.id)
            if commit:
                db.session.commit()

    Context().run(command)


def run(app: Flask, owner: Caller | None = None) -> None:
    """Submit a job and wait for it."""
    submit(app, owner)
    app.extensions["jobs"].drain()


def events(output: io.StringIO, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    return [line for line in lines if line["event"] == name]


def test_job_runs_in_another_thread_with_the_context_of_its_request(
    forgetful: Mailing, define: Define, user: Caller, output: io.StringIO
) -> None:
    seen: list[Any] = []

    def work(run: JobRun) -> None:
        seen.extend([threading.current_thread().name, run.owner_id, run.arguments])
        seen.append(current_audit_context())
        db.session.add(Errand(owner_id=run.owner_id, title="done"))

    define(work)
    headers = forgetful.post("background", by=user, status=204).headers
    thread, owner_id, arguments, context = seen
    assert thread.startswith("jobs")
    assert (owner_id, arguments) == (user.id, {"name": "value"})
    assert (context.actor_id, context.ip_address) == (user.id, "127.0.0.1")
    assert context.request_id == headers["X-Request-ID"]
    assert rows.count(forgetful.app, Errand, title="done") == 1
    [finished] = events(output, "job_finished")
    assert (finished["state"], finished["type"]) == ("succeeded", "test")
    assert finished["request_id"] == context.request_id
    assert finished["trace_id"]


def test_job_of_a_refused_request_does_not_run(
    forgetful: Mailing, define: Define, user: Caller
) -> None:
    ran: list[JobRun] = []
    define(ran.append)
    forgetful.post("background/refused", by=user, status=409)
    assert ran == []


def test_job_of_a_command_runs_after_its_commit(forgetful: Mailing, define: Define) -> None:
    ran: list[JobRun] = []
    define(ran.append)
    submit(forgetful.app, commit=False)
    assert ran == []
    run(forgetful.app)
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("error", "event", "written"),
    [
        (JobError("Too late."), "job_finished", "Too late."),
        (RuntimeError("Bug"), "job_failed", "Bug"),
    ],
)
def test_failed_job_is_logged_and_its_transaction_rolled_back(
    forgetful: Mailing,
    define: Define,
    user: Caller,
    output: io.StringIO,
    error: Exception,
    event: str,
    written: str,
) -> None:
    def work(run: JobRun) -> None:
        db.session.add(Errand(owner_id=run.owner_id, title="done"))
        db.session.flush()
        raise error

    define(work)
    run(forgetful.app, user)
    assert rows.count(forgetful.app, Errand, title="done") == 0
    [line] = events(output, event)
    assert written in str(line)


def test_earlier_jobs_of_the_owner_are_counted_for_an_hour_unless_they_failed(
    forgetful: Mailing, define: Define, user: Caller, other: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def work(run: JobRun) -> None:
        counts.append(run.count_earlier(now() - timedelta(hours=1)))
        if len(counts) == 2:
            raise JobError("Not counted.")

    define(work)
    for owner in (user, user, user, other, None):
        run(forgetful.app, owner)
    assert counts == [0, 1, 1, 0, 0]
    later = now() + REMEMBERED
    monkeypatch.setattr("app.core.background.in_memory.now", lambda: later)
    run(forgetful.app, user)
    assert counts[-1] == 0


def test_process_that_ends_runs_all_submitted_jobs(forgetful: Mailing, define: Define) -> None:
    begun, ended = Event(), Event()
    ran: list[UUID] = []

    def work(run: JobRun) -> None:
        begun.set()
        ended.wait(10)
        ran.append(run.id)

    define(work)
    app = forgetful.app
    submit(app, times=5)
    assert begun.wait(10)
    threading.Timer(0.1, ended.set).start()
    app.extensions["jobs"].stop()
    assert len(ran) == 5


def test_mails_are_sent_and_failed_ones_are_not_repeated(
    forgetful: Mailing, mailbox: Mailbox, output: io.StringIO
) -> None:
    forgetful.register()
    forgetful.verify(mailbox.token, status=204)
    mailbox.refusal = f"450 <{ADA['email']}> is busy"
    forgetful.forgot(ADA["email"], status=202)
    forgetful.forgot("nobody@example.com", status=202)
    mailbox.refusal = ""
    assert len(mailbox.messages) == 1
    [failed] = events(output, "job_failed")
    assert failed["exception"].endswith("MailError: SMTPRecipientsRefused")
    assert ADA["email"] not in output.getvalue()


def test_change_of_the_address_is_confirmed_by_both_mails(
    forgetful: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    forgetful.post("auth/email/change", {"email": "new@example.com"}, by=user, status=202)
    assert len(mailbox.messages) == 2
    for message in list(mailbox.messages):
        token = message.get_content().partition("#token=")[2][:43]
        forgetful.post("auth/email/change/confirm", {"token": token}, status=204)
    assert mailbox.messages[-1]["Subject"] == "Your e-mail address was changed"


def test_notices_are_bounded_for_an_hour(
    forgetful: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    key = {"name": "Key", "scopes": ["parcels:own"]}
    for _ in range(MAX_PER_HOUR + 2):
        forgetful.post("auth/api-keys", key, by=user, status=201)
    assert len(mailbox.messages) == MAX_PER_HOUR
    assert "More notices within this hour are not mailed." in mailbox.text


def test_job_of_a_type_without_handler_is_refused(forgetful: Mailing) -> None:
    with forgetful.app.app_context(), pytest.raises(LookupError, match="no job type 'tset'"):
        submit_job("tset", {})
