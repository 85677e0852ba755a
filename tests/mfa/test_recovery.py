"""Recovery codes, and second factors that are required, removed or reset."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from app.auth.models import Session
from app.core.database.types import now
from app.mfa.models import Factor, RecoveryCode
from app.users.models import User
from tests import rows
from tests.api import Caller
from tests.auth.login import log_in, refresh
from tests.mfa.authenticator import CLOCK, App, Members


class TestRecoveryCodes:
    def test_v6_5_1_recovery_code_works_once_and_needs_no_dashes(
        self, members: Members, enrolled: App
    ) -> None:
        first, second, *rest = members.codes(enrolled.owner)
        assert len({first, second, *rest}) == 10
        members.finish(members.mfa_token(enrolled.owner), first, status=200)
        members.finish(members.mfa_token(enrolled.owner), first, status=401)
        plain = second.replace("-", "").lower()
        members.finish(members.mfa_token(enrolled.owner), plain, status=200)

    def test_v6_5_2_recovery_codes_are_hashed_and_have_120_bits(
        self, members: Members, app: Flask, enrolled: App
    ) -> None:
        codes = members.codes(enrolled.owner)
        stored = b"".join(rows.read(app, RecoveryCode.hash, owner_id=enrolled.owner.id))
        assert not any(code.replace("-", "").encode() in stored for code in codes)
        assert {len(code.replace("-", "")) * 5 for code in codes} == {120}

    def test_new_recovery_codes_replace_those_from_before(
        self, members: Members, enrolled: App
    ) -> None:
        old, *_ = members.codes(enrolled.owner)
        members.codes(enrolled.owner)
        members.finish(members.mfa_token(enrolled.owner), old, status=401)

    def test_recovery_code_of_another_user_is_refused(
        self, members: Members, enrolled: App, other: Caller
    ) -> None:
        members.enrol(other)
        code, *_ = members.codes(other)
        members.codes(enrolled.owner)
        members.finish(members.mfa_token(enrolled.owner), code, status=401)

    def test_recovery_codes_need_a_factor(self, members: Members, user: Caller) -> None:
        members.post("auth/mfa/recovery-codes", by=user, status=409)


SENSITIVE: dict[str, Callable[[Members, App], Any]] = {
    "new factor": lambda m, a: m.post("auth/mfa/factors", {"name": "x"}, by=a.owner),
    "confirmation": lambda m, a: m.confirm(a),
    "removal": lambda m, a: m.delete(a.factor, by=a.owner),
    "recovery codes": lambda m, a: m.post("auth/mfa/recovery-codes", by=a.owner),
    "passkey": lambda m, a: m.post("auth/mfa/passkeys/options", by=a.owner),
    "reset": lambda m, a: m.delete(f"users/{a.owner.id}/factors", by=a.owner),
}


@pytest.mark.parametrize("operation", SENSITIVE)
def test_v7_5_1_change_of_factors_needs_a_recent_login(
    members: Members, app: Flask, admin: Caller, operation: str
) -> None:
    own = members.enrol(admin)
    for session in rows.read(app, Session.id, owner_id=admin.id):
        rows.change(app, Session, session, created_at=now() - timedelta(minutes=16))
    response = SENSITIVE[operation](members, own)
    assert response.status_code == 401
    assert response.json["type"] == "/problems/recent-login-required"


class TestRemoval:
    def test_v6_5_6_removed_factor_is_not_asked_for_any_more(
        self, members: Members, app: Flask, enrolled: App
    ) -> None:
        code, *_ = members.codes(enrolled.owner)
        token = members.mfa_token(enrolled.owner)
        members.delete(enrolled.factor, by=enrolled.owner, status=204)
        log_in(members, enrolled.owner.email, status=200)
        assert rows.count(app, RecoveryCode, owner_id=enrolled.owner.id) == 0
        for each in (code, enrolled.code()):
            members.finish(token, each, status=401)

    def test_factor_can_be_renamed_by_its_owner_only(
        self, members: Members, enrolled: App, other: Caller
    ) -> None:
        members.patch(enrolled.factor, {"name": "Old phone"}, by=enrolled.owner, status=200)
        members.patch(enrolled.factor, {"name": "Mine"}, by=other, status=404)
        members.delete(enrolled.factor, by=other, status=404)
        log_in(members, enrolled.owner.email, status=401)


class TestRequiredRoles:
    @pytest.fixture
    def members(self, make_app: Any, monkeypatch: pytest.MonkeyPatch) -> Members:
        """An application whose admins need a second factor."""
        monkeypatch.setenv("MFA_REQUIRED_ROLES", "admin, editor")
        return Members(make_app())

    def test_v6_3_3_admin_without_a_factor_can_only_enrol(
        self, members: Members, user: Caller
    ) -> None:
        admin = members.sign_up("admin")
        interrupted = log_in(members, admin.email, status=401).json
        assert interrupted["methods"] == ["totp_enrolment"]
        token = interrupted["mfa_token"]
        members.get("users/me", headers={"Authorization": f"Bearer {token}"}, status=401)

        enrolment = members.post("auth/mfa/enrolment", {"mfa_token": token}, status=200).json
        app = App(admin, enrolment["secret"], "")
        assert app.secret in enrolment["otpauth_uri"]
        members.finish(token, "000000", status=401)
        members.finish(token, app.code(), status=200)
        assert log_in(members, admin.email, status=401).json["methods"] == ["totp"]
        members.post("auth/mfa/enrolment", {"mfa_token": token}, status=401)
        log_in(members, user.email, status=200)

    def test_v6_3_4_session_of_a_user_who_becomes_admin_cannot_be_refreshed(
        self, members: Members, user: Caller
    ) -> None:
        tokens = log_in(members, user.email, status=200)
        rows.change(members.app, User, user.id, role="admin")
        refresh(members, tokens, status=401)

    def test_enrolment_is_refused_without_need(self, members: Members, user: Caller) -> None:
        enrolled = members.enrol(user)
        body = {"mfa_token": members.mfa_token(enrolled.owner)}
        members.post("auth/mfa/enrolment", body, status=401)

    def test_last_factor_of_a_required_role_cannot_be_removed(self, members: Members) -> None:
        first = members.enrol(members.sign_up("admin"))
        members.delete(first.factor, by=first.owner, status=409)
        second = members.enrol(first.owner)
        answers = rows.in_parallel(
            *[partial(members.delete, each.factor, by=each.owner) for each in (first, second)]
        )
        assert sorted(answer.status_code for answer in answers) == [204, 409]

    def test_v6_4_4_factor_after_a_reset_is_enrolled_anew(self, members: Members) -> None:
        admin, lost = members.sign_up("admin"), members.enrol(members.sign_up("admin"))
        members.delete(f"users/{lost.owner.id}/factors", by=admin, status=204)
        assert log_in(members, lost.owner.email, status=401).json["methods"] == ["totp_enrolment"]


class TestReset:
    def test_reset_removes_all_and_is_recorded(
        self, members: Members, app: Flask, enrolled: App, admin: Caller
    ) -> None:
        members.codes(enrolled.owner)
        caller = members.log_in(enrolled)
        members.delete(f"users/{enrolled.owner.id}/factors", by=admin, status=204)
        members.get("users/me", by=caller, status=401)
        log_in(members, enrolled.owner.email, status=200)
        assert rows.count(app, RecoveryCode, owner_id=enrolled.owner.id) == 0
        # begin audit
        query = f"audit-events?resource_id={enrolled.owner.id}&action=reset_factors"
        [event] = members.get(query, by=admin, status=200).json["items"]
        assert event["actor_id"] == str(admin.id)
        # end audit

    @pytest.mark.parametrize("who", ["user", "editor", "key"])
    def test_v6_4_4_reset_needs_an_admin_in_person(
        self, members: Members, enrolled: App, admin: Caller, who: str
    ) -> None:
        path = f"users/{enrolled.owner.id}/factors"
        if who != "key":
            members.delete(path, by=members.sign_up(who), status=403)
            return
        body = {"name": "Key", "scopes": ["users:manage"]}
        key = members.post("auth/api-keys", body, by=admin, status=201).json["secret"]
        members.delete(path, headers={"Authorization": f"Bearer {key}"}, status=401)

    def test_reset_of_a_missing_user_is_404(self, members: Members, admin: Caller) -> None:
        members.delete(f"users/{UUID(int=0)}/factors", by=admin, status=404)


def test_v6_4_3_password_reset_does_not_bypass_the_second_factor(
    members: Members, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.change(members.app, User, user.id, email_verified_at=now())
    enrolled = members.enrol(user)
    sent: list[str] = []
    monkeypatch.setattr(
        "app.auth.email_tokens.send_mail", lambda to, subject, text, name: sent.append(text)
    )
    members.post("auth/password/forgot", {"email": enrolled.owner.email}, status=202)
    token = sent[-1].partition("#token=")[2].split()[0]
    body = {"token": token, "new_password": "a wholly unguessed phrase"}
    assert not members.post("auth/password/reset", body, status=204).data
    interrupted = log_in(members, enrolled.owner.email, body["new_password"], status=401)
    assert interrupted.json["methods"] == ["totp"]


def test_v6_5_8_time_of_codes_is_that_of_the_server(
    members: Members, enrolled: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, later = enrolled.code(), CLOCK.moment + timedelta(hours=1)
    monkeypatch.setattr("app.mfa.totp.now", lambda: later)
    members.finish(members.mfa_token(enrolled.owner), code, status=401)


def test_deleted_account_leaves_no_factor(members: Members, app: Flask, enrolled: App) -> None:
    members.codes(enrolled.owner)
    members.delete("users/me", by=enrolled.owner, status=204)
    for model in (Factor, RecoveryCode):
        assert rows.count(app, model, owner_id=enrolled.owner.id) == 0


# begin audit
def test_audit_log_has_no_secret_of_a_factor(
    members: Members, enrolled: App, admin: Caller
) -> None:
    codes = members.codes(enrolled.owner)
    text = members.get("audit-events?limit=100", by=admin, status=200).text
    assert "confirm" in text
    assert not [secret for secret in (enrolled.secret, *codes) if secret in text]


@pytest.mark.in_process  # a job blanks the events
def test_deleted_account_leaves_no_value_of_a_factor_that_an_admin_has_removed(
    members: Members, enrolled: App, admin: Caller
) -> None:
    [factor] = members.get("auth/mfa/factors", by=enrolled.owner, status=200).json["items"]
    members.delete(f"users/{enrolled.owner.id}/factors", by=admin, status=204)
    query = f"audit-events?resource_id={factor['id']}"
    before = members.get(query, by=admin, status=200).json["items"]
    assert factor["name"] in str(before[0]["before"])
    members.delete(f"users/{enrolled.owner.id}", by=admin, status=204)
    after = members.get(query, by=admin, status=200).json["items"]
    assert len(after) == len(before)
    assert [event for event in after if event["before"] or event["after"]] == []


# end audit
def test_unconfirmed_factors_are_purged(members: Members, app: Flask, user: Caller) -> None:
    from app.mfa.passkeys import purge_unconfirmed_factors

    enrolled = members.enrol(user)
    pending = members.post("auth/mfa/factors", {"name": "x"}, by=user, status=201).json["id"]
    for factor in rows.read(app, Factor.id, owner_id=user.id):
        rows.change(app, Factor, factor, created_at=now() - timedelta(hours=2))
    with app.app_context():
        assert purge_unconfirmed_factors() == 1
    members.get(f"auth/mfa/factors/{pending}", by=user, status=404)
    members.get(enrolled.factor, by=user, status=200)
