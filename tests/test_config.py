"""Settings from the environment: types, defaults, refusals."""

from dataclasses import fields
from typing import Any

import pytest

from app import create_app
from app.config import ConfigError, Settings
from tests.environments import PRODUCTION, SECRET, refusal


def test_empty_environment_gives_development_settings() -> None:
    settings = Settings.from_env({})
    assert settings.app_env == "development"
    assert settings.database_url.startswith("sqlite:///")
    assert settings.redis_url == ""
    assert len(settings.secret_key) >= 32


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DATABASE_URL", "postgresql+psycopg://db/app", "postgresql+psycopg://db/app"),
        ("ACCESS_TOKEN_MINUTES", "5", 5),
        ("TRUSTED_PROXIES", "0", 0),
        ("AUTH_COOKIES", "true", True),
        ("AUTH_COOKIES", "false", False),
        ("RATE_LIMIT", "10 per second; 100 per minute", "10 per second; 100 per minute"),
        ("CORS_ORIGINS", "https://a.example", ("https://a.example",)),
        ("TRUSTED_HOSTS", " a.example , b.example,, ", ("a.example", "b.example")),
        ("TRUSTED_HOSTS", ",", ()),
    ],
)
def test_setting_is_parsed_by_its_type(name: str, text: str, value: Any) -> None:
    settings = Settings.from_env({name: text, "SECRET_KEY": SECRET})
    assert getattr(settings, name.lower()) == value


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_empty_setting_takes_its_default(name: str) -> None:
    settings = Settings.from_env({"SECRET_KEY": SECRET, name.upper(): ""})
    if name != "secret_key":
        assert getattr(settings, name) == getattr(Settings(), name)


def test_settings_are_read_from_the_process_environment_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("TOKEN_ISSUER", "the test")
    assert Settings.from_env().token_issuer == "the test"


def test_unknown_environment_variables_are_ignored() -> None:
    Settings.from_env({"SECRET_KEY": SECRET, "PATH": "/bin", "secret_key": "x"})


@pytest.mark.parametrize("name", ["ACCESS_TOKEN_MINUTES", "POOL_SIZE", "MAX_CONTENT_LENGTH"])
@pytest.mark.parametrize("text", ["ten", "1.5", "1e3", "10 minutes"])
def test_number_setting_with_other_text_is_refused(name: str, text: str) -> None:
    assert refusal({name: text}) == [f"{name} is not a whole number"]


