"""Commands: `flask seed`, `flask users`."""

from decimal import Decimal
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from app.extensions import db
from app.products import seed
from app.products.models import Product
from app.tasks.models import Task
from app.users.models import User
from app.users.passwords import verify_password
from tests import rows
from tests.api import PASSWORD, Api, Caller

MEMBERS = ("sku", "name", "description", "category", "price", "currency", "stock")


def flask(app: Flask, *arguments: str, fails: bool = False, **kwargs: Any) -> Result:
    """What a command printed; that it succeeded, or said why not in one line, is checked."""
    result = app.test_cli_runner().invoke(args=arguments, **kwargs)
    if fails:
        assert result.exit_code == 1, result.output
        assert result.output.splitlines()[-1].startswith("Error: ")
    else:
        assert result.exit_code == 0, result.output
    return result


def catalogue(app: Flask) -> list[tuple[Any, ...]]:
    """All that a product says of itself, of all of them."""
    columns = [getattr(Product, name) for name in MEMBERS]
    with app.app_context():
        return [tuple(row) for row in db.session.execute(select(*columns).order_by(Product.sku))]


def test_seed_creates_the_requested_number_of_products(app: Flask) -> None:
    flask(app, "seed", "--products", "25")
    assert rows.count(app, Product) == 25


def test_seeded_products_are_valid(api: Api, app: Flask, editor: Caller) -> None:
    flask(app, "seed", "--products", "25")
    for item in api.get("products?limit=100", status=200).json["items"]:
        given = {name: item[name] for name in MEMBERS}
        api.patch(f"products/{item['id']}", given, by=editor, status=200)


def test_seeded_products_are_deterministic(app: Flask) -> None:
    flask(app, "seed", "--products", "3")
    assert [(name, price, stock) for _, name, _, _, price, _, stock in catalogue(app)] == [
        ("White lamp 0", Decimal("14.26"), 65),
        ("Yellow kettle 1", Decimal("21.67"), 15),
        ("Blue mug 2", Decimal("28.81"), 21),
    ]


def test_repeated_seed_changes_nothing(app: Flask) -> None:
    flask(app, "seed", "--products", "10")
    once, ids = catalogue(app), rows.read(app, Product.id)
    flask(app, "seed", "--products", "10")
    assert catalogue(app) == once
    assert rows.read(app, Product.id) == ids


def test_seed_adds_missing_products(app: Flask) -> None:
    flask(app, "seed", "--products", "20")
    whole = catalogue(app)
    rows.remove(app, Product, sku="SEED-0000003")
    flask(app, "seed", "--products", "10")
    flask(app, "seed", "--products", "20")
    assert catalogue(app) == whole


def test_seed_keeps_changed_products(app: Flask) -> None:
    flask(app, "seed", "--products", "2")
    [mug] = rows.read(app, Product.id, sku="SEED-0000001")
    rows.change(app, Product, mug, sku="seed-0000001", name="My own")
    flask(app, "seed", "--products", "4")
    assert rows.read(app, Product.name, id=mug) == ["My own"]
    assert rows.count(app, Product) == 4


