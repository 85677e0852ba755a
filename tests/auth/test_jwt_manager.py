"""`@jwt_required()` of flask-jwt-extended on plain Flask views."""

from typing import Any

import pytest
from flask import Blueprint as PlainBlueprint
from flask import Flask, jsonify
from flask_jwt_extended import current_user, decode_token, get_jwt_identity, jwt_required
from jwt.exceptions import InvalidTokenError
from werkzeug.test import TestResponse

from app.auth.jwt_manager import LEEWAY
from app.auth.models import Session
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from app.users.models import User
from tests import rows
from tests.api import Api, Caller, bearer
from tests.auth.forged_tokens import ATTACKS, BAD_CLAIMS, Forge, seconds
from tests.conftest import MakeApp

INVALID = 'Bearer realm="api", error="invalid_token"'


@pytest.fixture
def plain(make_app: MakeApp) -> Api:
    """An application with plain views."""
    views = PlainBlueprint("plain", __name__)
    declared_views = Blueprint("declared", __name__, documented=False)

    @views.get("/identity")
    @jwt_required()
    def identity() -> object:
        return jsonify(identity=get_jwt_identity(), email=current_user.email)

    @views.post("/change")
    @jwt_required()
    def change() -> object:
        return jsonify(changed=True)

    @views.get("/optional")
    @jwt_required(optional=True)
    def optional() -> object:
        return jsonify(identity=get_jwt_identity())

    @views.get("/fresh")
    @jwt_required(fresh=True)
    def fresh() -> object:
        return jsonify(fresh=True)

    @declared_views.get("/declared", access=public)
    @jwt_required()
    def declared() -> object:
        """The caller, by both mechanisms."""
        return jsonify(identity=get_jwt_identity())

    app = make_app()
    app.register_blueprint(views)
    app.register_blueprint(declared_views)
    return Api(app)


@pytest.fixture
def forge(plain: Api, user: Caller) -> Forge:
    return Forge(plain.app, user)


def assert_rejected(response: TestResponse, challenge: str = INVALID) -> None:
    assert response.status_code == 401
    assert response.content_type == "application/problem+json"
    assert response.json["type"] == "/problems/unauthorized"
    assert response.headers.getlist("WWW-Authenticate") == [challenge]


def test_jwt_required_provides_identity_and_user_of_a_valid_token(plain: Api, user: Caller) -> None:
    response = plain.get("/identity", by=user, status=200)
    assert response.json == {"identity": str(user.id), "email": user.email}


@pytest.mark.parametrize("path", ["/identity", "/declared", "/optional"])
def test_jwt_required_rejects_the_token_of_an_ended_session(
    plain: Api, app: Flask, user: Caller, path: str
) -> None:
    plain.get(path, by=user, status=200)
    rows.remove(app, Session, owner_id=user.id)
    assert_rejected(plain.get(path, by=user))


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "editor"}], ids=str)
def test_jwt_required_rejects_the_token_of_a_changed_user(
    plain: Api, app: Flask, user: Caller, change: dict[str, Any]
) -> None:
    rows.change(app, User, user.id, **change)
    assert_rejected(plain.get("/identity", by=user))


@pytest.mark.parametrize("path", ["/identity", "/declared"])
def test_jwt_required_without_token_responds_with_a_challenge_without_error(
    plain: Api, path: str
) -> None:
    assert_rejected(plain.get(path), 'Bearer realm="api"')


def test_jwt_required_optional_admits_requests_without_token(plain: Api, user: Caller) -> None:
    assert plain.get("/optional", status=200).json == {"identity": None}
    assert plain.get("/optional", by=user, status=200).json == {"identity": str(user.id)}


def test_jwt_required_rejects_an_expired_token(plain: Api, forge: Forge) -> None:
    token = forge.token(exp=seconds() - LEEWAY - 1)
    assert_rejected(plain.get("/identity", headers=bearer(token)))


def test_jwt_required_fresh_rejects_a_token_that_is_not_fresh(plain: Api, user: Caller) -> None:
    challenge = 'Bearer realm="api", error="insufficient_user_authentication"'
    assert_rejected(plain.get("/fresh", by=user), challenge)


def test_jwt_required_rejects_an_api_key(plain: Api, user: Caller) -> None:
    data = {"name": "Test", "scopes": ["parcels:own"]}
    key = plain.post("auth/api-keys", data, by=user, status=201).json["secret"]
    assert_rejected(plain.get("/identity", headers=bearer(key)))


@pytest.mark.database_independent
@pytest.mark.parametrize("path", ["/identity", "/declared"])
def test_jwt_required_rejects_forged_tokens(plain: Api, forge: Forge, path: str) -> None:
    for name, make in (ATTACKS | BAD_CLAIMS).items():
        response = plain.get(path, headers=bearer(make(forge)))
        challenges = response.headers.getlist("WWW-Authenticate")
        assert (response.status_code, challenges) == (401, [INVALID]), name


def test_jwt_required_checks_the_csrf_token_of_a_request_with_cookies(
    plain: Api, user: Caller
) -> None:
    client = plain.app.test_client()
    token = user.headers["Authorization"].split()[1]
    client.set_cookie("__Host-access_token", token)
    assert client.get("/identity").json["identity"] == str(user.id)
    assert client.post("/change").status_code == 403


@pytest.mark.database_independent
@pytest.mark.parametrize("change", [{"kid": "unknown"}, {"typ": "JWT"}, {"jku": "https://x.test"}])
def test_decode_token_rejects_headers_that_the_service_does_not_write(
    plain: Api, forge: Forge, change: dict[str, str]
) -> None:
    with plain.app.app_context():
        assert decode_token(forge.token())["sub"] == forge.claims["sub"]
        with pytest.raises(InvalidTokenError):
            decode_token(forge.token(headers=change))
