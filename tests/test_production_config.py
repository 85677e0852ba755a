"""Settings that production refuses, and the secret of a machine."""

import os
import stat
from pathlib import Path

import pytest

from app import config
from app.config import Settings
from tests.environments import PRODUCTION, SECRET, SERVERS, refusal
from tests.environments import instance as instance


def test_production_accepts_a_secret_of_its_own() -> None:
    assert Settings.from_env(PRODUCTION).secret_key == SECRET


@pytest.mark.parametrize("environ", [{}, {"SECRET_KEY": ""}], ids=["missing", "empty"])
def test_production_requires_a_secret(instance: Path, environ: dict[str, str]) -> None:
    [reason] = refusal({"APP_ENV": "production", **SERVERS, **environ})
    assert reason.startswith("SECRET_KEY is required in production")
    assert not instance.exists()


@pytest.mark.parametrize(
    "secret",
    [
        "x" * 64, "abcabcabc" * 8, " " * 40, "change-me-" + SECRET, "CHANGEME" + SECRET,
        "your-secret-key-goes-here-0123456789", "example-" + SECRET, "correct-Password-" + SECRET,
    ],
)  # fmt: skip
def test_production_refuses_an_example_secret(secret: str) -> None:
    [reason] = refusal(PRODUCTION | {"SECRET_KEY": secret})
    assert reason.startswith("SECRET_KEY is an example value")
    assert secret not in reason


@pytest.mark.parametrize(
    ("name", "value", "start"),
    [
        ("SMTP_URL", "", "SMTP_URL is required in production"),
        ("SMTP_URL", "smtp://user:hidden@mail.example", "SMTP_URL would send its password"),
        ("PUBLIC_URL", "", "PUBLIC_URL is required in production"),
    ],
)
def test_production_requires_mail_settings_and_encrypted_smtp(
    name: str, value: str, start: str
) -> None:
    [reason] = refusal(PRODUCTION | {name: value})
    assert reason.startswith(start)
    assert "hidden" not in reason


@pytest.mark.parametrize("value", ["", ",", " , "])
def test_production_requires_trusted_hosts(value: str) -> None:
    [reason] = refusal(PRODUCTION | {"TRUSTED_HOSTS": value})
    assert reason.startswith("TRUSTED_HOSTS is required in production")


def test_production_refuses_a_wildcard_cors_origin() -> None:
    [reason] = refusal(PRODUCTION | {"CORS_ORIGINS": "https://a.example, *"})
    assert reason.startswith("CORS_ORIGINS must name its origins")


def test_unknown_environment_is_checked_as_production() -> None:
    reasons = refusal({"APP_ENV": "live", **SERVERS})
    assert [reason.split()[0] for reason in reasons] == ["APP_ENV", "SECRET_KEY"]


@pytest.mark.parametrize(
    "name",
    [
        "DATABASE_URL",
        "REDIS_URL",
        # begin jobs
        "BROKER_URL",
        # end jobs
    ],
)
def test_production_without_servers_requires_single_node(name: str) -> None:
    embedded = PRODUCTION | {name: ""}
    [reason] = refusal(embedded)
    assert reason.startswith(name)
    assert "SINGLE_NODE=true" in reason
    Settings.from_env(embedded | {"SINGLE_NODE": "true"})


@pytest.mark.parametrize("environment", ["development", "testing"])
def test_other_environments_accept_weak_secret_and_wildcard_origin(environment: str) -> None:
    lax = {"APP_ENV": environment, "SECRET_KEY": "x" * 32, "CORS_ORIGINS": "*"}
    assert Settings.from_env(lax).cors_origins == ("*",)


def test_local_secret_is_generated_once_and_stored(instance: Path) -> None:
    first, second = Settings.from_env({}), Settings.from_env({})
    assert first.secret_key == second.secret_key
    assert [path.name for path in instance.iterdir()] == ["secret_key"]
    assert (instance / "secret_key").read_text() == first.secret_key


def test_local_secret_is_readable_by_its_owner_only(instance: Path) -> None:
    umask = os.umask(0)
    try:
        Settings.from_env({})
    finally:
        os.umask(umask)
    assert stat.S_IMODE((instance / "secret_key").stat().st_mode) == 0o600


def test_local_secret_is_strong_enough_for_production() -> None:
    secret = Settings.from_env({}).secret_key
    assert Settings.from_env(PRODUCTION | {"SECRET_KEY": secret}).secret_key == secret


def test_local_secret_differs_between_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Settings.from_env({}).secret_key
    monkeypatch.setattr(config, "INSTANCE", tmp_path / "elsewhere")
    assert Settings.from_env({}).secret_key != here


def test_local_secret_is_not_generated_where_secret_key_is_set(instance: Path) -> None:
    Settings.from_env({"SECRET_KEY": SECRET})
    assert not (instance / "secret_key").exists()


def test_local_secret_of_the_first_process_is_used_by_others(
    instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def another_is_first(draft: Path, path: Path) -> None:
        path.write_text("the first one's secret")
        link(draft, path)

    monkeypatch.setattr(os, "link", another_is_first)

    assert Settings.from_env({}).secret_key == "the first one's secret"
    assert [path.name for path in instance.iterdir()] == ["secret_key"]
