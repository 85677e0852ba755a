"""`flask seed --demo`, `flask endpoints` and `flask shell`."""

import pytest
from flask import Flask

from app.extensions import db
from app.users.models import User
from examples.notes.models import Note
from tests import rows
from tests.api import Api, bearer, run_command
from tests.articles.models import Article


def test_demo_seed_prints_a_working_login(api: Api, app: Flask) -> None:
    printed = run_command(app, "seed", "--demo").output
    line = next(x for x in printed.splitlines() if x.startswith("Demo login: "))
    email, password = line.removeprefix("Demo login: ").split(" / ")
    credentials = {"email": email, "password": password}
    token = api.post("auth/login", credentials, status=200).json["access_token"]
    assert api.get("users/me", headers=bearer(token), status=200).json["email"] == email


def test_demo_seed_passes_options_to_the_features(app: Flask) -> None:
    run_command(app, "seed", "--demo")
    assert rows.count(app, Article) == 50
    run_command(app, "seed", "--demo", "--articles", "60")
    assert rows.count(app, Article) == 60


def test_repeated_demo_seed_changes_nothing(app: Flask) -> None:
    first = run_command(app, "seed", "--demo").output
    second = run_command(app, "seed", "--demo").output
    assert first.splitlines()[0] == second.splitlines()[0]
    assert (rows.count(app, User), rows.count(app, Article)) == (1, 50)


def test_demo_seed_is_refused_in_production(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as there:
        there.setitem(app.config, "APP_ENV", "production")
        refused = run_command(app, "seed", "--demo", fails=True)
    assert "--demo is not available in production" in refused.output
    assert rows.count(app, User) == rows.count(app, Article) == 0


def test_endpoints_lists_every_route_with_access_and_limit(app: Flask) -> None:
    printed = run_command(app, "endpoints").output.splitlines()
    rows_by_route = {tuple(line.split()[:2]): line.split()[2:] for line in printed}
    assert len(printed) == 1 + sum(
        len((rule.methods or set()) - {"HEAD", "OPTIONS"}) for rule in app.url_map.iter_rules()
    )
    item = ("PATCH", "/api/v1/parcels/<uuid:parcel_id>")
    assert rows_by_route[item] == ["parcels:own", "RATE_LIMIT", "200", "updates"]
    assert rows_by_route["POST", "/api/v1/auth/login"][:2] == ["no_auth", "LOGIN_RATE_LIMIT"]


def test_shell_has_the_database_and_the_models(app: Flask) -> None:
    context = app.make_shell_context()
    assert (context["db"], context["Note"], context["User"]) == (db, Note, User)
