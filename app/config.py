"""Typed settings, read from the environment once and checked before the service starts."""

import contextlib
import logging
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit

from limits import parse_many

ROOT = Path(__file__).resolve().parent.parent
INSTANCE = ROOT / "instance"

Environment = Literal["development", "testing", "production"]


class ConfigError(Exception):
    """The environment does not describe a service that may start. Lists every reason at once."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("The configuration is refused:\n" + "\n".join(f"  - {r}" for r in reasons))


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """One value per setting. The name in the environment is the field's in capitals."""

    app_env: Environment = "development"
    secret_key: str = ""  # signs access tokens and cursors; at least 32 characters
    database_url: str = f"sqlite:///{INSTANCE / 'app.db'}"
    database_pooler: bool = False  # database_url leads to PgBouncer, which pools by transaction
    single_node: bool = False  # in production: one machine with SQLite, or without Redis, is meant
    redis_url: str = ""  # empty: limits are counted in this process, the cache lies on disk
    broker_url: str = ""  # redis://…, of the messages to Celery; empty: jobs are done in-process
    cache_dir: str = str(INSTANCE / "cache")  # used where there is no Redis

    access_token_minutes: int = 10
    refresh_token_days: int = 30
    session_idle_days: int = 7
    password_min_length: int = 15
    reset_token_minutes: int = 30
    verify_token_minutes: int = 24 * 60
    token_issuer: str = "flask-rest-reference"  # noqa: S105 - a name, not a secret
    token_audience: str = "flask-rest-reference"  # noqa: S105
    jwt_keys: str = ""  # a file of `flask signing-keys`; empty: one key, derived from secret_key
    auth_cookies: bool = False  # whether browsers may log in with cookies

    rate_limit: str = "600 per minute"
    login_rate_limit: str = "10 per minute"
    register_rate_limit: str = "10 per hour"
    mail_rate_limit: str = "10 per hour"
    bulk_rate_limit: str = "10 per minute"

    smtp_url: str = ""  # smtp://host:port, smtps://user:password@host; empty: mail goes to the log
    mail_from: str = "service@localhost"
    public_url: str = "http://127.0.0.1:8000"  # where links in mails lead

    max_content_length: int = 1024 * 1024  # bytes
    max_upload_length: int = 256 * 1024 * 1024  # bytes, of a file to import as it is sent
    job_retention_days: int = 7
    public_max_age: int = 30  # seconds an anonymous read of the catalogue may be cached
    cors_origins: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()  # empty: any Host header is taken
    trusted_proxies: int = 0  # proxies in front whose X-Forwarded-* headers are believed

    statement_timeout_ms: int = 5000
    lock_timeout_ms: int = 2000
    connect_timeout: int = 3  # seconds
    pool_size: int = 8
    pool_timeout: int = 3  # seconds
    redis_timeout_ms: int = 200
    log_level: str = "INFO"
    metrics_bind: str = ""  # host:port of a listener for /metrics alone; empty: there is none
    otel_exporter_otlp_endpoint: str = ""  # http://host:4318; empty: no spans are recorded

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Settings from the environment (the process's own by default), checked.

        Raises:
            ConfigError: a value cannot be read, or would make the service unsafe.
        """
        environ = os.environ if environ is None else environ
        reasons: list[str] = []
        values: dict[str, Any] = {}
        for field in fields(cls):
            text = environ.get(field.name.upper())
            if text is None or text == "":
                continue
            try:
                values[field.name] = _parse(text, type(field.default))
            except ValueError:
                kind = type(field.default).__name__
                reasons.append(f"{field.name.upper()} is not of type {kind}: {text!r}")
        settings = cls(**values)
        if reasons := reasons + settings.validation_errors():
            raise ConfigError(reasons)
        if not settings.secret_key:
            return cls(**{**values, "secret_key": _local_secret()})
        return settings

    def validation_errors(self) -> list[str]:
        """Why these settings must not start a service; empty when they may."""
        reasons = []
        if self.app_env not in get_args(Environment):
            reasons.append(f"APP_ENV is one of {', '.join(get_args(Environment))}")
        production = self.app_env not in ("development", "testing")
        if production and not self.secret_key:
            reasons.append("SECRET_KEY is required in production (openssl rand -base64 48)")
        elif self.secret_key and len(self.secret_key) < 32:
            reasons.append("SECRET_KEY has fewer than 32 characters")
        elif production and _looks_like_an_example(self.secret_key):
            reasons.append("SECRET_KEY is an example value; make one: openssl rand -base64 48")
        if production and not self.single_node:
            meant = "SINGLE_NODE=true says that it is meant"
            if self.database_url.startswith("sqlite"):
                reasons.append(f"DATABASE_URL is SQLite, which serves one machine; {meant}")
            if not self.redis_url:
                reasons.append(f"REDIS_URL is missing, each worker would limit by itself; {meant}")
            if not self.broker_url:
                reasons.append(f"BROKER_URL is missing, jobs would burden requests; {meant}")
        if production and "*" in self.cors_origins:
            reasons.append("CORS_ORIGINS must name its origins in production, not *")
        for field in fields(self):
            least = MINIMUMS.get(field.name, 1)
            if type(field.default) is int and getattr(self, field.name) < least:
                reasons.append(f"{field.name.upper()} must be at least {least}")
        for name in (f.name for f in fields(self) if f.name.endswith("rate_limit")):
            try:  # flask-limiter would only log that it cannot read it, and limit nothing
                parse_many(getattr(self, name))
            except ValueError:
                reasons.append(f'{name.upper()} is not a limit such as "10 per minute"')
        if self.log_level not in logging.getLevelNamesMapping():
            reasons.append("LOG_LEVEL is one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
        if self.metrics_bind and not re.fullmatch(r"\S+:\d{1,5}", self.metrics_bind):
            reasons.append("METRICS_BIND is host:port, such as 127.0.0.1:9464")
        endpoint = urlsplit(self.otel_exporter_otlp_endpoint)
        if self.otel_exporter_otlp_endpoint and endpoint.scheme not in ("http", "https"):
            reasons.append("OTEL_EXPORTER_OTLP_ENDPOINT is a URL such as http://collector:4318")
        return reasons + self._mail_errors(production)

    def _mail_errors(self, production: bool) -> list[str]:
        """Why mail could not be sent, or would give away what it must not."""
        reasons = []
        smtp = urlsplit(self.smtp_url)
        if production and not self.smtp_url:
            reasons.append("SMTP_URL is required in production: without it mail goes to the log")
        elif self.smtp_url and (smtp.scheme not in ("smtp", "smtps") or not smtp.hostname):
            reasons.append("SMTP_URL is smtp://host:port or smtps://user:password@host:port")
        elif production and smtp.scheme == "smtp" and smtp.username:
            reasons.append("SMTP_URL would send its password in clear; use smtps://")
        if not re.fullmatch(r"[^@\s<>,]+@[A-Za-z0-9.-]+", self.mail_from):
            reasons.append("MAIL_FROM is not an e-mail address")
        if urlsplit(self.public_url).scheme not in ("http", "https"):
            reasons.append("PUBLIC_URL is not a URL such as https://app.example.com")
        elif production and self.public_url == type(self)().public_url:
            reasons.append("PUBLIC_URL is required in production: links in mails lead there")
        return reasons


# The least value of a setting that is a number, where it is not 1.
MINIMUMS = {"public_max_age": 0, "trusted_proxies": 0, "password_min_length": 8}


def _parse(text: str, kind: type) -> Any:
    if kind is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind is bool:
        return _parse_bool(text)
    return kind(text)


def _parse_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _looks_like_an_example(secret: str) -> bool:
    words = ("change-me", "changeme", "example", "secret", "password", "your-")
    return len(set(secret)) < 12 or any(word in secret.lower() for word in words)


def _local_secret() -> str:
    """The secret of a development machine: made once, kept in instance/, never in the tree."""
    INSTANCE.mkdir(exist_ok=True)
    path = INSTANCE / "secret_key"
    if not path.exists():
        draft = INSTANCE / f"secret_key.{os.getpid()}"
        draft.touch(0o600)
        draft.write_text(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):  # another process was first: its secret stands
            os.link(draft, path)
        draft.unlink()
    return path.read_text()
