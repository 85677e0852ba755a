"""The password policy, at each place where a password is set."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.config import ConfigError, Settings
from app.users import password_policy
from tests.api import PASSWORD, Api, error_locations
from tests.auth.login import log_in
from tests.conftest import MakeApp
from tests.mail_server import receive

pytestmark = pytest.mark.database_independent

EMAIL, NAME = "lovelace@example.com", "Ada Byron"
SERVICE = Settings().token_issuer


COMMON = ["passwordpassword", "123456789012345", "qwertyuiopasdfghjkl", "aaaaaaaaaaaaaaa",
          "PasswordPassword", "monkeymonkeymonkey", "iloveyou1234567"]  # fmt: skip


ABOUT_ITS_OWNER = ["lovelace@example.com", "LOVELACE@Example.com", "lovelacelovelace",
                   "ada byron ada byron", "AdaByron1815!!!", "lovelace1234567",
                   SERVICE * 15, SERVICE.title().replace("-", "") * 15 + "1"]  # fmt: skip


FINE = ["correct horse battery staple", "byron wrote no programs", "password managers are good",
        "\U0001f511" * 15, "               ", "x" * 1024]  # fmt: skip


def register(api: Api, password: str, **kwargs: Any) -> Any:
    return api.post("users", {"email": EMAIL, "name": NAME, "password": password}, **kwargs)


def error_of(answer: TestResponse) -> str:
    """The detail of a 422; empty when the password was accepted."""
    return answer.json["errors"][0]["detail"] if answer.status_code == 422 else ""


def by_registering(app: Flask, password: str) -> str:
    return error_of(register(Api(app), password))


def by_changing(app: Flask, password: str) -> str:
    api = Api(app)
    me = log_in_as_registered(api)
    body = {"current_password": PASSWORD, "new_password": password}
    answer = api.put("users/me/password", body, headers=me)
    return error_of(answer)


def log_in_as_registered(api: Api) -> dict[str, str]:
    register(api, PASSWORD, status=201)
    token = log_in(api, EMAIL, status=200).json["access_token"]
    return {"Authorization": f"Bearer {token}"}


def by_resetting(app: Flask, password: str) -> str:
    api = Api(app)
    register(api, PASSWORD, status=201)
    with receive() as mailbox, pytest.MonkeyPatch.context() as there:
        there.setitem(app.config, "SMTP_URL", mailbox.url)
        api.post("auth/password/forgot", {"email": EMAIL}, status=202)
        body = {"token": mailbox.token, "new_password": password}
        answer = api.post("auth/password/reset", body)
    return error_of(answer)


def by_command(app: Flask, password: str) -> str:
    command = ["users", "create-admin", EMAIL, "--name", NAME]
    done = app.test_cli_runner().invoke(args=command, env={"ADMIN_PASSWORD": password})
    return done.output.strip().removeprefix("Error: password: ") if done.exit_code else ""


WAYS = [by_registering, by_changing, by_resetting, by_command]


in_every_way = pytest.mark.parametrize("set_password", WAYS, ids=lambda way: way.__name__)


Way = Callable[[Flask, str], str]


@in_every_way
@pytest.mark.parametrize("password", COMMON)
def test_common_password_is_refused(app: Flask, set_password: Way, password: str) -> None:
    assert set_password(app, password) == "This password is too common."


@in_every_way
@pytest.mark.parametrize("password", ABOUT_ITS_OWNER)
def test_password_similar_to_the_account_is_refused(
    app: Flask, set_password: Way, password: str
) -> None:
    assert set_password(app, password) == (
        "Too similar to your e-mail address, name or the service name."
    )


@in_every_way
@pytest.mark.parametrize("password", ["fourteen chars", "\U0001f511" * 14])
def test_short_password_is_refused(app: Flask, set_password: Way, password: str) -> None:
    assert set_password(app, password) == "Must have at least 15 characters."


@in_every_way
@pytest.mark.parametrize("password", FINE, ids=range(len(FINE)))
def test_other_password_is_accepted(api: Api, app: Flask, set_password: Way, password: str) -> None:
    assert set_password(app, password) == ""
    log_in(api, EMAIL, password, status=200)


@in_every_way
def test_password_over_1024_characters_is_refused(app: Flask, set_password: Way) -> None:
    assert "1024" in set_password(app, "x" * 1025)


def test_refused_password_is_reported_with_other_failing_members(api: Api) -> None:
    body = {"email": "no address", "name": NAME, "password": COMMON[0]}
    assert error_locations(api.post("users", body, status=422)) == {"#/email", "#/password"}


def test_minimum_length_is_configurable(make_app: MakeApp) -> None:
    api = Api(make_app(password_min_length=8))
    register(api, "7 chars", status=422)
    register(api, "iloveyou", status=422)  # a common password of 8 characters
    register(api, "8 chars.", status=201)


def test_minimum_length_cannot_be_below_8() -> None:
    with pytest.raises(ConfigError, match="PASSWORD_MIN_LENGTH must be at least 8"):
        Settings.from_env({"PASSWORD_MIN_LENGTH": "7"})


def test_list_of_common_passwords_is_small_sorted_and_licensed() -> None:
    file = password_policy.COMMON_PASSWORDS_FILE
    assert file.stat().st_size < 300_000
    entries = file.read_text().splitlines()
    assert entries == sorted(set(entries))
    assert all(entry == entry.casefold() and len(entry) >= 8 for entry in entries)
    assert sum(len(entry) >= 15 for entry in entries) > 5000
    licence = password_policy.COMMON_PASSWORDS_FILE.with_name(
        "common_passwords.LICENSE"
    ).read_text()
    assert "zxcvbn-ts" in licence
    assert "Permission is hereby granted" in licence


def test_password_check_takes_less_than_5_ms(app: Flask) -> None:
    with app.app_context():
        password_policy.password_error("the first one reads the list")
        began = time.thread_time()
        for _ in range(100):
            password_policy.password_error("x" * 1024, EMAIL, "a" * 100)
        assert (time.thread_time() - began) / 100 < 0.005
