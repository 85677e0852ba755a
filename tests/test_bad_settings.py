"""Every setting refuses what cannot work, in one line without the value, in every entry point."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from app.config import Settings
from tests.environments import PRODUCTION, SECRET, refusal
from tests.environments import instance as instance

ROOT = Path(__file__).parents[1]
HIDDEN = "hidden"  # part of values that are never printed

TEXT = ["\n", "a\nb", "a\rb", "a\x00b", "a\x1b[0m", "a\u2028b", "a\udcffb", " a", "a\t"]
NUMBER = [
    "hidden",
    "ten",
    "1.5",
    "1e3",
    "0x10",
    "1_000",
    " 5",
    "5 ",
    "+5",
    "٣",
    "²",
    "5\n",
    "-1",
    "9" * 30,
]
BOOLEAN = ["hidden", "yes", "1", "True", "on", " true", "true\n"]
LIMIT = [
    *TEXT, "lots", "10", "0 per minute", "0/hour", "-1 per minute", "10 per fortnight",
    "per minute",
    "10 per 0 minute", "1.5 per minute", f"{10**30} per minute", f"1 per {10**30} years",
]  # fmt: skip
ADDRESS = [
    *TEXT, "8000", ":8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:80",
    "127.0.0.1:-1", "999.1.1.1:80", "[::zz]:80", "[:::::]:80", "*:80", "http://a:80", "a b:80",
]  # fmt: skip
URL = [*TEXT, "hidden", "//hidden", "hidden.example:80", "javascript:hidden", "file:///hidden"]
REDIS = [
    *URL, "redis://", "redis://:hidden@", "unix://:hidden@/run/redis.sock", "http://:hidden@h",
    "redis://:hidden@h:99999/0", "redis://:hidden@h:0/0", "redis://:hidden@h:port/0",
    "redis://h/0?password=hidden", "redis://h?username=a&password=hidden", "redis://h/name",
    "redis://:hidden@h/0#1", "redis://:hid@den@h/0", "redis://:hid/den@h/0", "redis://:hid?den@h",
    "redis://:hid#den@h/0", "redis://:hid%zzden@h/0", "redis://:hidden@[::zz]/0", "redis://:hidden@[h/0",
    "redis://:hidden@a..b/0", "redis://:hidden@999.1.1.1/0", "sentinel://:hidden@h", "redis://h/-1",
    "redis+socket://:hidden@h", "amqp://app:hidden@mq.example", "redis://:hidden@h /0",
    "REDIS://h/0",
]  # fmt: skip

BAD: dict[str, list[str]] = {
    "app_env": [*TEXT, "prod", "Production", "production "],
    "secret_key": ["x" * 31, "hidden", "x" * 40 + "\n", "x" * 40 + "\x00"],
    "database_url": [
        *URL, "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:////tmp",
        "sqlite:///file:a?mode=memory&uri=true", "sqlite:///file::memory:?uri=true",
        "sqlite:////tmp/a.db?timeout=hidden", "sqlite:///a.db?mode=hidden", "sqlite:////tmp/a?b",
        "postgresql://app:hidden@db/app?target_session_attrs=hidden", "sqlite:////no/such/folder/a.db",
        "sqlite:////proc/hidden/a.db", "sqlite:///hidden/a.db", "sqlite:///.", "mysql://app:hidden@db/app",
        "sqlite:////etc/passwd/a.db", "postgres://app:hidden@db.example/app", "postgresql+asyncpg://app:hidden@db/app",
        "sqlite:////" + "a" * 300 + "/a.db", "postgresql+psycopg2://app:hidden@db/app",
        "postgresql://app:hidden@db:port/app", "postgresql://app:hidden@db:65536/app",
        "postgresql://app:hidden@db:0/app", "postgresql://app:hid@den@db/app",
        "postgresql://app:hid/den@db/app", "postgresql://app:hid?den@db/app",
        "postgresql://app:hid#den@db/app", "postgresql://app:hid%zzden@db/app",
        "postgresql://app@db/app?password=hidden", "postgresql://app:hidden@db/app?sslmode=maybe",
        "postgresql://app:hidden@db/app?no_such_option=1", "postgresql://app:hidden@[::zz]/app",
        "postgresql://app:hidden@db/app?options=-cdatestyle=German", " postgresql://db/app",
        "postgresql://app@db/app?sslrootcert=/hidden/ca.pem", "postgresql://app@db/app?sslcrl=/hidden",
        "postgresql://db/app?sslcert=/hidden&sslkey=/", "postgresql://db/app?require_auth=hidden",
        "postgresql://db/app?sslrootcert=system&sslmode=allow", "postgresql://db/app?service=hidden",
    ],
    "redis_url": REDIS,
    # begin jobs
    "broker_url": REDIS,
    # end jobs
    "cache_dir": [*TEXT, "/etc/passwd", "/etc/passwd/cache", "/" + "a" * 300],
    "jwt_keys": [
        *TEXT, "/no/such/file", "/", "a" * 300, '{"keys": [{"k": "hidden"}]}', "/proc/self/mem/x",
    ],
    "smtp_url": [
        *URL, "mail.example:25", "smtp:///", "smtp://", "smtp://app:hidden@[mail.example",
        "smtps://app:hidden@mail:99999", "smtp+tls://app:hidden@mail", "http://app:hidden@mail",
        "smtps://app:hid@den@mail", "smtps://app:hid/den@mail", "smtps://mail?password=hidden",
        "smtps://app:hidden@mail/path", "SMTPS://mail", "smtps://app:hiddén@mail", "smtps://app:hidden@a..b",
        "smtps://app:hid%zzden@mail", "smtps://app:hidden@mail#a", "smtps://app:hidden@" + "a" * 64,
    ],
    "mail_from": [
        *TEXT, "service", "@b.example", "a@", "a@b@c", "a@b.example, c@d.example",
        "Ada <a@b.example>",
        "a@b.example\r\nBcc: c@d.example", "a@b.example\nBcc: c@d.example", "a b@c.example",
        "a@b..c", "a@" + "b" * 64,
        "a@.b", "a@b c", "<a@b.example>", "a@b.example,", "a@[127.0.0.1]", "a@b_c.example\0",
    ],
    "public_url": [
        *URL, "app.example", "javascript:alert(1)", "https://", "https:///x", "ftp://app.example",
        "https://app.example:99999", "https://app.example?a=b", "https://app.example/#x",
        "https://app.example/a b", "https://app:hid@den@app.example", "https://a..b",
    ],
    "cors_origins": [
        "https://hidden.example/", "hidden.example", "null", "*, https://a.example", "https://a\nb",
        "https://app:hidden@app.example", "https://A.example", "https://a.example:443", "\x00",
    ],
    "trusted_hosts": [
        "https://a.example", "a.example/", "a b", "*", "a@b", "a\nb", ".", "a..b", "\x00", "a:0",
        "a:65536", "::g", "1::2::3",
    ],
    "otel_exporter_otlp_endpoint": [
        *URL, "collector:4318", "grpc://collector:4317", "http://", "http://collector:99999",
        "http://app:hid@den@collector", "http://collector:4318?token=hidden",
    ],
    "log_level": [*TEXT, "LOUD", "info", "NOTSET", "10"],
    "metrics_bind": ADDRESS,
    "bind": [*ADDRESS, "unix:", "unix:app.sock", "unix:/a b", "fd://3"],
    "script_name": [*TEXT, "shop", "/", "/shop/", "//shop", "/..", "/a/./b", "/a b", "/a?b", "https://evil.example"],
    "token_issuer": TEXT,
    "token_audience": TEXT,
}  # fmt: skip
for _field in fields(Settings):
    _common = {int: NUMBER, bool: BOOLEAN}.get(type(_field.default), [])
    if _field.name.endswith("rate_limit"):
        _common = LIMIT
    if _common:
        BAD[_field.name] = list(_common)
for _name, _above in {
    "access_token_minutes": 10**9, "refresh_token_days": 10**6, "session_idle_days": 10**6,
    "recent_login_minutes": 10**9, "password_min_length": 1025, "reset_token_minutes": 10**9,
    "verify_token_minutes": 10**9, "max_content_length": 2**31, "max_upload_length": 2**50,
    # begin jobs
    "job_retention_days": 10**6,
    # end jobs
    # begin audit
    "audit_retention_days": 10**6,
    # end audit
    "public_max_age": 2**31, "trusted_proxies": 1000,
    "statement_timeout_ms": 2**31, "lock_timeout_ms": 2**31, "connect_timeout": 10**6,
    "pool_size": 262_144, "pool_timeout": 10**6, "redis_timeout_ms": 2**31,
    "web_concurrency": 10**6, "web_threads": 10**6, "drain_seconds": 86_401,
}.items():  # fmt: skip
    BAD[_name].append(str(_above))
for _name in (
    "access_token_minutes", "pool_size", "connect_timeout", "web_concurrency", "web_threads",
):  # fmt: skip
    BAD[_name].append("0")


def test_every_setting_has_bad_values() -> None:
    assert set(BAD) == {field.name for field in fields(Settings)}
    numbers = [field.name for field in fields(Settings) if type(field.default) is int]
    assert [name for name in numbers if len(BAD[name]) <= len(NUMBER)] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [pytest.param(k, v, id=f"{k}-{n}") for k, vs in BAD.items() for n, v in enumerate(vs)],
)
def test_bad_value_is_refused_in_one_line_without_a_secret(name: str, value: str) -> None:
    base = PRODUCTION if name == "app_env" else {"SECRET_KEY": SECRET}  # an unknown one is strict
    [reason] = refusal({**base, name.upper(): value})
    assert reason.startswith(f"{name.upper()} ")
    assert HIDDEN not in reason
    assert "den@" not in reason
    assert reason.isprintable()


GOOD = {
    "DATABASE_URL": [
        "postgresql://app:p%40%25%2F%3F%23@db.example:5432/app", "postgresql:///app?host=/run/pg",
        f"postgresql+psycopg://app@[::1]/app?sslmode=verify-full&sslrootcert={__file__}",
        "postgresql://app@db/app?sslmode=verify-full&sslrootcert=system&hostaddr=192.0.2.1",
        "sqlite:///a.db", "postgresql://app@/app?host=a:5432&host=b:5432&target_session_attrs=read-write",
    ],
    "REDIS_URL": ["redis://h", "redis://h:6379/", "rediss://ada:p%2Fw@h:6379/15", "redis://[::1]/0"],
    "SMTP_URL": ["smtp://mail", "smtps://a%40b:c@mail:465", "smtp+starttls://a:b@smtp.office365.com:587"],
    "MAIL_FROM": ["a+b@c.example"],
    "PUBLIC_URL": ["https://app.example/shop", "http://localhost:8080/"],
    "TRUSTED_HOSTS": [".app.example,localhost,127.0.0.1,::1,[::1]:8000", "B\u00fccher.example."],
    "BIND": ["0.0.0.0:8000", "[::]:8000", "localhost:0", "unix:/run/app.sock"],
    "RATE_LIMIT": ["10 per second; 100 per minute", "5/hour"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["http://collector:4318", "https://otlp.example/v1"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in GOOD.items() for v in vs])
def test_value_that_works_is_accepted(name: str, value: str) -> None:
    Settings.from_env({"SECRET_KEY": SECRET, name: value})


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"DATABASE_POOLER": "true"}, "DATABASE_POOLER"),
        ({"BIND": "127.0.0.1:8000", "METRICS_BIND": "127.0.0.2:08000"}, "METRICS_BIND"),
        (
            PRODUCTION | {"REDIS_URL": "", "SINGLE_NODE": "true", "CACHE_DIR": "/etc/passwd/x"},
            "CACHE_DIR",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    environ: dict[str, str], name: str
) -> None:
    [reason] = refusal({"SECRET_KEY": SECRET, **environ})
    assert reason.startswith(f"{name} ")


def test_all_reasons_are_listed_at_once() -> None:
    bad = {name.upper(): values[0] for name, values in BAD.items()}
    reasons = [reason.split()[0] for reason in refusal(bad)]
    assert reasons == [field.name.upper() for field in fields(Settings)]


def start(command: list[str], tmp_path: Path, **settings: str) -> tuple[int, str]:
    """The status and the output of a command that is expected to end."""
    # One worker: where two fail at once, gunicorn adds a traceback of its own.
    environ = {
        **os.environ, "APP_ENV": "testing", "SECRET_KEY": SECRET, "BIND": "127.0.0.1:0",
        "WEB_CONCURRENCY": "1",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}", "CACHE_DIR": str(tmp_path), **settings,
    }  # fmt: skip
    command = [sys.executable, *command]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr


ENTRY_POINTS = {
    "gunicorn": ["-m", "gunicorn"],
    "gunicorn --check-config": ["-m", "gunicorn", "--check-config"],
    "flask": ["-m", "flask", "db", "upgrade"],
    "flask config check": ["-m", "flask", "config", "check"],
    # begin jobs
    "celery": ["-m", "celery", "--app", "wsgi:celery", "worker"],
    # end jobs
    "wsgi": ["wsgi.py"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
@pytest.mark.parametrize(
    "bad",
    [
        {"WEB_THREADS": "four", "DATABASE_URL": "postgresql://app:hidden@db:port/app"},
        {"LOG_LEVEL": "LOUD", "REDIS_URL": "unix://:hidden@/run/redis.sock"},
        {"JWT_KEYS": __file__},
    ],
    ids=str,
)
def test_entry_point_refuses_bad_settings_without_a_traceback(
    command: list[str], bad: dict[str, str], tmp_path: Path
) -> None:
    status, output = start(command, tmp_path, **bad)
    assert status != 0
    assert "Traceback" not in output
    assert HIDDEN not in output
    assert output.count("The configuration is refused:") == 1
    for name in bad:
        assert output.count(f"  - {name}") == 1


def test_listeners_on_the_same_port_are_refused(tmp_path: Path) -> None:
    same = {"BIND": "127.0.0.1:8000", "METRICS_BIND": "127.0.0.2:8000"}
    status, output = start(["-m", "gunicorn"], tmp_path, **same)
    assert status != 0
    assert "must differ in their ports" in output


def test_config_check_prints_settings_with_masked_secrets(tmp_path: Path) -> None:
    secrets = {
        "REDIS_URL": "redis://ada:hidden@127.0.0.1:1/1",
        "SMTP_URL": "smtps://ada:hid%40den@mail.example",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://hidden@collector:4318",
        "PUBLIC_URL": "https://ada:hidden@app.example",
        "DATABASE_URL": "postgresql://app:hidden@127.0.0.1:1/app",
        "CORS_ORIGINS": "https://a.example,https://b.example",
    }
    status, output = start(["-m", "flask", "config", "check"], tmp_path, **secrets)
    assert status == 0, output
    lines = dict(line.split("=", 1) for line in output.splitlines())
    assert list(lines) == [field.name.upper() for field in fields(Settings)]
    assert lines["DATABASE_URL"] == "postgresql://app:***@127.0.0.1:1/app"
    assert lines["REDIS_URL"] == "redis://ada:***@127.0.0.1:1/1"
    assert lines["CORS_ORIGINS"] == secrets["CORS_ORIGINS"]
    assert lines["AUTH_COOKIES"] == "false"
    for hidden in (HIDDEN, "den@", SECRET):
        assert hidden not in output


def test_settings_example_has_every_setting() -> None:
    named = {
        line.lstrip("#").partition("=")[0]
        for line in (ROOT / ".env.example").read_text().splitlines()
    }
    assert {field.name.upper() for field in fields(Settings)} <= named
