"""The JWK Set of public keys (RFC 7517)."""

import json
from pathlib import Path

import jwt
import pytest
from flask import Flask

from app.auth import signing_keys
from app.auth.jwks import MAX_AGE
from tests.api import Api, Caller
from tests.auth.login import log_in
from tests.conftest import MakeApp


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_jwks_has_the_public_members_of_public_keys_only(api: Api, app: Flask) -> None:
    answer = api.get("/.well-known/jwks.json", status=200)
    assert answer.content_type == "application/jwk-set+json"
    published = {key["alg"]: key for key in answer.json["keys"]}
    assert published["EdDSA"].keys() == {"kty", "crv", "x", "kid", "alg", "use"}
    assert published["ES256"].keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert published.keys() == {"EdDSA", "ES256"}
    for private in json.loads(Path(app.config["JWT_KEYS"]).read_text())["keys"]:
        assert private.get("d", private.get("k")) not in answer.text


def test_jwks_is_cacheable(api: Api) -> None:
    answer = api.get("/.well-known/jwks.json", status=200)
    assert answer.headers["Cache-Control"] == f"public, max-age={MAX_AGE}"
    condition = {"If-None-Match": answer.headers["ETag"]}
    api.get("/.well-known/jwks.json", headers=condition, status=304)


def test_jwks_is_404_without_public_keys(make_app: MakeApp, file: Path) -> None:
    signing_keys.write_file(str(file), [signing_keys.generate("HS256")])
    for name in ("", str(file)):
        answer = Api(make_app(jwt_keys=name)).get("/.well-known/jwks.json", status=404)
        assert answer.json["type"] == "/problems/not-found"


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_jwks_verifies_issued_tokens(
    make_app: MakeApp, user: Caller, file: Path, algorithm: str
) -> None:
    signing_keys.write_file(str(file), [signing_keys.generate(algorithm)])
    api = Api(make_app(jwt_keys=str(file)))
    token = log_in(api, user.email, status=200).json["access_token"]
    published = jwt.PyJWKSet(api.get("/.well-known/jwks.json", status=200).json["keys"])
    audience = api.app.config["TOKEN_AUDIENCE"]
    claims = jwt.decode(
        token, published[jwt.get_unverified_header(token)["kid"]], audience=audience
    )
    assert claims["sub"] == str(user.id)
