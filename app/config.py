"""Typed settings, parsed from the environment and checked before the service starts."""

import contextlib
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit

import marshmallow as ma
from limits import parse_many
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

ROOT = Path(__file__).resolve().parent.parent
INSTANCE = ROOT / "instance"

Environment = Literal["development", "testing", "production"]


class ConfigError(Exception):
    """Invalid or unsafe settings; the message lists every reason.

    A reason starts with the name of the setting. It never contains a secret or a URL.
    """

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("The configuration is refused:\n" + "\n".join(f"  - {r}" for r in reasons))


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings. The name of a setting in the environment is that of the field in capitals."""

    app_env: Environment = "development"
    secret_key: str = ""  # signs access tokens and cursors; at least 32 characters
    database_url: str = f"sqlite:///{INSTANCE / 'app.db'}"
    database_pooler: bool = False  # database_url is that of PgBouncer, in transaction mode
    single_node: bool = False  # allows production with SQLite or without Redis
    redis_url: str = ""  # empty: limits are counted in memory, the cache is on disk
    broker_url: str = ""  # redis://… for Celery; empty: jobs run in this process
    cache_dir: str = str(INSTANCE / "cache")  # used without Redis

    access_token_minutes: int = 10
    refresh_token_days: int = 30
    session_idle_days: int = 7
    password_min_length: int = 15
    reset_token_minutes: int = 30
    verify_token_minutes: int = 24 * 60
    token_issuer: str = "flask-rest-reference"  # noqa: S105 - a name, not a secret
    token_audience: str = "flask-rest-reference"  # noqa: S105
    jwt_keys: str = ""  # file of `flask signing-keys`; empty: a key derived from secret_key
    auth_cookies: bool = False  # whether browsers may log in with cookies

    rate_limit: str = "600 per minute"
    login_rate_limit: str = "10 per minute"
    register_rate_limit: str = "10 per hour"
    mail_rate_limit: str = "10 per hour"
    bulk_rate_limit: str = "10 per minute"

    # smtp://host:port, smtps:// or smtp+starttls://user:password@host; empty: mail goes to the log
    smtp_url: str = ""
    mail_from: str = "service@localhost"
    public_url: str = "http://127.0.0.1:8000"  # base of the links in mails

    max_content_length: int = 1024 * 1024  # bytes
    max_upload_length: int = 256 * 1024 * 1024  # bytes of an uploaded file
    job_retention_days: int = 7
    public_max_age: int = 30  # seconds for which anonymous responses may be cached
    cors_origins: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()  # empty, outside production: any host is accepted
    trusted_proxies: int = 0  # number of proxies that set X-Forwarded-*

    statement_timeout_ms: int = 5000
    lock_timeout_ms: int = 2000
    connect_timeout: int = 3  # seconds
    pool_size: int = 8
    pool_timeout: int = 3  # seconds
    redis_timeout_ms: int = 200
    log_level: str = "INFO"
    metrics_bind: str = ""  # host:port of the listener for /metrics; empty: none
    otel_exporter_otlp_endpoint: str = ""  # http://host:4318; empty: no spans are recorded

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Parse and check the settings from the environment (by default, of the process).

        Empty values count as absent. Outside production, SECRET_KEY is by default a secret of this
        machine: docs/decisions.md#52-environments

        Raises:
            ConfigError: a value cannot be parsed, or would make the service unsafe.
        """
        values, reasons = _parse(cls, os.environ if environ is None else environ)
        settings = cls(**values)
        if reasons := reasons + settings.validation_errors():
            raise ConfigError(reasons)
        if not settings.secret_key:
            return cls(**{**values, "secret_key": _local_secret()})
        return settings

    @property
    def is_production(self) -> bool:
        """Whether the strict checks apply; also with an invalid APP_ENV."""
        return self.app_env not in ("development", "testing")

    def validation_errors(self) -> list[str]:
        """Return the reasons why the service must not start with these settings."""
        return [
            *self._secret_errors(),
            *self._server_errors(),
            *self._number_errors(),
            *self._format_errors(),
            *self._mail_errors(),
        ]

    def _secret_errors(self) -> Iterator[str]:
        if self.app_env not in get_args(Environment):
            yield f"APP_ENV is one of {', '.join(get_args(Environment))}"
        if self.is_production and not self.secret_key:
            yield "SECRET_KEY is required in production (openssl rand -base64 48)"
        elif self.secret_key and len(self.secret_key) < 32:
            yield "SECRET_KEY has fewer than 32 characters"
        elif self.is_production and _looks_like_an_example(self.secret_key):
            yield "SECRET_KEY is an example value; generate one: openssl rand -base64 48"

    def _server_errors(self) -> Iterator[str]:
        if not _is_database_url(self.database_url):
            yield "DATABASE_URL is sqlite:///path or postgresql://user:password@host:port/name"
        for name in ("redis_url", "broker_url"):
            # Only these schemes: the log removes the password of a URL with a host.
            if (url := getattr(self, name)) and not _is_url(url, "redis", "rediss"):
                yield f"{name.upper()} is redis://host:port/0 or rediss://user:password@host:port/0"
        if self.is_production and not self.single_node:
            hint = "SINGLE_NODE=true allows it"
            if self.database_url.startswith("sqlite"):
                yield f"DATABASE_URL is SQLite, which serves one machine; {hint}"
            if not self.redis_url:
                yield f"REDIS_URL is missing, each worker would limit by itself; {hint}"
            if not self.broker_url:
                yield f"BROKER_URL is missing, jobs would burden requests; {hint}"
        if self.is_production and not self.trusted_hosts:
            yield "TRUSTED_HOSTS is required in production: answers contain the host they trust"
        if self.is_production and "*" in self.cors_origins:
            yield "CORS_ORIGINS must name its origins in production, not *"
        elif "*" in self.cors_origins and len(self.cors_origins) > 1:
            yield "CORS_ORIGINS is either * or names its origins"
        if not all(_is_origin(origin) for origin in self.cors_origins if origin != "*"):
            yield "CORS_ORIGINS are origins such as https://app.example.com or http://[::1]:3000"

    def _number_errors(self) -> Iterator[str]:
        for field in fields(self):
            minimum = MINIMUMS.get(field.name, 1)
            if type(field.default) is int and getattr(self, field.name) < minimum:
                yield f"{field.name.upper()} must be at least {minimum}"

    def _format_errors(self) -> Iterator[str]:
        for name in (field.name for field in fields(self) if field.name.endswith("rate_limit")):
            try:  # flask-limiter logs a limit that it cannot parse, and limits nothing
                parse_many(getattr(self, name))
            except ValueError:
                yield f'{name.upper()} is not a limit such as "10 per minute"'
        if self.log_level not in logging.getLevelNamesMapping():
            yield "LOG_LEVEL is one of DEBUG, INFO, WARNING, ERROR, CRITICAL"
        if self.metrics_bind and not re.fullmatch(r"\S+:\d{1,5}", self.metrics_bind):
            yield "METRICS_BIND is host:port, such as 127.0.0.1:9464"
        endpoint = self.otel_exporter_otlp_endpoint
        if endpoint and not _is_url(endpoint, "http", "https"):
            yield "OTEL_EXPORTER_OTLP_ENDPOINT is a URL such as http://collector:4318"

    def _mail_errors(self) -> Iterator[str]:
        if self.is_production and not self.smtp_url:
            yield "SMTP_URL is required in production: without it mail goes to the log"
        elif self.smtp_url and not _is_url(self.smtp_url, "smtp", "smtps", "smtp+starttls"):
            yield "SMTP_URL is smtp://host:port, or smtps or smtp+starttls://user:password@host:port"
        elif (
            self.is_production
            and _is_url(self.smtp_url, "smtp")
            and urlsplit(self.smtp_url).username
        ):
            yield "SMTP_URL would send its password in clear; use smtps:// or smtp+starttls://"
        if not re.fullmatch(r"[^@\s<>,]+@[A-Za-z0-9.-]+", self.mail_from):
            yield "MAIL_FROM is not an e-mail address"
        if not _is_url(self.public_url, "http", "https"):
            yield "PUBLIC_URL is not a URL such as https://app.example.com"
        elif self.is_production and self.public_url == type(self)().public_url:
            yield "PUBLIC_URL is required in production: links in mails lead there"