def test_seed_in_batches_creates_the_same_products(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    flask(app, "seed", "--products", "7")
    at_a_time = catalogue(app)
    rows.remove(app, Product)
    monkeypatch.setattr(seed, "BATCH_ROWS", 3)
    flask(app, "seed", "--products", "7")
    assert catalogue(app) == at_a_time


def test_seed_invalidates_the_product_summary(api: Api, app: Flask) -> None:
    assert api.get("products/summary").json["items"] == []
    flask(app, "seed", "--products", "5")
    counts = [item["count"] for item in api.get("products/summary").json["items"]]
    assert sum(counts) == 5


def test_seed_without_options_creates_nothing(app: Flask) -> None:
    flask(app, "seed")
    assert rows.count(app, Product) == rows.count(app, User) == 0


def test_demo_seed_prints_a_working_login(api: Api, app: Flask) -> None:
    printed = flask(app, "seed", "--demo").output
    line = next(x for x in printed.splitlines() if x.startswith("Demo login: "))
    email, password = line.removeprefix("Demo login: ").split(" / ")
    credentials = {"email": email, "password": password}
    token = api.post("auth/login", credentials, status=200).json["access_token"]
    tasks = api.get("tasks", headers={"Authorization": f"Bearer {token}"}, status=200)
    assert len(tasks.json["items"]) == 3


def test_demo_seed_creates_fifty_products_or_the_requested_number(app: Flask) -> None:
    flask(app, "seed", "--demo")
    assert rows.count(app, Product) == 50
    flask(app, "seed", "--demo", "--products", "60")
    assert rows.count(app, Product) == 60


def test_repeated_demo_seed_changes_nothing(app: Flask) -> None:
    first = flask(app, "seed", "--demo").output
    second = flask(app, "seed", "--demo").output
    assert first.splitlines()[0] == second.splitlines()[0]
    assert (rows.count(app, User), rows.count(app, Task)) == (1, 3)


def test_demo_seed_is_refused_in_production(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as there:
        there.setitem(app.config, "APP_ENV", "production")
        refused = flask(app, "seed", "--demo", fails=True)
    assert "no demo login in production" in refused.output
    assert rows.count(app, User) == rows.count(app, Product) == 0


def test_create_admin_creates_an_admin_who_can_log_in(api: Api, app: Flask) -> None:
    arguments = ("users", "create-admin", "Root@Example.com", "--password", PASSWORD)
    printed = flask(app, *arguments, "--name", "Root").output
    assert printed == "root@example.com is an admin.\n"
    credentials = {"email": "root@example.com", "password": PASSWORD}
    token = api.post("auth/login", credentials, status=200).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    [admin] = api.get("users", headers=headers, status=200).json["items"]
    assert (admin["name"], admin["role"]) == ("Root", "admin")


def test_create_admin_writes_an_audit_event(api: Api, app: Flask, admin: Caller) -> None:
    flask(app, "users", "create-admin", "root@example.com", "--password", PASSWORD)
    [event] = api.get("audit-events?resource=users", by=admin, status=200).json["items"]
    assert (event["action"], event["actor_id"]) == ("create", None)
    assert event["after"] == api.get(f"users/{event['resource_id']}", by=admin).json


def test_create_admin_prompts_for_the_password_without_echo(app: Flask) -> None:
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    printed = flask(app, "users", "create-admin", "root@example.com", input=typed).output
    assert PASSWORD not in printed
    [stored] = rows.read(app, User.password_hash)
    assert verify_password(stored, PASSWORD)


def test_create_admin_reads_the_password_from_the_environment(app: Flask) -> None:
    environment = {"ADMIN_PASSWORD": PASSWORD}
    flask(app, "users", "create-admin", "root@example.com", env=environment)
    [stored] = rows.read(app, User.password_hash)
    assert verify_password(stored, PASSWORD)


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        ("root@example.com", "fourteen chars", "at least 15 characters"),
        ("root", PASSWORD, "Not an e-mail address"),
        ("root@localhost", PASSWORD, "Not an e-mail address"),
        ("", PASSWORD, "Not an e-mail address"),
    ],
)
def test_create_admin_refuses_short_password_and_invalid_email(
    app: Flask, email: str, password: str, reason: str
) -> None:
    arguments = ("users", "create-admin", email, "--password", password)
    refused = flask(app, *arguments, fails=True)
    assert reason in refused.output
    assert rows.count(app, User) == 0


def test_create_admin_refuses_a_registered_email(app: Flask, user: Caller) -> None:
    arguments = ("users", "create-admin", user.email.upper(), "--password", PASSWORD)
    refused = flask(app, *arguments, fails=True)
    assert f"{user.email} is registered already" in refused.output
    assert rows.read(app, User.role, id=user.id) == ["user"]


@pytest.mark.parametrize("role", ["user", "editor", "admin"])
def test_set_role_changes_the_role(app: Flask, user: Caller, role: str) -> None:
    printed = flask(app, "users", "set-role", user.email.upper(), role).output
    assert printed == f"{user.email} has the role {role}.\n"
    assert rows.read(app, User.role, id=user.id) == [role]


def test_set_role_changes_the_etag_of_the_account(
    api: Api, app: Flask, user: Caller, admin: Caller
) -> None:
    path = f"users/{user.id}"
    before = api.get(path, by=admin).headers["ETag"]
    flask(app, "users", "set-role", user.email, "editor")
    api.patch(path, {"is_active": False}, etag=before, by=admin, status=412)


def test_set_role_writes_an_audit_event(api: Api, app: Flask, user: Caller, admin: Caller) -> None:
    flask(app, "users", "set-role", user.email, "editor")
    [event] = api.get(f"audit-events?resource_id={user.id}", by=admin, status=200).json["items"]
    assert (event["action"], event["actor_id"]) == ("update", None)
    assert (event["before"], event["after"]) == ({"role": "user"}, {"role": "editor"})


@pytest.mark.parametrize("email", ["nobody@example.com", "nobody"])
def test_set_role_refuses_an_unknown_email(app: Flask, email: str) -> None:
    flask(app, "users", "set-role", email, "editor", fails=True)


def test_set_role_refuses_an_unknown_role(app: Flask, user: Caller) -> None:
    refused = app.test_cli_runner().invoke(args=["users", "set-role", user.email, "root"])
    assert refused.exit_code == 2
    assert rows.read(app, User.role, id=user.id) == ["user"]
