"""Keys derived from SECRET_KEY, and signatures made with them."""

import ast
from pathlib import Path

import pytest
from flask import Flask

from app.core.security import keys
from app.core.security.keys import derive_key, hkdf_sha256
from app.core.security.signing import sign, verify
from tests.conftest import MakeApp

APP = Path(keys.__file__).parents[2]


def test_key_of_a_purpose_is_hkdf_sha256_without_salt() -> None:
    """Expected: `openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt key:… -kdfopt info:…`."""
    derived = hkdf_sha256("not a secret, but long enough for tests", "cursors")
    assert derived.hex() == "d6174e283b7b19e8e303796bf5e5946dfa5e169e379bc3ce86b80a903585848a"


def test_keys_differ_by_purpose_and_by_secret(app: Flask, make_app: MakeApp) -> None:
    with app.app_context():
        first, second = derive_key("first"), derive_key("second")
        assert derive_key("first") == first
    with make_app(secret_key="another secret, also long enough").app_context():
        third = derive_key("first")
    assert len({first, second, third}) == 3
    assert {len(key) for key in (first, second, third)} == {32}


def test_key_is_derived_once_per_application(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.app_context():
        key = derive_key("once")
    monkeypatch.setattr(keys, "hkdf_sha256", None)
    with app.app_context():
        assert derive_key("once") == key


@pytest.mark.parametrize("size", [16, 32])
def test_signature_is_valid_for_its_purpose_and_data_only(app: Flask, size: int) -> None:
    with app.app_context():
        signature = sign("purpose", b"data", size=size)
        assert len(signature) == size
        assert verify("purpose", b"data", signature, size=size)
        assert not verify("other", b"data", signature, size=size)
        assert not verify("purpose", b"Data", signature, size=size)


@pytest.mark.parametrize("length", [0, 1, 15, 31, 33])
def test_signature_of_another_length_is_invalid(app: Flask, length: int) -> None:
    with app.app_context():
        signature = (sign("purpose", b"data") + b"\0")[:length]
        assert not verify("purpose", b"data", signature)
        assert not verify("purpose", b"data", signature, size=16)


def test_secret_key_is_read_in_one_place() -> None:
    """Everything else derives its key, so that no two uses share one."""
    readers = {
        path.relative_to(APP).as_posix()
        for path in APP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == "SECRET_KEY"
    }
    assert readers == {"core/security/keys.py", "auth/commands.py"}
