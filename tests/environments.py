"""Environments that the tests read settings from."""

from pathlib import Path

import pytest

from app import config
from app.config import ConfigError, Settings

SECRET = "7Vq9nB2xLr5tYw8eKd3mZp6sGf1hJc4aQu0i"

SERVERS = {
    "TRUSTED_HOSTS": "api.example",
    "SMTP_URL": "smtp://mail.example",
    "PUBLIC_URL": "https://app.example",
    "DATABASE_URL": "postgresql://app@db.example/app",
    "REDIS_URL": "redis://cache.example:6379/0",
    # begin jobs
    "BROKER_URL": "redis://cache.example:6379/1",
    # end jobs
}

PRODUCTION = {"APP_ENV": "production", "SECRET_KEY": SECRET, **SERVERS}


def refusal(environ: dict[str, str]) -> list[str]:
    """The reasons for which an environment is refused."""
    with pytest.raises(ConfigError) as refused:
        Settings.from_env(environ)
    first, *reasons = str(refused.value).splitlines()
    assert first == "The configuration is refused:"
    assert all(reason.startswith("  - ") for reason in reasons)
    return [reason.removeprefix("  - ") for reason in reasons]


@pytest.fixture(autouse=True)
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the local secret, in place of the developer's own."""
    config.INSTANCE.mkdir(exist_ok=True)  # that of the defaults
    monkeypatch.setattr(config, "INSTANCE", tmp_path / "instance")
    return tmp_path / "instance"
