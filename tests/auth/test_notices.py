"""Mails to the owner about changes of credentials and about logins."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.auth.devices import KnownDevice, purge_known_devices
from app.auth.notices import MAX_PER_HOUR
from app.core.database.types import now
from app.extensions import db
from app.jobs.models import Job
from tests import rows
from tests.api import PASSWORD, Caller
from tests.auth.login import log_in
from tests.auth.mailing import NEW_PASSWORD, Mailing
from tests.mail_server import Mailbox

KEY = {"name": "Key", "scopes": ["parcels:own"]}
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/{}.0.0.0 Safari/537.36"


def subjects(mailbox: Mailbox) -> list[str]:
    return [str(message["Subject"]) for message in mailbox.messages]


def test_changes_of_credentials_are_mailed_to_the_owner(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.post("auth/api-keys", KEY, by=user, status=201)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    mailing.put("users/me/password", body, by=user, status=204)
    mailing.forgot(user.email, status=202)
    mailing.reset(mailbox.token, "another unguessed phrase", status=204)
    assert subjects(mailbox) == [
        "A new API key",
        "Your password was changed",
        "Set a new password",
        "Your password was changed",
    ]
    assert mailbox.recipients == [[f"<{user.email}>"]] * 4
    assert "IP address: 127.0.0.1\n" in mailbox.text
    assert re.search(r"^Time: \d{4}-\d\d-\d\d \d\d:\d\d UTC$", mailbox.text, re.MULTILINE)
    assert NEW_PASSWORD not in mailbox.text


def test_failed_change_of_credentials_is_not_mailed(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.post("auth/api-keys", KEY | {"scopes": ["users:manage"]}, by=user, status=422)
    body = {"current_password": "a wrong guess of it", "new_password": NEW_PASSWORD}
    mailing.put("users/me/password", body, by=user, status=422)
    assert mailbox.messages == []


def test_change_of_the_address_is_mailed_to_the_old_one(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.post("auth/email/change", {"email": "new@example.com"}, by=user, status=202)
    for message in list(mailbox.messages):
        token = message.get_content().partition("#token=")[2][:43]
        mailing.post("auth/email/change/confirm", {"token": token}, status=204)
    assert mailbox.messages[-1]["Subject"] == "Your e-mail address was changed"
    assert mailbox.recipients[-1] == [f"<{user.email}>"]


def test_notices_of_an_account_are_bounded_for_an_hour(
    mailing: Mailing, mailbox: Mailbox, user: Caller, other: Caller
) -> None:
    for _ in range(MAX_PER_HOUR + 2):
        mailing.post("auth/api-keys", KEY, by=user, status=201)
    assert len(mailbox.messages) == MAX_PER_HOUR
    assert "More notices within this hour are not mailed." in mailbox.text
    mailing.post("auth/api-keys", KEY, by=other, status=201)
    assert mailbox.recipients[-1] == [f"<{other.email}>"]
    # begin jobs
    with mailing.app.app_context():
        db.session.execute(update(Job).values(created_at=now() - timedelta(hours=1)))
        db.session.commit()
    mailing.post("auth/api-keys", KEY, by=user, status=201)
    assert mailbox.recipients[-1] == [f"<{user.email}>"]
    assert "not mailed" not in mailbox.text
    # end jobs


@pytest.mark.parametrize(
    ("agent", "address", "is_new"),
    [
        (CHROME.format(126), "192.0.2.77", False),  # an update, another address of the network
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Firefox/130.0", "192.0.2.1", True),
        (CHROME.format(125), "198.51.100.1", True),
        (CHROME.format(125), "2001:db8::1", True),
        ("\N{SNOWMAN}", "192.0.2.1", True),
    ],
)
def test_login_from_a_new_device_is_mailed_once(
    mailing: Mailing, mailbox: Mailbox, user: Caller, agent: str, address: str, is_new: bool
) -> None:
    def log_in_from(agent: str, address: str) -> None:
        headers = {"User-Agent": agent.encode().decode("latin-1")}
        environ = {"REMOTE_ADDR": address}
        log_in(mailing, user.email, headers=headers, environ_base=environ, status=200)

    log_in_from(CHROME.format(125), "192.0.2.1")
    assert mailbox.messages == []
    for _ in range(2):
        log_in_from(agent, address)
    assert subjects(mailbox) == ["A login from a new device"] * is_new
    if is_new:
        assert f"IP address: {address}\n" in mailbox.text
        assert "Mozilla" not in mailbox.text


def test_login_after_ten_failures_is_mailed(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    for n in range(10):
        environ = {"REMOTE_ADDR": f"192.0.2.{n}"}
        log_in(mailing, user.email, "a wrong guess of it", environ_base=environ, status=401)
    log_in(mailing, user.email, status=200)
    log_in(mailing, user.email, status=200)
    assert subjects(mailbox) == ["A login after failed attempts"]


def test_known_device_is_stored_as_a_keyed_hash_and_expires(mailing: Mailing, user: Caller) -> None:
    log_in(mailing, user.email, status=200)
    with mailing.app.app_context():
        [row] = db.session.execute(select(KnownDevice.__table__)).all()
        assert len(row.fingerprint) == 32
        assert purge_known_devices() == 0
        db.session.execute(update(KnownDevice).values(created_at=now() - timedelta(days=366)))
        db.session.commit()
        assert purge_known_devices() == 1
    assert rows.count(mailing.app, KnownDevice) == 0
