"""Typed settings, parsed from the environment and checked before the service starts."""

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, TypeVar, get_args

from sqlalchemy import URL

from app import setting_checks as is_
from app.server.settings import SERVER, whole_number
from app.setting_checks import between

INSTANCE = is_.INSTANCE
ROOT = INSTANCE.parent

Environment = Literal["development", "testing", "production"]
T = TypeVar("T")


class StartError(RuntimeError):
    """The service cannot start as it is written or configured; the message says why."""


class ConfigError(StartError):
    """Invalid or unsafe settings; the message lists every reason.

    A reason starts with the name of the setting. It never contains a secret or a URL.
    """

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("The configuration is refused:\n" + "\n".join(f"  - {r}" for r in reasons))


def setting(default: T, check: is_.Check = is_.trimmed) -> T:
    """Return a field of `Settings`: its type is that of the default."""
    return field(default=default, metadata={"check": check})


DEFAULT_DATABASE = URL.create("sqlite", database=str(INSTANCE / "app.db"))  # ? in it is escaped
ENVIRONMENT = is_.one_of(*get_args(Environment))
REDIS_URL = is_.url(
    "is redis://host:port/0 or rediss://user:password@host:port/0, with a percent-encoded password",
    "redis",
    "rediss",
    path="/?[0-9]{0,4}",
)
DAYS = between(1, 36_500)
MINUTES = between(1, 366 * 24 * 60)
MILLISECONDS = between(1, 60 * 60 * 1000)
SECONDS = between(1, 60 * 60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings. The name of a setting in the environment is that of the field in capitals."""

    app_env: Environment = setting("development", ENVIRONMENT)  # noqa: RUF009 - a field
    secret_key: str = setting("", is_.secret)  # signs access tokens and cursors
    database_url: str = setting(DEFAULT_DATABASE.render_as_string(), is_.database_url)
    database_pooler: bool = setting(False)  # database_url is that of PgBouncer, transaction mode
    single_node: bool = setting(False)  # allows production with SQLite or without Redis
    redis_url: str = setting("", REDIS_URL)  # empty: limits in memory, the cache is on disk
    # begin jobs
    broker_url: str = setting("", REDIS_URL)  # for Celery; empty: jobs run in this process
    # end jobs
    cache_dir: str = setting(str(INSTANCE / "cache"))  # used without Redis

    access_token_minutes: int = setting(10, MINUTES)
    refresh_token_days: int = setting(30, DAYS)
    session_idle_days: int = setting(7, DAYS)
    recent_login_minutes: int = setting(15, MINUTES)  # for changes of credentials
    password_min_length: int = setting(15, between(8, 1024))
    reset_token_minutes: int = setting(30, MINUTES)
    verify_token_minutes: int = setting(24 * 60, MINUTES)
    token_issuer: str = setting("flask-rest-reference")
    token_audience: str = setting("flask-rest-reference")
    # A file of `flask signing-keys`; empty: a key derived from secret_key.
    jwt_keys: str = setting("", is_.optional(is_.readable_file))
    auth_cookies: bool = setting(False)  # whether browsers may log in with cookies

    rate_limit: str = setting("600 per minute", is_.rate_limit)
    login_rate_limit: str = setting("10 per minute", is_.rate_limit)
    register_rate_limit: str = setting("10 per hour", is_.rate_limit)
    mail_rate_limit: str = setting("10 per hour", is_.rate_limit)
    bulk_rate_limit: str = setting("10 per minute", is_.rate_limit)

    smtp_url: str = setting("", is_.smtp_url)  # empty: mail goes to the log
    mail_from: str = setting("service@localhost", is_.mail_address)
    # Base of the links in mails.
    public_url: str = setting("http://127.0.0.1:8000", is_.public_url)

    max_content_length: int = setting(1024 * 1024, between(1, 2**30))  # bytes
    max_upload_length: int = setting(256 * 1024 * 1024, between(1, 2**40))  # bytes of a file
    # begin jobs
    job_retention_days: int = setting(7, DAYS)
    # end jobs
    # begin audit
    audit_retention_days: int = setting(365, DAYS)
    # end audit
    public_max_age: int = setting(30, between(0, 366 * 86_400))  # seconds, of anonymous responses
    cors_origins: tuple[str, ...] = setting((), is_.origins)
    trusted_hosts: tuple[str, ...] = setting((), is_.hosts)  # empty, outside production: any host
    trusted_proxies: int = setting(0, between(0, 100))  # number of proxies that set X-Forwarded-*

    statement_timeout_ms: int = setting(5000, MILLISECONDS)
    lock_timeout_ms: int = setting(2000, MILLISECONDS)
    connect_timeout: int = setting(3, SECONDS)
    pool_size: int = setting(8, between(1, 1000))
    pool_timeout: int = setting(3, SECONDS)
    redis_timeout_ms: int = setting(200, MILLISECONDS)
    bind: str = setting(*SERVER["bind"])
    web_concurrency: int = setting(*SERVER["web_concurrency"])
    web_threads: int = setting(*SERVER["web_threads"])
    drain_seconds: int = setting(*SERVER["drain_seconds"])
    script_name: str = setting(*SERVER["script_name"])
    log_level: str = setting("INFO", is_.one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
    metrics_bind: str = setting("", is_.optional(is_.address))  # of /metrics; empty: none
    # http://host:4318; empty: no spans are recorded
    otel_exporter_otlp_endpoint: str = setting("", is_.collector_url)

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
        if "database_url" not in values:
            with contextlib.suppress(OSError):  # its check has the reason
                INSTANCE.mkdir(exist_ok=True)
        if reasons := settings.errors() | reasons:
            in_order = [each.name for each in fields(cls) if each.name in reasons]
            raise ConfigError([f"{name.upper()} {reasons[name]}" for name in in_order])
        if not settings.secret_key:
            return cls(**{**values, "secret_key": _local_secret()})
        return settings

    @property
    def is_production(self) -> bool:
        """Whether the strict checks apply; also with an invalid APP_ENV."""
        return self.app_env not in ("development", "testing")

    def printable(self) -> dict[str, str]:
        """Return the settings as they are written in the environment, with masked secrets."""
        texts = {}
        for name, value in asdict(self).items():
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            text = text.lower() if isinstance(value, bool) else is_.mask(text)
            texts[name.upper()] = "***" if name == "secret_key" else text
        return texts

    def errors(self) -> dict[str, str]:
        """Return why the service must not start with these settings, one reason for a setting."""
        found: dict[str, str] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            texts = value if isinstance(value, tuple) else (str(value),)
            reason = is_.printable("".join(texts)) or each.metadata["check"](value)
            if reason:
                found[each.name] = reason
        return dict(self._conflicts()) | found | dict(self._unsafe())

    def _conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that do not work together."""
        if self.database_pooler and self.database_url.startswith("sqlite"):
            yield "database_pooler", "is for PostgreSQL, and DATABASE_URL is SQLite"
        if self.metrics_bind and self._port(self.metrics_bind) == self._port(self.bind) != "0":
            yield "metrics_bind", "and BIND must differ in their ports"
        if not self.redis_url and (reason := is_.writable_folder(self.cache_dir)):
            yield "cache_dir", reason

    @staticmethod
    def _port(address: str) -> str:
        return address.rpartition(":")[2].lstrip("0") or "0"

    def _unsafe(self) -> Iterator[tuple[str, str]]:
        """Settings that production refuses."""
        if not self.is_production:
            return
        if not self.secret_key:
            yield "secret_key", "is required in production (openssl rand -base64 48)"
        elif not is_.secret(self.secret_key) and _looks_like_an_example(self.secret_key):
            yield "secret_key", "is an example value; generate one: openssl rand -base64 48"
        hint = "SINGLE_NODE=true allows it"
        if self.database_url.startswith("sqlite") and not self.single_node:
            yield "database_url", f"is SQLite, which serves one machine; {hint}"
        if not self.redis_url and not self.single_node:
            yield "redis_url", f"is missing, each worker would limit by itself; {hint}"
        # begin jobs
        if not self.broker_url and not self.single_node:
            yield "broker_url", f"is missing, jobs would burden requests; {hint}"
        # end jobs
        if not self.trusted_hosts:
            yield "trusted_hosts", "is required in production: answers contain the host they trust"
        if "*" in self.cors_origins:
            yield "cors_origins", "must name its origins in production, not *"
        if not self.smtp_url:
            yield "smtp_url", "is required in production: without it mail goes to the log"
        elif self.smtp_url.startswith("smtp:") and "@" in self.smtp_url:
            hint = "use smtps:// or smtp+starttls://"
            yield "smtp_url", f"would send its password in clear; {hint}"
        if self.public_url == type(self)().public_url:
            yield "public_url", "is required in production: links in mails lead there"


def parse_tuple(text: str) -> tuple[str, ...]:
    """Return the strings between commas, without surrounding spaces and without empty ones."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


_PARSERS: dict[type, Any] = {
    str: str,
    tuple: parse_tuple,
    int: whole_number,
    bool: {"true": True, "false": False}.__getitem__,
}
"""By the type of the default. Each raises ValueError or KeyError for other text."""
_EXPECTED = {int: "is not a whole number", bool: "is true or false"}


def _parse(
    settings: type[Settings], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the parsed values, and why others are invalid; both by the name of the field."""
    # environs loads .env files into the process and reads only its environment.
    values, reasons = {}, {}
    for each in fields(settings):
        kind = type(each.default)
        if text := environ.get(each.name.upper()):
            try:
                values[each.name] = _PARSERS[kind](text)
            except (ValueError, KeyError):
                reasons[each.name] = f"{_EXPECTED[kind]}"
    return values, reasons


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