MINIMUMS = {"public_max_age": 0, "trusted_proxies": 0, "password_min_length": 8}
"""Minimums of numeric settings, where they are not 1."""


class _CommaSeparated(ma.fields.Field[tuple[str, ...]]):
    """Strings separated by commas; surrounding spaces and empty strings are removed."""

    def _deserialize(self, value: str, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        return tuple(part.strip() for part in value.split(",") if part.strip())


# By the type of the default. Strings have no message, which could contain a secret.
_FIELDS: dict[type, Callable[[], ma.fields.Field[Any]]] = {
    str: ma.fields.String,
    tuple: _CommaSeparated,
    int: lambda: ma.fields.Integer(
        error_messages={"invalid": "is not of type int: {input!r}"},
    ),
    bool: lambda: ma.fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        error_messages={"invalid": "is not of type bool: {input!r}"},
    ),
}


def _parse(
    settings: type[Settings], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the parsed values by field name, and the reasons why others are invalid.

    marshmallow parses a mapping; environs, which builds on it, reads only the process's own
    environment and makes the Flask CLI load `.env` files by its dependency on python-dotenv.
    """
    members = {field.name.upper(): _FIELDS[type(field.default)]() for field in fields(settings)}
    schema = ma.Schema.from_dict(members)(unknown=ma.EXCLUDE)
    reasons: list[str] = []
    try:
        values = schema.load({name: text for name, text in environ.items() if text})
    except ma.ValidationError as error:
        values = error.valid_data
        messages = error.messages_dict.items()
        reasons = [f"{name} {text}" for name, texts in messages for text in texts]
    return {name.lower(): value for name, value in values.items()}, reasons


def _is_url(text: str, *schemes: str) -> bool:
    """Whether the text is a URL with one of the schemes, a host and no invalid port."""
    try:
        url = urlsplit(text)
        return url.scheme in schemes and bool(url.hostname) and url.port != 0
    except ValueError:  # the port is not a number, or an IPv6 address is invalid
        return False


_LABEL = "[a-z0-9_-]+"
_ORIGIN = re.compile(rf"https?://({_LABEL}(\.{_LABEL})*|\[[0-9a-f:]+\])(:[1-9][0-9]{{0,4}})?")


def _is_origin(text: str) -> bool:
    """Whether a browser sends this origin (RFC 6454 section 6.2): the only form that can match."""
    if not _ORIGIN.fullmatch(text):
        return False
    try:
        url = urlsplit(text)
        host, port = str(url.hostname), url.port
        is_address = ":" in host or host.rpartition(".")[2].isdigit()
        if is_address and str(ip_address(host)) != host:
            return False
    except ValueError:  # no such port or address
        return False
    return port != {"http": 80, "https": 443}[url.scheme]


def _is_database_url(text: str) -> bool:
    try:
        name = make_url(text).drivername
    except (ArgumentError, ValueError):
        return False
    return name in ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")


def _looks_like_an_example(secret: str) -> bool:
    words = ("change-me", "changeme", "example", "secret", "password", "your-")
    return len(set(secret)) < 12 or any(word in secret.lower() for word in words)


def _local_secret() -> str:
    """Return the secret of this machine, which is generated once and stored in instance/."""
    INSTANCE.mkdir(exist_ok=True)
    path = INSTANCE / "secret_key"
    if not path.exists():
        draft = INSTANCE / f"secret_key.{os.getpid()}"
        draft.touch(0o600)
        draft.write_text(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(draft, path)
        draft.unlink()
    return path.read_text()
