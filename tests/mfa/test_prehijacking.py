"""Factors that somebody has enrolled in an account with the e-mail address of another person."""

import pytest

from app.core.database.types import now
from app.mfa.models import Factor, RecoveryCode
from app.users.models import User
from tests import rows
from tests.api import PASSWORD
from tests.auth.login import log_in
from tests.auth.mailing import ADA, NEW_PASSWORD, Mailing
from tests.mail_server import Mailbox
from tests.mfa.authenticator import Members, Passkey


def prove(mailing: Mailing, mailbox: Mailbox, how: str) -> str:
    """Prove that the mail of the address can be read; the password after that."""
    if how == "verification":
        mailing.verify(mailbox.token, status=204)
        return PASSWORD
    mailing.forgot(ADA["email"], status=202)
    mailing.reset(mailbox.token, status=204)
    return NEW_PASSWORD


@pytest.mark.parametrize("how", ["verification", "reset"])
def test_factors_from_before_the_owner_proved_the_address_are_removed(
    mailing: Mailing, mailbox: Mailbox, how: str
) -> None:
    members = Members(mailing.app)
    passkey = Passkey("app.example.com", "https://app.example.com")
    attacker = mailing.register()
    members.register(passkey, attacker, status=200)
    members.enrol(attacker)
    members.codes(attacker)
    members.post("auth/mfa/factors", {"name": "Not confirmed"}, by=attacker, status=201)
    members.answer(passkey.get(members.options()), status=200)
    password = prove(mailing, mailbox, how)
    members.answer(passkey.get(members.options()), status=401)
    log_in(members, ADA["email"], password, status=200)
    for model in (Factor, RecoveryCode):
        assert rows.count(mailing.app, model, owner_id=attacker.id) == 0
    subjects = [str(message["Subject"]) for message in mailbox.messages]
    assert subjects.count("A second factor was removed") == 1


@pytest.mark.parametrize("is_replaced", [False, True], ids=["verified", "set by an operator"])
def test_factors_from_after_the_owner_proved_the_address_are_kept(
    mailing: Mailing, mailbox: Mailbox, *, is_replaced: bool
) -> None:
    members = Members(mailing.app)
    owner = mailing.register()
    rows.change(mailing.app, User, owner.id, email_verified_at=now())
    enrolled = members.enrol(owner)
    code, *_ = members.codes(owner)
    if is_replaced:
        rows.change(mailing.app, User, owner.id, email_verified_at=None)
    password = prove(mailing, mailbox, "reset")
    interrupted = log_in(members, ADA["email"], password, status=401).json
    assert interrupted["methods"] == ["totp", "recovery_code"]
    members.finish(interrupted["mfa_token"], enrolled.code(), status=200)
    token = log_in(members, ADA["email"], password, status=401).json["mfa_token"]
    members.finish(token, code, status=200)
