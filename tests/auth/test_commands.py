"""The commands `flask signing-keys`."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.auth import signing_keys
from tests.api import run_command
from tests.conftest import MakeApp


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def run(app: Flask, file: Path) -> Callable[..., list[str]]:
    """`run(*arguments)` runs a command on the file; the lines of its output."""

    def run(*arguments: str, **kwargs: Any) -> list[str]:
        arguments = ("signing-keys", *arguments, "--file", str(file))
        return run_command(app, *arguments, **kwargs).output.splitlines()

    return run


def test_generate_adds_the_derived_key_to_a_new_file(
    run: Callable[..., list[str]], app: Flask, file: Path
) -> None:
    first, second, advice = run("generate")
    assert (
        first
        == f"{signing_keys.derive(app.config['SECRET_KEY'])['kid']}  HS256  signs and verifies"
    )
    assert second.endswith("  EdDSA  verifies")
    assert advice == "Reload the service to apply the change."
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("list") == [first, second]


def test_signing_keys_commands_print_no_secret(run: Callable[..., list[str]], file: Path) -> None:
    printed = "".join(run("generate") + run("generate", "--algorithm", "ES256") + run("list"))
    for jwk in json.loads(file.read_text())["keys"]:
        assert jwk.get("d", jwk.get("k")) not in printed


def test_generate_keeps_the_mode_of_the_file(run: Callable[..., list[str]], file: Path) -> None:
    run("generate")
    file.chmod(0o640)
    run("generate")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_retire_refuses_the_key_that_signs(run: Callable[..., list[str]], file: Path) -> None:
    signs = run("generate")[0].split()[0]
    assert "is the signing key; first select another" in run("retire", signs, fails=True)[-1]
    assert len(run("list")) == 2


@pytest.mark.parametrize("command", ["rotate", "retire"])
def test_rotate_and_retire_refuse_an_unknown_key(
    run: Callable[..., list[str]], command: str
) -> None:
    run("generate")
    assert run(command, "nobody", fails=True) == ["Error: There is no key nobody."]


def test_list_refuses_a_file_that_is_no_jwk_set(run: Callable[..., list[str]], file: Path) -> None:
    file.write_text("{}")
    file.chmod(0o600)
    assert "is no JWK Set" in run("list", fails=True)[-1]


def test_list_uses_the_file_of_the_settings_by_default(app: Flask, make_app: MakeApp) -> None:
    assert len(run_command(app, "signing-keys", "list").output.splitlines()) == len(
        signing_keys.KEY_TYPES
    )
    refused = run_command(make_app(jwt_keys=""), "signing-keys", "list", fails=True)
    assert refused.output == "Error: No key file: use --file, or set JWT_KEYS.\n"
