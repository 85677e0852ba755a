"""API keys: scopes, expiry, storage."""

from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask

from app.auth.models import ApiKey
from app.core.database.types import now
from app.core.resources.idempotency import IdempotencyKey
from app.users.models import User
from tests import rows
from tests.api import Api, Caller

MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"}


def make(api: Api, by: Caller, *scopes: str, status: int = 201, **members) -> dict:
    body = {"name": "Nightly import", "scopes": list(scopes), **members}
    return api.post("auth/api-keys", body, by=by, status=status).json


def bearer(key: dict) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['secret']}"}


def test_secret_of_a_key_is_shown_once_and_stored_as_a_hash(
    app: Flask, api: Api, user: Caller
) -> None:
    key = make(api, user, "parcels:own")
    assert key["secret"].startswith(key["prefix"])
    listed = api.get("auth/api-keys", by=user, status=200).json["items"]
    assert [each["id"] for each in listed] == [key["id"]]
    read = api.get(f"auth/api-keys/{key['id']}", by=user, status=200)
    for shown in (str(listed), read.text):
        assert key["secret"] not in shown
        assert "secret" not in shown
    (kept,) = rows.read(app, ApiKey.secret_hash)
    assert len(kept) == 32


def test_key_is_limited_to_its_scopes(api: Api, editor: Caller) -> None:
    key = make(api, editor, "articles:write")
    created = api.post("articles", MUG, headers=bearer(key), status=201)
    assert created.json["sku"] == "MUG-1"
    api.get("parcels", headers=bearer(key), status=403)


def test_key_reads_the_rows_of_its_owner_only(api: Api, user: Caller, other: Caller) -> None:
    mine = api.post("parcels", {"content": "Mine"}, by=user, status=201).headers["Location"]
    key, foreign = make(api, user, "parcels:own"), make(api, other, "parcels:own")
    api.get(mine, headers=bearer(key), status=200)
    api.get(mine, headers=bearer(foreign), status=404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "users/me"),
        ("DELETE", "users/me"),
        ("PUT", "users/me/password"),
        ("GET", "auth/sessions"),
        ("POST", "auth/api-keys"),
        ("POST", "auth/logout"),
    ],
)
def test_keys_cannot_manage_accounts_and_credentials(
    api: Api, admin: Caller, method: str, path: str
) -> None:
    key = make(api, admin, "parcels:own", "articles:write", "users:manage")
    refused = api.call(method, path, headers=bearer(key), status=403)
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


def test_scope_that_the_owner_lacks_is_422(api: Api, user: Caller) -> None:
    refused = make(api, user, "parcels:own", "users:manage", status=422)
    assert [place["pointer"] for place in refused["errors"]] == ["#/scopes"]


@pytest.mark.parametrize("scopes", [[], ["everything"], "parcels:own", [1], None])
def test_scopes_that_are_no_list_of_permissions_are_422(
    api: Api, user: Caller, scopes: object
) -> None:
    body = {"name": "Wrong", "scopes": scopes}
    api.post("auth/api-keys", body, by=user, status=422)


def test_key_loses_permissions_that_its_owner_loses(
    api: Api, editor: Caller, admin: Caller
) -> None:
    key = make(api, editor, "articles:write")
    api.patch(f"users/{editor.id}", {"role": "user"}, by=admin, status=200)
    api.post("articles", MUG, headers=bearer(key), status=403)


@pytest.mark.parametrize("end", ["revoked", "expired", "owner disabled", "owner deleted"])
def test_revoked_or_expired_key_is_401_at_once(
    app: Flask, api: Api, user: Caller, admin: Caller, end: str
) -> None:
    key = make(api, user, "parcels:own", expires_at="2099-01-01T00:00:00Z")
    api.get("parcels", headers=bearer(key), status=200)
    match end:
        case "revoked":
            api.delete(f"auth/api-keys/{key['id']}", by=user, status=204)
        case "expired":
            rows.change(app, ApiKey, UUID(key["id"]), expires_at=now() - timedelta(seconds=1))
        case "owner disabled":
            api.patch(f"users/{user.id}", {"is_active": False}, by=admin, status=200)
        case "owner deleted":
            rows.remove(app, User, id=user.id)
    refused = api.get("parcels", headers=bearer(key), status=401)
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


@pytest.mark.parametrize("spoilt", ["{0:.60}AAAA", "{0:.20}", "key_", "key_\xfc", "key_{0}"])
def test_invalid_key_is_401(api: Api, user: Caller, spoilt: str) -> None:
    secret = spoilt.format(make(api, user, "parcels:own")["secret"])
    api.get("parcels", headers={"Authorization": f"Bearer {secret}"}, status=401)


def test_last_use_of_a_key_is_recorded_at_most_once_a_minute(
    app: Flask, api: Api, user: Caller
) -> None:
    key = make(api, user, "parcels:own")
    assert key["last_used_at"] is None
    api.get("parcels", headers=bearer(key), status=200)
    (first,) = rows.read(app, ApiKey.last_used_at)
    api.get("parcels", headers=bearer(key), status=200)
    assert rows.read(app, ApiKey.last_used_at) == [first]
    rows.change(app, ApiKey, UUID(key["id"]), last_used_at=first - timedelta(minutes=2))
    api.get("parcels", headers=bearer(key), status=200)
    assert rows.read(app, ApiKey.last_used_at)[0] >= first


def test_etag_of_the_key_list_changes_when_a_key_was_used(api: Api, user: Caller) -> None:
    key = make(api, user, "parcels:own")
    tag = api.get("auth/api-keys", by=user, status=200).headers["ETag"]
    api.get("auth/api-keys", by=user, headers={"If-None-Match": tag}, status=304)
    api.get("parcels", headers=bearer(key), status=200)
    used = api.get("auth/api-keys", by=user, headers={"If-None-Match": tag}, status=200)
    assert used.json["items"][0]["last_used_at"]


def test_etag_of_a_key_changes_when_it_was_used_and_if_match_reads_its_version(
    api: Api, user: Caller
) -> None:
    key = make(api, user, "parcels:own")
    path = f"auth/api-keys/{key['id']}"
    tag = api.get(path, by=user, status=200).headers["ETag"]
    api.get(path, by=user, headers={"If-None-Match": tag}, status=304)
    api.get("parcels", headers=bearer(key), status=200)
    used = api.get(path, by=user, headers={"If-None-Match": tag}, status=200)
    assert used.json["last_used_at"]
    api.get(path, by=user, headers={"If-None-Match": used.headers["ETag"]}, status=304)
    api.delete(path, by=user, etag='"2' + tag[2:], status=412)
    api.delete(path, by=user, etag=tag, status=204)


def test_retried_creation_returns_the_same_secret_from_encrypted_storage(
    app: Flask, api: Api, user: Caller
) -> None:
    body = {"name": "Retried", "scopes": ["parcels:own"]}
    headers = {"Idempotency-Key": "key-1"}
    first = api.post("auth/api-keys", body, by=user, headers=headers, status=201)
    again = api.post("auth/api-keys", body, by=user, headers=headers, status=201)
    assert again.data == first.data
    (kept,) = rows.read(app, IdempotencyKey.body)
    assert first.json["secret"].encode() not in kept


# begin audit
def test_key_is_audited_without_its_secret(api: Api, user: Caller, admin: Caller) -> None:
    key = make(api, user, "parcels:own")
    audited = api.get(f"audit-events?resource_id={key['id']}", by=admin, status=200)
    assert audited.json["items"][0]["after"]["name"] == "Nightly import"
    assert key["secret"] not in audited.text


# end audit
