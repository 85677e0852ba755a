"""Signing keys: rotation, and checks of the key file."""

import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from app.auth import signing_keys
from app.config import ConfigError, Settings
from tests.api import Api, Caller, bearer, run_command
from tests.auth import login
from tests.conftest import MakeApp

JWK = dict[str, Any]


PUBLISHED = {
    "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "RFC 8037",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def log_in(api: Api, user: Caller) -> str:
    """An access token of a new login."""
    token: str = login.log_in(api, user.email, status=200).json["access_token"]
    return token


def kid_of(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


def test_key_rotation_needs_no_downtime(make_app: MakeApp, user: Caller, file: Path) -> None:
    """Each step is a command and a reload; tokens are valid before and after it."""

    def step(*arguments: str) -> Api:
        run_command(now.app, "signing-keys", *arguments, "--file", str(file))
        return Api(make_app(jwt_keys=str(file)))

    def verifies(api: Api, token: str, status: int = 200) -> None:
        api.get("users/me", headers=bearer(token), status=status)

    now = Api(make_app(jwt_keys=""))
    first = log_in(now, user)

    now = step("generate")
    assert kid_of(log_in(now, user)) == kid_of(first)
    verifies(now, first)
    [_, added] = json.loads(file.read_text())["keys"]

    before, now = now, step("rotate", added["kid"])
    second = log_in(now, user)
    assert kid_of(second) == added["kid"]
    for api in (before, now):  # also a process that was not reloaded yet
        verifies(api, first)
        verifies(api, second)

    now = step("retire", kid_of(first))
    verifies(now, first, status=401)
    verifies(now, second)


@pytest.mark.parametrize("algorithm", signing_keys.KEY_TYPES)
def test_each_algorithm_can_sign(
    make_app: MakeApp, user: Caller, file: Path, algorithm: str
) -> None:
    signing_keys.write_file(str(file), [signing_keys.generate(algorithm)])
    api = Api(make_app(jwt_keys=str(file)))
    token = log_in(api, user)
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    api.get("users/me", headers=bearer(token), status=200)


def changed(algorithm: str, **members: Any) -> JWK:
    return {k: v for k, v in (signing_keys.generate(algorithm) | members).items() if v is not ...}


def load_error(file: Path | str) -> str:
    with pytest.raises(ConfigError) as refused:
        signing_keys.load_keys(Settings(jwt_keys=str(file)))
    return str(refused.value)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620, 0o644, 0o777], ids=oct)
def test_key_file_open_to_others_is_refused(file: Path, mode: int) -> None:
    signing_keys.write_file(str(file), [signing_keys.generate("EdDSA")])
    file.chmod(mode)
    assert "is open to others; run chmod 600" in load_error(file)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640], ids=oct)
def test_key_file_for_owner_and_group_is_accepted(file: Path, mode: int) -> None:
    signing_keys.write_file(str(file), [signing_keys.generate("EdDSA")])
    file.chmod(mode)
    assert len(signing_keys.load_keys(Settings(jwt_keys=str(file)))) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ("", "is no JWK Set"),
        ("{}", "is no JWK Set"),
        ("[]", "is no JWK Set"),
        ('{"keys": []}', "is no JWK Set"),
        ('{"keys": {"kty": "oct"}}', "is no JWK Set"),
        ('{"keys": ["a"]}', "is no JWK Set"),
    ],
)
def test_key_file_that_is_no_jwk_set_is_refused(file: Path, text: str | None, reason: str) -> None:
    if text is not None:
        file.write_text(text)
        file.chmod(0o600)
    assert reason in load_error(file)


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        (changed("EdDSA", kid=...), "has no kid"),
        (changed("EdDSA", kid=""), "has no kid"),
        (changed("EdDSA", kid=7), "has no kid"),
        (changed("EdDSA", alg=...), "is not for one of HS256, EdDSA, ES256"),
        (changed("HS256", alg="none"), "is not for one of"),
        (changed("HS256", alg="HS512"), "is not for one of"),
        (changed("ES256", alg="HS256"), "is not of the kind that HS256 uses"),
        (changed("HS256", alg="ES256"), "is not of the kind that ES256 uses"),
        (changed("ES256", crv="P-384"), "is not of the kind that ES256 uses"),
        (changed("EdDSA", crv="Ed448"), "is not of the kind that EdDSA uses"),
        (changed("EdDSA", d=...), "has no private half"),
        (changed("HS256", k=""), "has no private half"),
        (changed("EdDSA", d="AAAA"), "is damaged"),
        (changed("EdDSA", x=signing_keys.generate("EdDSA")["x"]), "is damaged"),
        (changed("ES256", d=signing_keys.generate("ES256")["d"]), "is damaged"),
        (changed("HS256", k="c2VjcmV0"), "is weaker than 32 random bytes"),
        (changed("HS256", k="A" * 86), "is weaker than 32 random bytes"),
        (PUBLISHED, "is an example that was published"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_key_file_with_an_unsafe_key_is_refused_without_its_secret(
    file: Path, jwk: JWK, reason: str
) -> None:
    signing_keys.write_file(str(file), [signing_keys.generate("EdDSA"), jwk])
    refusal = load_error(file)
    assert f"JWT_KEYS: key 2 {reason}" in refusal
    for secret in (jwk.get("k"), jwk.get("d")):
        assert not secret or secret not in refusal


def test_key_file_with_one_kid_for_two_keys_is_refused(file: Path) -> None:
    signing_keys.write_file(str(file), [changed("EdDSA", kid="a"), changed("HS256", kid="a")])
    assert "two keys have the same kid" in load_error(file)


def test_unreadable_key_file_stops_the_start(make_app: MakeApp, file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        make_app(jwt_keys=str(file))
