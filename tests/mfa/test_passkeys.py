"""Passkeys under attack (OWASP ASVS 5.0 chapter 6, WebAuthn level 2 section 7)."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask

from app.core.database.types import now
from app.mfa.models import Challenge
from tests import rows
from tests.api import Caller, bearer
from tests.auth.login import log_in
from tests.mfa.authenticator import Members, Passkey, decode, encode


@pytest.fixture
def key(members: Members, user: Caller) -> Passkey:
    """A passkey of `user`."""
    key = Passkey()
    assert members.register(key, user, status=200).json["kind"] == "passkey"
    return key


def test_passkey_logs_in_without_a_password(members: Members, user: Caller, key: Passkey) -> None:
    tokens = members.answer(key.get(members.options()), status=200)
    caller = Caller(user.id, user.email, user.role, bearer(tokens.json["access_token"]))
    assert members.get("users/me", by=caller, status=200).json["id"] == str(user.id)
    newest = members.get("auth/sessions", by=caller, status=200).json["items"][0]
    assert newest["methods"] == ["passkey"]


def test_passkey_is_a_second_factor_also_without_user_verification(
    members: Members, user: Caller, key: Passkey
) -> None:
    assert log_in(members, user.email, status=401).json["methods"] == ["passkey"]
    token, key.verifies_user = members.mfa_token(user), False
    options = members.options(token)
    assert [each["id"] for each in options["allowCredentials"]] == [encode(key.id)]
    members.answer(key.get(options), token, status=200)


def test_login_with_a_passkey_can_end_in_cookies(members: Members, key: Passkey) -> None:
    body = {"credential": key.get(members.options())}
    response = members.post("auth/mfa/passkey/cookies", body, status=200)
    assert len(response.headers.getlist("Set-Cookie")) == 3


def replayed_challenge(members: Members, key: Passkey) -> dict[str, Any]:
    options = members.options()
    members.answer(key.get(options), status=200)
    return key.get(options)


def challenge_after_a_wrong_answer(members: Members, key: Passkey) -> dict[str, Any]:
    options = members.options()
    members.answer(Passkey(user_handle=key.user_handle).get(options), status=401)
    return key.get(options)


def expired_challenge(members: Members, key: Passkey) -> dict[str, Any]:
    credential = key.get(members.options())
    for challenge in rows.read(members.app, Challenge.hash):
        with members.app.app_context():
            from sqlalchemy import update

            from app.extensions import db

            old = update(Challenge).where(Challenge.hash == challenge)
            db.session.execute(old.values(expires_at=now() - timedelta(seconds=1)))
            db.session.commit()
    return credential


def invented_challenge(_: Members, key: Passkey) -> dict[str, Any]:
    return key.get({"challenge": encode(b"x" * 32)})


def challenge_of_a_second_factor(members: Members, key: Passkey) -> dict[str, Any]:
    owner = members.sign_up()
    members.register(Passkey(), owner, status=200)
    return key.get(members.options(members.mfa_token(owner)))


def wrong(**lies: Any) -> Callable[[Members, Passkey], dict[str, Any]]:
    def answer(members: Members, key: Passkey) -> dict[str, Any]:
        for name, value in lies.items():
            setattr(key, name, value)
        return key.get(members.options())

    return answer


def signed_by_another_key(members: Members, key: Passkey) -> dict[str, Any]:
    forged = Passkey(user_handle=key.user_handle).get(members.options())
    return forged | {"id": encode(key.id), "rawId": encode(key.id)}


def of_the_other_ceremony(members: Members, key: Passkey) -> dict[str, Any]:
    return key.get(members.options(), "webauthn.create")


def changed_after_the_signature(members: Members, key: Passkey) -> dict[str, Any]:
    credential = key.get(members.options())
    data = bytearray(decode(credential["response"]["authenticatorData"]))
    data[-1] += 1
    credential["response"]["authenticatorData"] = encode(bytes(data))
    return credential


def cloned(members: Members, key: Passkey) -> dict[str, Any]:
    key.counter = 10
    members.answer(key.get(members.options()), status=200)
    key.counter = 5
    return key.get(members.options())


ATTACKS: dict[str, Callable[[Members, Passkey], dict[str, Any]]] = {
    "v6_5_1 replayed challenge": replayed_challenge,
    "v6_5_1 challenge after a wrong answer": challenge_after_a_wrong_answer,
    "v6_5_5 expired challenge": expired_challenge,
    "v6_7_2 invented challenge": invented_challenge,
    "v6_6_2 challenge of a second factor": challenge_of_a_second_factor,
    "v6_3_4 wrong origin": wrong(origin="http://localhost:9000"),
    "v6_3_4 origin of a subdomain": wrong(origin="http://evil.localhost:8000"),
    "v6_3_4 frame of another site": wrong(cross_origin=True),
    "v6_3_4 wrong RP id": wrong(rp_id="example.com"),
    "v6_5_7 without user verification": wrong(verifies_user=False),
    "v6_3_4 handle of nobody": wrong(user_handle=""),
    "v6_3_4 handle of another user": wrong(user_handle=encode(b"\0" * 16)),
    "v6_7_1 signed by another key": signed_by_another_key,
    "v6_7_1 of the other ceremony": of_the_other_ceremony,
    "v6_7_1 changed after the signature": changed_after_the_signature,
    "v6_7_1 cloned sign count": cloned,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_on_a_login_with_a_passkey_is_401(
    members: Members, key: Passkey, attack: str
) -> None:
    members.answer(ATTACKS[attack](members, key), status=401)


@pytest.mark.parametrize("whose", ["another user's key", "another login's challenge", "replay"])
def test_v6_6_2_passkey_completes_only_the_login_of_its_owner(
    members: Members, user: Caller, other: Caller, key: Passkey, whose: str
) -> None:
    theirs = Passkey()
    members.register(theirs, other, status=200)
    token = members.mfa_token(user)
    match whose:
        case "another user's key":
            credential = theirs.get(members.options(token))
        case "another login's challenge":
            credential = key.get(members.options(members.mfa_token(other)))
        case _:
            credential = key.get(members.options(token))
            members.answer(credential, token, status=200)
    members.answer(credential, token, status=401)


def test_v6_5_1_ten_parallel_logins_with_one_answer_give_one_session(
    members: Members, key: Passkey
) -> None:
    credential = key.get(members.options())
    answers = rows.in_parallel(*[partial(members.answer, credential)] * 10)
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 9]


@pytest.mark.parametrize(
    "lie",
    [{"origin": "https://evil.example"}, {"rp_id": "evil.example"}, {"cross_origin": True}],
    ids=str,
)
def test_v6_3_4_registration_for_another_site_is_422(
    members: Members, user: Caller, lie: dict[str, Any]
) -> None:
    response = members.register(Passkey(**lie), user, status=422)
    assert response.json["errors"][0]["pointer"] == "#/credential"


def test_v6_6_2_challenge_of_another_user_cannot_register(
    members: Members, user: Caller, other: Caller
) -> None:
    options = members.post("auth/mfa/passkeys/options", by=other, status=200).json["options"]
    body = {"name": "Key", "credential": Passkey().create(options)}
    members.post("auth/mfa/passkeys", body, by=user, status=422)


def test_passkey_cannot_be_registered_twice(
    members: Members, user: Caller, other: Caller, key: Passkey
) -> None:
    for owner in (user, other):
        assert members.register(key, owner).status_code == 409


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"response": None},
        {"response": {"clientDataJSON": "é"}},
        {"response": {"clientDataJSON": encode(b"[" * 100_000)}},
        {"response": {"clientDataJSON": encode(b'{"challenge":1,"type":1,"origin":1}')}},
        {"id": 1, "rawId": [], "response": {"clientDataJSON": encode(b"{}")}},
        {"rawId": "A", "response": {"clientDataJSON": encode(b"\xff")}},
    ],
    ids=str,
)
def test_malformed_credential_is_refused(
    members: Members, user: Caller, key: Passkey, credential: dict[str, Any]
) -> None:
    members.answer(credential, status=401)
    members.answer(credential, members.mfa_token(user), status=401)
    body = {"name": "Key", "credential": credential}
    members.post("auth/mfa/passkeys", body, by=members.sign_up(), status=422)


@pytest.mark.parametrize("member", ["attestationObject", "rawId", "id", "type"])
@pytest.mark.parametrize("value", ["", "AAAA", "o2NmbXRkbm9uZQ", None, 1, {}])
def test_malformed_attestation_is_422(
    members: Members, user: Caller, member: str, value: Any
) -> None:
    options = members.post("auth/mfa/passkeys/options", by=user, status=200).json["options"]
    credential = Passkey().create(options)
    place = credential["response"] if member == "attestationObject" else credential
    place[member] = value
    body = {"name": "Key", "credential": credential}
    members.post("auth/mfa/passkeys", body, by=user, status=422)


@pytest.mark.parametrize("member", ["authenticatorData", "signature", "userHandle", "rawId"])
@pytest.mark.parametrize("value", ["", "AAAA", None, 1, {}])
def test_malformed_assertion_is_401(
    members: Members, key: Passkey, member: str, value: Any
) -> None:
    credential = key.get(members.options())
    (credential if member == "rawId" else credential["response"])[member] = value
    members.answer(credential, status=401)


def test_service_at_an_address_has_no_passkeys(make_app: Any, app: Flask) -> None:
    members = Members(make_app(public_url="https://192.0.2.1"))
    members.post("auth/mfa/passkey/options", {}, status=404)
    members.post("auth/mfa/passkeys/options", by=members.sign_up(), status=404)
