"""Changes of e-mail addresses, which both mailboxes confirm."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.auth.email_change import purge_email_changes
from app.auth.models import ApiKey, EmailChange, Session
from app.core.database.types import now
from app.extensions import db
from app.users.models import User
from tests import rows
from tests.api import PASSWORD, Caller, error_locations, run_command
from tests.auth.login import log_in
from tests.auth.mailing import NEW_PASSWORD, Mailing
from tests.mail_server import Mailbox

NEW = "new@example.com"


def request_change(mailing: Mailing, user: Caller, email: str = NEW, status: int = 202) -> None:
    mailing.post("auth/email/change", {"email": email}, by=user, status=status)


def token_to(mailbox: Mailbox, address: str) -> str:
    """The token in the last mail to an address."""
    texts = [
        message.get_content()
        for message, to in zip(mailbox.messages, mailbox.recipients, strict=True)
        if to == [f"<{address}>"]
    ]
    return re.search(r"#token=(\S+)", texts[-1])[1]


def confirm(mailing: Mailing, token: str, status: int) -> None:
    mailing.post("auth/email/change/confirm", {"token": token}, status=status)


def email_of(mailing: Mailing, user: Caller) -> str:
    [email] = rows.read(mailing.app, User.email, id=user.id)
    return str(email)


@pytest.mark.parametrize("first", ["old", "new"])
def test_address_changes_when_both_mailboxes_have_confirmed(
    mailing: Mailing, mailbox: Mailbox, user: Caller, first: str
) -> None:
    key = {"name": "Key", "scopes": ["parcels:own"]}
    mailing.post("auth/api-keys", key, by=user, status=201)
    request_change(mailing, user, "NEW@Example.com")
    tokens = [token_to(mailbox, user.email), token_to(mailbox, NEW)]
    one, two = tokens if first == "old" else tokens[::-1]
    confirm(mailing, one, 204)
    assert email_of(mailing, user) == user.email
    mailing.get("users/me", by=user, status=200)
    confirm(mailing, one, 401)
    confirm(mailing, two, 204)
    assert email_of(mailing, user) == NEW
    assert rows.read(mailing.app, User.email_verified_at, id=user.id) != [None]
    mailing.get("users/me", by=user, status=401)
    assert [rows.count(mailing.app, model) for model in (ApiKey, Session, EmailChange)] == [0, 0, 0]
    log_in(mailing, user.email, status=401)
    log_in(mailing, NEW, status=200)
    confirm(mailing, two, 401)


def test_tokens_of_a_change_are_stored_as_hashes_and_mailed_to_one_address_each(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    request_change(mailing, user)
    assert sorted(mailbox.recipients) == [[f"<{NEW}>"], [f"<{user.email}>"]]
    old, new = token_to(mailbox, user.email), token_to(mailbox, NEW)
    for message in mailbox.messages:
        assert (message["To"] == NEW) == (NEW not in message.get_content())
        assert user.email not in message.get_content()
    assert old != new
    with mailing.app.app_context():
        [row] = db.session.execute(select(EmailChange.__table__)).all()
    assert old.encode() not in bytes(row.old_token_hash) + bytes(row.new_token_hash)
    assert len(old) == len(new) == 43


def expire(mailing: Mailing, user: Caller) -> None:
    with mailing.app.app_context():
        db.session.execute(update(EmailChange).values(expires_at=now()))
        db.session.commit()


def change_password(mailing: Mailing, user: Caller) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    mailing.put("users/me/password", body, by=user, status=204)


def disable(mailing: Mailing, user: Caller) -> None:
    rows.change(mailing.app, User, user.id, is_active=False)


def request_another(mailing: Mailing, user: Caller) -> None:
    request_change(mailing, user, "another@example.com")


@pytest.mark.parametrize("end", [expire, change_password, disable, request_another])
def test_tokens_of_a_change_that_has_ended_are_401(
    mailing: Mailing, mailbox: Mailbox, user: Caller, end: Callable[[Mailing, Caller], None]
) -> None:
    request_change(mailing, user)
    tokens = token_to(mailbox, user.email), token_to(mailbox, NEW)
    confirm(mailing, tokens[0], 204)
    end(mailing, user)
    confirm(mailing, tokens[1], 401)
    confirm(mailing, tokens[0], 401)
    assert email_of(mailing, user) == user.email


def test_password_reset_and_first_verification_cancel_a_change(
    mailing: Mailing, mailbox: Mailbox
) -> None:
    ada = mailing.register()
    verification = mailbox.token
    request_change(mailing, ada)
    mailing.verify(verification, status=204)
    assert rows.count(mailing.app, EmailChange) == 0
    request_change(mailing, mailing.sign_in(ada))
    mailing.forgot(ada.email, status=202)
    mailing.reset(token_to(mailbox, ada.email), status=204)
    assert rows.count(mailing.app, EmailChange) == 0


def test_change_revokes_the_tokens_that_were_mailed_to_the_old_address(
    mailing: Mailing, mailbox: Mailbox
) -> None:
    ada = mailing.register()
    verification = mailbox.token
    mailing.forgot(ada.email, status=202)
    reset = mailbox.token
    request_change(mailing, ada)
    confirm(mailing, token_to(mailbox, ada.email), 204)
    confirm(mailing, token_to(mailbox, NEW), 204)
    mailing.verify(verification, status=401)
    mailing.reset(reset, status=401)


def test_response_does_not_reveal_that_the_new_address_is_registered(
    mailing: Mailing, mailbox: Mailbox, user: Caller, other: Caller
) -> None:
    def ask(email: str) -> object:
        response = mailing.post("auth/email/change", {"email": email}, by=user, status=202)
        headers = {k: v for k, v in response.headers if k not in ("X-Request-ID", "RateLimit")}
        return response.data, headers

    answer = ask(other.email.upper())
    [taken] = [message for message in mailbox.messages if message["To"] == other.email]
    assert len(mailbox.messages) == 2
    assert ask(NEW) == answer
    assert "token" not in taken.get_content()
    assert user.email not in taken.get_content()


def test_change_needs_a_recent_login_and_another_address(mailing: Mailing, user: Caller) -> None:
    for email in ("new", user.email.upper()):
        refused = mailing.post("auth/email/change", {"email": email}, by=user, status=422)
        assert error_locations(refused) == {"#/email"}
    with mailing.app.app_context():
        db.session.execute(update(Session).values(created_at=now() - timedelta(days=1)))
        db.session.commit()
    request_change(mailing, user, status=401)
    assert rows.count(mailing.app, EmailChange) == 0


def test_two_accounts_that_claim_one_address_at_once_have_one_winner(
    mailing: Mailing, mailbox: Mailbox, user: Caller, other: Caller
) -> None:
    tokens = []
    for caller in (user, other):
        request_change(mailing, caller)
        tokens.append(token_to(mailbox, NEW))
        confirm(mailing, token_to(mailbox, caller.email), 204)
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(
            lambda token: mailing.post("auth/email/change/confirm", {"token": token}), tokens
        )
        assert sorted(answer.status_code for answer in answers) == [204, 409]
    emails = {email_of(mailing, user), email_of(mailing, other)}
    assert NEW in emails
    assert len(emails) == 2


def test_both_tokens_used_at_once_change_the_address(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    request_change(mailing, user)
    tokens = [token_to(mailbox, user.email), token_to(mailbox, NEW)] * 2
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(
            lambda token: mailing.post("auth/email/change/confirm", {"token": token}), tokens
        )
        assert sorted(answer.status_code for answer in answers) == [204, 204, 401, 401]
    assert email_of(mailing, user) == NEW


def test_expired_changes_are_purged(mailing: Mailing, user: Caller) -> None:
    request_change(mailing, user)
    with mailing.app.app_context():
        assert purge_email_changes() == 0
    expire(mailing, user)
    with mailing.app.app_context():
        assert purge_email_changes() == 1


def test_set_email_changes_the_address_of_a_user_who_lost_the_mailbox(
    mailing: Mailing, user: Caller, other: Caller
) -> None:
    command = ("users", "set-email", user.email)
    assert (
        "already registered" in run_command(mailing.app, *command, other.email, fails=True).output
    )
    assert "Not an e-mail" in run_command(mailing.app, *command, "new", fails=True).output
    unknown = run_command(mailing.app, "users", "set-email", "nobody@example.com", NEW, fails=True)
    assert "nobody@example.com is not registered" in unknown.output
    assert NEW in run_command(mailing.app, *command, NEW).output
    assert email_of(mailing, user) == NEW
    assert rows.read(mailing.app, User.email_verified_at, id=user.id) == [None]
    mailing.get("users/me", by=user, status=401)
