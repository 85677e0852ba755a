"""Second factor by TOTP: enrolment, codes, the token between the two steps, throttling."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import select

from app.auth.login_throttle import MAX_FAILURES_PER_ADDRESS
from app.auth.models import Session
from app.auth.second_factors import USER_COLUMNS, require_second_factor
from app.core.database.types import now
from app.core.web.problems import Problem
from app.core.web.rate_limit import is_failure
from app.extensions import db
from app.mfa.models import Factor
from app.users.models import User
from app.users.passwords import hash_password
from tests import rows
from tests.api import Api, Caller
from tests.auth.login import log_in, refresh
from tests.conftest import Lines
from tests.mfa.authenticator import CLOCK, App, Members

Change = Callable[[Members, App], str]  # the token to send, or what it prepares


def test_login_with_a_code_gives_a_session_with_both_methods(
    members: Members, enrolled: App
) -> None:
    caller = members.log_in(enrolled)
    newest = members.get("auth/sessions", by=caller, status=200).json["items"][0]
    assert newest["methods"] == ["password", "totp"]


def test_use_of_a_factor_leaves_its_version(members: Members, app: Flask, enrolled: App) -> None:
    before = rows.read(app, Factor.version, owner_id=enrolled.owner.id)
    members.log_in(enrolled)
    assert rows.read(app, Factor.version, owner_id=enrolled.owner.id) == before


def test_login_with_a_code_can_end_in_cookies(members: Members, enrolled: App) -> None:
    body = {"mfa_token": members.mfa_token(enrolled.owner), "code": enrolled.code()}
    response = members.post("auth/mfa/code/cookies", body, status=200)
    assert len(response.headers.getlist("Set-Cookie")) == 3


def test_factor_is_in_use_once_it_is_confirmed(members: Members, user: Caller) -> None:
    created = members.post("auth/mfa/factors", {"name": "Phone"}, by=user, status=201)
    assert created.json["secret"] in created.json["otpauth_uri"]
    app = App(user, created.json["secret"], created.headers["Location"])
    log_in(members, user.email, status=200)
    assert members.confirm(app, "000000", status=422).json["errors"][0]["pointer"] == "#/code"
    log_in(members, user.email, status=200)
    members.confirm(app, status=204)
    assert log_in(members, user.email, status=401).json["methods"] == ["totp"]
    members.confirm(app, status=409)


def test_confirmation_ends_the_other_sessions_and_keeps_the_own(
    members: Members, user: Caller
) -> None:
    tokens, elsewhere = log_in(members, user.email, status=200), members.sign_in(user)
    here = Caller(
        user.id, user.email, user.role, {"Authorization": f"Bearer {tokens.json['access_token']}"}
    )
    members.enrol(here)
    members.get("users/me", by=elsewhere, status=401)
    members.get("users/me", by=here, status=200)
    refresh(members, tokens, status=200)


def test_v6_5_3_secret_is_encrypted_in_the_database(
    members: Members, app: Flask, enrolled: App
) -> None:
    [stored] = rows.read(app, Factor.credential, owner_id=enrolled.owner.id)
    assert enrolled.secret.encode() not in stored
    shown = members.get(enrolled.factor, by=members.log_in(enrolled), status=200)
    assert enrolled.secret not in shown.text


def test_v6_5_3_secret_copied_to_another_row_is_worthless(
    members: Members, app: Flask, enrolled: App, other: Caller
) -> None:
    victim = members.enrol(other)
    [stored] = rows.read(app, Factor.credential, owner_id=enrolled.owner.id)
    [factor] = rows.read(app, Factor.id, owner_id=victim.owner.id)
    rows.change(app, Factor, factor, credential=stored)
    members.finish(members.mfa_token(other), enrolled.code(), status=401)


def expired(members: Members, app: App) -> str:
    with members.app.app_context(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.auth.second_factors.now", lambda: now() - timedelta(minutes=6))
        user = db.session.execute(select(*USER_COLUMNS).where(User.id == app.owner.id)).one()
        with pytest.raises(Problem) as interrupted:
            require_second_factor(user, ("password",))
    return str(interrupted.value.members["mfa_token"])


def forged(members: Members, app: App) -> str:
    token = members.mfa_token(app.owner)
    return ("A" if token[5] != "A" else "B").join((token[:5], token[6:]))


def with_a_new_password(members: Members, app: App) -> str:
    token = members.mfa_token(app.owner)
    rows.change(members.app, User, app.owner.id, password_hash=hash_password("another phrase"))
    return token


def of_a_disabled_account(members: Members, app: App) -> str:
    token = members.mfa_token(app.owner)
    rows.change(members.app, User, app.owner.id, is_active=False)
    return token


def of_another_user(members: Members, app: App) -> str:
    return members.mfa_token(members.enrol(members.sign_up()).owner)


@pytest.mark.parametrize(
    "token", [expired, forged, with_a_new_password, of_a_disabled_account, of_another_user]
)
def test_v6_6_2_code_needs_the_token_of_the_own_login(
    members: Members, enrolled: App, token: Change
) -> None:
    members.finish(token(members, enrolled), enrolled.code(), status=401)


@pytest.mark.parametrize("credential", ["access token", "refresh token"])
def test_v6_6_2_mfa_token_and_other_tokens_cannot_replace_each_other(
    members: Members, enrolled: App, user: Caller, credential: str
) -> None:
    token = members.mfa_token(enrolled.owner)
    if credential == "access token":
        members.get("users/me", headers={"Authorization": f"Bearer {token}"}, status=401)
        access = user.headers["Authorization"].partition(" ")[2][:500]
        members.finish(access, enrolled.code(), status=401)
    else:
        body = {"refresh_token": token}
        assert members.post("auth/refresh", body).status_code in (401, 422)
        issued = log_in(members, user.email, status=200).json["refresh_token"]
        members.finish(issued, enrolled.code(), status=401)


@pytest.mark.parametrize(
    ("seconds", "status"), [(-30, 401), (-1, 401), (0, 200), (29, 200), (30, 401), (3600, 401)]
)
def test_v6_5_5_code_is_valid_for_the_30_seconds_of_its_step(
    members: Members, enrolled: App, seconds: int, status: int
) -> None:
    code, token = enrolled.code(), members.mfa_token(enrolled.owner)
    CLOCK.move(seconds)
    members.finish(token, code, status=status)


@pytest.mark.parametrize(("steps", "status"), [(-1, 422), (0, 204), (1, 422)])
def test_v6_5_5_code_of_the_confirmation_is_that_of_its_step(
    members: Members, user: Caller, steps: int, status: int
) -> None:
    created = members.post("auth/mfa/factors", {"name": "Phone"}, by=user, status=201)
    app = App(user, created.json["secret"], created.headers["Location"])
    members.confirm(app, app.code(steps), status=status)


def test_v6_5_1_code_works_once(members: Members, enrolled: App) -> None:
    code = enrolled.code()
    members.finish(members.mfa_token(enrolled.owner), code, status=200)
    members.finish(members.mfa_token(enrolled.owner), code, status=401)


def test_v6_5_1_code_of_the_confirmation_is_refused(members: Members, enrolled: App) -> None:
    CLOCK.move(-30)
    members.finish(members.mfa_token(enrolled.owner), enrolled.code(), status=401)


@pytest.mark.parametrize("kind", ["code", "recovery code"])
def test_v6_5_1_ten_parallel_logins_with_one_code_give_one_session(
    members: Members, app: Flask, enrolled: App, kind: str
) -> None:
    code = enrolled.code()
    if kind == "recovery code":
        [code, *_] = members.codes(enrolled.owner)
    tokens = [members.mfa_token(enrolled.owner) for _ in range(10)]
    before = rows.count(app, Session, owner_id=enrolled.owner.id)
    answers = rows.in_parallel(*[partial(members.finish, token, code) for token in tokens])
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 9]
    assert rows.count(app, Session, owner_id=enrolled.owner.id) == before + 1


def test_v6_3_1_wrong_codes_are_throttled_and_the_password_does_not_reset_them(
    members: Members, enrolled: App
) -> None:
    statuses = []
    for _ in range(MAX_FAILURES_PER_ADDRESS + 1):
        response = log_in(members, enrolled.owner.email)
        if response.status_code == 401:
            response = members.finish(response.json["mfa_token"], "000000")
        statuses.append(response.status_code)
    assert statuses == [*[401] * MAX_FAILURES_PER_ADDRESS, 429]


def test_v6_3_1_wrong_codes_count_for_the_limit_of_failures_and_interrupted_logins_do_not(
    members: Members, enrolled: App
) -> None:
    interrupted = log_in(members, enrolled.owner.email, status=401)
    assert not is_failure(interrupted)
    assert is_failure(members.finish(interrupted.json["mfa_token"], "000000", status=401))


@pytest.mark.parametrize("code", ["", "0" * 50, "\N{ARABIC-INDIC DIGIT ONE}" * 6, "12 34 56", "-"])
def test_malformed_code_is_refused(members: Members, enrolled: App, code: str) -> None:
    response = members.finish(members.mfa_token(enrolled.owner), code)
    assert response.status_code == (401 if code else 422)


def test_wrong_code_of_a_new_app_is_logged(logged: Api, lines: Lines) -> None:
    members = Members(logged.app)
    owner = members.sign_up()
    created = members.post("auth/mfa/factors", {"name": "Phone"}, by=owner, status=201)
    app = App(owner, created.json["secret"], created.headers["Location"])
    lines()
    members.confirm(app, app.code(steps=-9), status=422)
    [failed] = [line for line in lines() if line["event"] == "authentication_failed"]
    assert failed["caller"] == f"user:{owner.id}"
    assert failed["route"] == "/api/v1/auth/mfa/factors/<uuid:factor_id>/confirm"
