"""Violated constraints, wrong SQL: the response names a member or nothing."""

import io
from contextlib import redirect_stdout
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import authenticated, current_caller, public
from app.extensions import db
from tests.api import Api, Caller, error_locations
from tests.conftest import Lines, MakeApp
from tests.core.web.database_faults import MUG
from tests.core.web.problems import check_problem, fail
from tests.errands.models import Errand
from tests.errands.schemas import ErrandSchema


@pytest.fixture
def mug(api: Api, editor: Caller) -> str:
    """The path of a mug for 12.50 EUR."""
    return str(api.post("articles", MUG, by=editor, status=201).headers["Location"])


@pytest.mark.parametrize(
    ("change", "slug", "pointer"),
    [
        ({"sku": "taken"}, "conflict", "#/sku"),
        ({"sku": "TAKEN"}, "conflict", "#/sku"),
        ({"price": "12.501"}, "validation-error", "#/price"),
        ({"currency": "JPY"}, "validation-error", "#/price"),
    ],
)
def test_violated_constraint_is_a_problem_of_its_member(
    api: Api, editor: Caller, mug: str, change: dict[str, str], slug: str, pointer: str
) -> None:
    api.post("articles", MUG | {"sku": "Taken"}, by=editor, status=201)
    before = api.get(mug).json
    response = api.patch(mug, change, by=editor)
    check_problem(response, slug)
    assert error_locations(response) == {pointer}
    assert api.get(mug).json == before


def test_registered_email_address_is_a_conflict_without_the_address(api: Api, user: Caller) -> None:
    body = {"email": user.email, "name": "Ada", "password": "a long enough password"}
    response = api.post("users", body)
    check_problem(response, "conflict")
    assert error_locations(response) == {"#/email"}
    assert user.email not in response.text


def test_internal_constraint_is_a_conflict_without_details(make_app: MakeApp, api: Api) -> None:
    response = fail(make_app, **{**MUG, "price": 1, "stock": -1})
    assert "errors" not in check_problem(response, "conflict")
    for word in ("articles", "stock", "constraint"):
        assert word not in response.text
    assert api.get("articles").json["items"] == []


def test_column_without_value_is_500_and_logged_with_its_name(
    output: io.StringIO, lines: Lines, make_app: MakeApp, api: Api, user: Caller
) -> None:
    wrong = Blueprint("wrong", __name__, url_prefix="/wrong", description="Sets no title.")

    @wrong.post("", access=authenticated)
    @wrong.creates(ErrandSchema)
    def create_untitled() -> Errand:
        """Create an errand."""
        return Errand(owner_id=current_caller.id)

    @wrong.post("/batch", access=authenticated)
    @wrong.batch(ErrandSchema)
    def batch_untitled(data: dict[str, Any]) -> Batch:
        """Create errands."""
        return Batch(data["items"], lambda _: create_untitled(), _unused, _unused)

    batch = {"items": [{"op": "create", "value": {"title": "Sweep"}}]}
    with redirect_stdout(output):
        wrong_api = Api(make_app(wrong, log_level="ERROR"))
        check_problem(wrong_api.post("wrong", by=user), "internal-error")
        check_problem(wrong_api.post("wrong/batch", batch, by=user), "internal-error")
    logged = [(line["event"], line["column"], line["level"]) for line in lines()]
    assert logged == [("database_error", "errands.title", "error")] * 2
    assert api.get("errands", by=user).json["items"] == []


def _unused(*_: Any) -> Any:
    """Not called: nothing is updated or deleted."""


def test_wrong_sql_is_500_and_logged_as_an_error(
    output: io.StringIO, lines: Lines, make_app: MakeApp
) -> None:
    wrong = Blueprint("wrong", __name__, url_prefix="/wrong", description="Has a defect.")

    @wrong.get("/<path:name>", access=public)
    @wrong.response(204)
    def read(name: str) -> None:
        """Fail."""
        db.session.execute(text(f"SELECT name FROM {name}"))

    with redirect_stdout(output):
        api = Api(make_app(wrong, log_level="ERROR"))
        check_problem(api.get("wrong/no_such_table"), "internal-error")
    (line,) = lines()
    assert (line["event"], line["level"]) == ("database_error", "error")
    assert "no_such_table" in line["exception"]


def test_failed_write_returns_its_connection(app: Flask, api: Api, editor: Caller) -> None:
    api.post("articles", MUG, by=editor, status=201)
    api.post("articles", MUG, by=editor, status=409)
    with app.app_context():
        assert db.engine.pool.checkedout() == 0
    api.post("articles", MUG | {"sku": "MUG-2"}, by=editor, status=201)