@pytest.mark.parametrize("text", ["yes", "1", "True", "on"])
def test_boolean_setting_other_than_true_or_false_is_refused(text: str) -> None:
    assert refusal({"AUTH_COOKIES": text}) == ["AUTH_COOKIES is true or false"]


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        (PRODUCTION | {"APP_ENV": "prod"}, "APP_ENV is one of development"),
        ({"SECRET_KEY": "x" * 31}, "SECRET_KEY has fewer than 32 characters"),
        ({"ACCESS_TOKEN_MINUTES": "0"}, "ACCESS_TOKEN_MINUTES must be at least 1"),
        ({"REFRESH_TOKEN_DAYS": "-1"}, "REFRESH_TOKEN_DAYS must be at least 1"),
        ({"STATEMENT_TIMEOUT_MS": "0"}, "STATEMENT_TIMEOUT_MS must be at least 1"),
        ({"LOCK_TIMEOUT_MS": "0"}, "LOCK_TIMEOUT_MS must be at least 1"),
        ({"REDIS_TIMEOUT_MS": "0"}, "REDIS_TIMEOUT_MS must be at least 1"),
        ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES must be at least 0"),
        ({"RATE_LIMIT": "lots"}, "RATE_LIMIT is not a limit"),
        ({"LOGIN_RATE_LIMIT": "10"}, "LOGIN_RATE_LIMIT is not a limit"),
        ({"REGISTER_RATE_LIMIT": "10 per fortnight"}, "REGISTER_RATE_LIMIT is not a limit"),
        ({"MAIL_RATE_LIMIT": "few"}, "MAIL_RATE_LIMIT is not a limit"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL is one of DEBUG, INFO"),
        ({"PASSWORD_MIN_LENGTH": "7"}, "PASSWORD_MIN_LENGTH must be at least 8"),
        ({"SMTP_URL": "mail.example:25"}, "SMTP_URL is smtp://host:port, or smtps"),
        ({"SMTP_URL": "smtp:///"}, "SMTP_URL is smtp://host:port, or smtps"),
        ({"MAIL_FROM": "service"}, "MAIL_FROM is not an e-mail address"),
        ({"MAIL_FROM": "a@b.example, c@d.example"}, "MAIL_FROM is not an e-mail address"),
        ({"PUBLIC_URL": "app.example"}, "PUBLIC_URL is not a URL"),
        ({"PUBLIC_URL": "javascript:alert(1)"}, "PUBLIC_URL is not a URL"),
    ],
    ids=str,
)
def test_invalid_setting_is_refused_in_every_environment(
    environ: dict[str, str], reason: str
) -> None:
    [found] = refusal(environ)
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://app:hidden@db.example/app"),
        ("DATABASE_URL", "postgresql+psycopg2://app:hidden@db.example/app"),
        ("DATABASE_URL", "mysql://app:hidden@db.example/app"),
        ("DATABASE_URL", "postgresql://app:hidden@db.example:port/app"),
        ("DATABASE_URL", "hidden"),
        ("REDIS_URL", "unix://:hidden@/run/redis.sock"),
        ("REDIS_URL", "hidden"),
        # begin jobs
        ("BROKER_URL", "amqp://app:hidden@mq.example"),
        ("BROKER_URL", "redis://:hidden@cache.example:99999/0"),
        # end jobs
        ("SMTP_URL", "smtp://app:hidden@[mail.example"),
        ("CORS_ORIGINS", "https://hidden.example/"),
        ("CORS_ORIGINS", "https://hidden.example/app"),
        ("CORS_ORIGINS", "https://app.example, https://HIDDEN.example"),
        ("CORS_ORIGINS", "hidden.example"),
        ("CORS_ORIGINS", "https://app:hidden@app.example"),
    ],
)
def test_invalid_url_is_refused_without_printing_its_password(name: str, value: str) -> None:
    [reason] = refusal({name: value})
    assert reason.startswith(name)
    assert "hidden" not in reason.lower()


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "DATABASE_URL", "REDIS_URL", "SMTP_URL", "JWT_KEYS"]
)
def test_configuration_error_does_not_contain_a_secret(name: str) -> None:
    reasons = refusal({"APP_ENV": "production", name: "short-hidden", "POOL_SIZE": "many"})
    assert "hidden" not in "".join(reasons)


@pytest.mark.parametrize(
    "origin",
    ["https://a.example", "http://127.0.0.1:3000", "http://[::1]:3000", "http://localhost:5173",
     "https://xn--bcher-kva.example", "https://a_b.example:65535", "https://127.0.0.1.example"],
)  # fmt: skip
def test_cors_origin_as_browsers_send_it_is_accepted(origin: str) -> None:
    assert Settings.from_env({"CORS_ORIGINS": origin}).cors_origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    ["https://*.example.com", "https://a.example.com.", "https://a.example/", "https://a.example:443",
     "http://a.example:80", "https://a.example:0", "https://a.example:65536", "https://a.example:",
     "https://a.example:080", "https://A.example", "https://[::1", "https://[0:0:0:0:0:0:0:1]",
     "https://1.2.3", "https://256.1.1.1", "https://b\u00fccher.example", "https://a..example",
     "https://a.example?", "https://a.example#", "//a.example", "a.example", "null", "file://",
     "https://(a|b).example", "^https://a.example$", "https://a.example\\", "https://a b.example",
     "https://a.example;https://b.example", "https://u@a.example", "*.example.com", "**",
     "*, https://a.example"],
)  # fmt: skip
def test_cors_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    [reason] = refusal({"CORS_ORIGINS": origin})
    assert reason.startswith("CORS_ORIGINS ")
    [reason] = refusal({"CORS_ORIGINS": f"https://good.example,{origin}"})
    assert reason.startswith("CORS_ORIGINS ")


def test_configuration_error_lists_every_reason() -> None:
    reasons = refusal(
        {
            **PRODUCTION,
            "SECRET_KEY": "short",
            "POOL_SIZE": "many",
            "ACCESS_TOKEN_MINUTES": "0",
            "CORS_ORIGINS": "*",
        }
    )
    assert [reason.split()[0] for reason in reasons] == [
        "SECRET_KEY", "ACCESS_TOKEN_MINUTES", "CORS_ORIGINS", "POOL_SIZE",
    ]  # fmt: skip


def test_refused_configuration_stops_create_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(ConfigError, match="SECRET_KEY is required"):
        create_app()
