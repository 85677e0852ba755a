"""`flask users`: create an admin, change a role."""

import pytest
from flask import Flask

from app.users.models import User
from app.users.passwords import verify_password
from tests import rows
from tests.api import PASSWORD, Api, Caller, bearer, run_command


def test_create_admin_creates_an_admin_who_can_log_in(api: Api, app: Flask) -> None:
    arguments = ("users", "create-admin", "Root@Example.com", "--password", PASSWORD)
    printed = run_command(app, *arguments, "--name", "Root").output
    assert printed == "root@example.com is an admin.\n"
    credentials = {"email": "root@example.com", "password": PASSWORD}
    token = api.post("auth/login", credentials, status=200).json["access_token"]
    [admin] = api.get("users", headers=bearer(token), status=200).json["items"]
    assert (admin["name"], admin["role"]) == ("Root", "admin")


# begin audit
def test_create_admin_writes_an_audit_event(api: Api, app: Flask, admin: Caller) -> None:
    run_command(app, "users", "create-admin", "root@example.com", "--password", PASSWORD)
    [event] = api.get("audit-events?resource=users", by=admin, status=200).json["items"]
    assert (event["action"], event["actor_id"]) == ("create", None)
    assert event["after"] == api.get(f"users/{event['resource_id']}", by=admin).json


# end audit
def test_create_admin_prompts_for_the_password_without_echo(app: Flask) -> None:
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    printed = run_command(app, "users", "create-admin", "root@example.com", input=typed).output
    assert PASSWORD not in printed
    [stored] = rows.read(app, User.password_hash)
    assert verify_password(stored, PASSWORD)


def test_create_admin_reads_the_password_from_the_environment(app: Flask) -> None:
    environment = {"ADMIN_PASSWORD": PASSWORD}
    run_command(app, "users", "create-admin", "root@example.com", env=environment)
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
    refused = run_command(app, *arguments, fails=True)
    assert reason in refused.output
    assert rows.count(app, User) == 0


def test_create_admin_refuses_a_registered_email(app: Flask, user: Caller) -> None:
    arguments = ("users", "create-admin", user.email.upper(), "--password", PASSWORD)
    refused = run_command(app, *arguments, fails=True)
    assert f"{user.email} is already registered" in refused.output
    assert rows.read(app, User.role, id=user.id) == ["user"]


@pytest.mark.parametrize("role", ["user", "editor", "admin"])
def test_set_role_changes_the_role(app: Flask, user: Caller, role: str) -> None:
    printed = run_command(app, "users", "set-role", user.email.upper(), role).output
    assert printed == f"{user.email} has the role {role}.\n"
    assert rows.read(app, User.role, id=user.id) == [role]


def test_set_role_changes_the_etag_of_the_account(
    api: Api, app: Flask, user: Caller, admin: Caller
) -> None:
    path = f"users/{user.id}"
    before = api.get(path, by=admin).headers["ETag"]
    run_command(app, "users", "set-role", user.email, "editor")
    api.patch(path, {"is_active": False}, etag=before, by=admin, status=412)


# begin audit
def test_set_role_writes_an_audit_event(api: Api, app: Flask, user: Caller, admin: Caller) -> None:
    run_command(app, "users", "set-role", user.email, "editor")
    [event] = api.get(f"audit-events?resource_id={user.id}", by=admin, status=200).json["items"]
    assert (event["action"], event["actor_id"]) == ("update", None)
    assert (event["before"], event["after"]) == ({"role": "user"}, {"role": "editor"})


# end audit
@pytest.mark.parametrize("email", ["nobody@example.com", "nobody"])
def test_set_role_refuses_an_unknown_email(app: Flask, email: str) -> None:
    run_command(app, "users", "set-role", email, "editor", fails=True)


def test_set_role_refuses_an_unknown_role(app: Flask, user: Caller) -> None:
    refused = app.test_cli_runner().invoke(args=["users", "set-role", user.email, "root"])
    assert refused.exit_code == 2
    assert rows.read(app, User.role, id=user.id) == ["user"]
