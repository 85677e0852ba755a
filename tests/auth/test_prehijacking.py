"""Somebody registers another person's e-mail address and waits for its owner."""

from typing import Any

import pytest
from flask import Flask

from app.auth.models import ApiKey, Session
from tests import rows
from tests.api import PASSWORD, Caller
from tests.auth.login import log_in, refresh
from tests.auth.mailing import ADA, NEW_PASSWORD, Mailing
from tests.mail_server import Mailbox


def key_of(api: Mailing, by: Caller) -> dict[str, str]:
    body = {"name": "Waiting", "scopes": ["parcels:own"]}
    key = api.post("auth/api-keys", body, by=by, status=201).json
    return {"Authorization": f"Bearer {key['secret']}"}


def prove(api: Mailing, mailbox: Mailbox, how: str) -> None:
    """Prove that the mail of the address can be read."""
    if how == "verification":
        api.verify(mailbox.token, status=204)
    else:
        api.forgot(ADA["email"], status=202)
        api.reset(mailbox.token, status=204)


@pytest.mark.parametrize("how", ["verification", "reset"])
def test_credentials_from_before_the_owner_proved_the_address_are_revoked(
    app: Flask, mailing: Mailing, mailbox: Mailbox, how: str
) -> None:
    attacker = mailing.register()
    tokens = log_in(mailing, ADA["email"], status=200)
    key = key_of(mailing, attacker)
    mailing.get("parcels", headers=key, status=200)
    prove(mailing, mailbox, how)
    mailing.get("parcels", by=attacker, status=401)
    mailing.get("parcels", headers=key, status=401)
    refresh(mailing, tokens, status=401)
    assert rows.count(app, ApiKey) == rows.count(app, Session) == 0


def test_reset_after_a_verification_that_the_owner_clicked_revokes_every_credential(
    mailing: Mailing, mailbox: Mailbox
) -> None:
    attacker = mailing.register()
    prove(mailing, mailbox, "verification")
    key = key_of(mailing, mailing.sign_in(attacker))
    prove(mailing, mailbox, "reset")
    mailing.get("parcels", headers=key, status=401)
    log_in(mailing, ADA["email"], PASSWORD, status=401)
    log_in(mailing, ADA["email"], NEW_PASSWORD, status=200)


def test_second_verification_keeps_the_credentials(mailing: Mailing, mailbox: Mailbox) -> None:
    ada = mailing.register()
    first = mailbox.token
    mailing.post("auth/email/resend", by=ada, status=202)
    mailing.verify(first, status=204)
    ada = mailing.sign_in(ada)
    key = key_of(mailing, ada)
    mailing.verify(mailbox.token, status=204)
    mailing.get("parcels", by=ada, status=200)
    mailing.get("parcels", headers=key, status=200)


def test_key_that_is_created_while_the_password_is_reset_does_not_survive(
    app: Flask, mailing: Mailing, mailbox: Mailbox
) -> None:
    attacker = mailing.register()
    mailing.forgot(ADA["email"], status=202)
    token = mailbox.token

    def create() -> Any:
        return mailing.post("auth/api-keys", {"name": "n", "scopes": ["parcels:own"]}, by=attacker)

    reset, *created = rows.in_parallel(lambda: mailing.reset(token), *[create] * 5)
    assert reset.status_code == 204
    assert {answer.status_code for answer in created} <= {201, 401}
    assert rows.count(app, ApiKey) == 0
