"""The order in which a request passes through the declarations of its view."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, Response
from sqlalchemy import Row, func

from app.core.resources.blueprint import Blueprint
from app.core.schemas.base import ResourceSchema, Schema
from app.core.security.authorization import authenticated, current_caller, no_auth
from app.extensions import db
from tests import rows
from tests.api import Api, Caller
from tests.conftest import MakeApp
from tests.contract.parcels.models import Parcel
from tests.contract.parcels.schemas import ParcelSchema


def blueprint(**options: Any) -> Blueprint:
    return Blueprint("shapes", __name__, url_prefix="/shapes", description="Shapes.", **options)


def view() -> Callable[[], Any]:
    """A view that no test has decorated."""

    def read_shape() -> Any:
        """Read a shape."""
        return ()

    return read_shape


@pytest.mark.parametrize("documented", [True, False])
def test_ended_session_is_401_before_the_view_runs(make_app: MakeApp, documented: bool) -> None:
    shapes, calls = blueprint(documented=documented), []

    @shapes.get("", access=authenticated)
    @shapes.response(204)
    def count_calls() -> Response:
        """Count the calls."""
        calls.append(1)
        return Response(status=204)

    api = Api(make_app(shapes))
    user = api.sign_up()
    api.get("shapes", by=user, status=204)
    api.post("auth/logout", by=user, status=204)
    response = api.get("shapes", by=user, status=401)
    assert response.mimetype == "application/problem+json"
    assert calls == [1]


def test_access_is_checked_before_media_type_and_query(make_app: MakeApp) -> None:
    shapes = blueprint()
    shapes.get("", access=authenticated)(shapes.response(200, Schema)(view()))
    api = Api(make_app(shapes))
    wrong = {"path": "shapes?unknown=1", "headers": {"Accept": "text/html"}}
    api.get(**wrong, status=401)
    user = api.sign_up()
    api.get(**wrong | {"headers": {**user.headers, **wrong["headers"]}}, status=406)
    api.get("shapes?unknown=1", by=user, status=422)


def test_error_of_a_wrong_return_value_names_the_view(make_app: MakeApp) -> None:
    shapes = blueprint()
    shapes.get("", access=no_auth)(shapes.returns(ResourceSchema)(view()))
    app = make_app(shapes)
    app.debug = True  # the error is raised, not answered
    with pytest.raises(AttributeError) as raised:
        Api(app).get("shapes")
    (note,) = raised.value.__notes__
    assert note.startswith("tests.core.resources.test_dispatch.view.<locals>.read_shape: docs/")


@pytest.mark.parametrize("value", ["red", func.lower("RED")])
def test_error_of_an_unknown_column_names_it_and_the_view(
    make_app: MakeApp, api: Api, user: Caller, value: Any
) -> None:
    parcels = Blueprint("painted", __name__, url_prefix="/painted", description="Parcels.")

    @parcels.post("/<uuid:parcel_id>/paint", access=authenticated)
    @parcels.action(ParcelSchema, Parcel.visible_to, audit="paint")
    def paint_parcel(parcel: Row[Any], parcel_id: UUID) -> dict[str, Any]:
        """Paint a parcel."""
        return {"colour": value}

    parcel = api.post("parcels", {"content": "Books"}, by=user, status=201).json["id"]
    app = make_app(parcels)
    app.debug = True
    with pytest.raises(LookupError, match="Parcel has no column 'colour'") as raised:
        Api(app).post(f"painted/{parcel}/paint", by=user, headers={"If-Match": "*"})
    (note,) = raised.value.__notes__
    assert "<locals>.paint_parcel: docs/resources.md, section 5" in note


def test_instance_that_the_view_has_added_to_the_session_is_not_inserted_twice(
    make_app: MakeApp, app: Flask, user: Caller
) -> None:
    parcels = Blueprint("added", __name__, url_prefix="/added", description="Parcels.")

    @parcels.post("", access=authenticated)
    @parcels.creates(ParcelSchema)
    def add_parcel() -> Parcel:
        """Add a parcel."""
        parcel = Parcel(owner_id=current_caller.id, content="Books")
        db.session.add(parcel)
        return parcel

    adding = make_app(parcels)
    adding.debug = True
    with pytest.raises(TypeError, match="Parcel: no instance, or it is in a session already"):
        Api(adding).post("added", by=user)
    assert rows.count(app, Parcel) == 0


def test_no_auth_route_ignores_invalid_credentials(make_app: MakeApp) -> None:
    shapes = blueprint()
    shapes.get("", access=no_auth)(shapes.response(204)(view()))
    api = Api(make_app(shapes))
    api.get("shapes", headers={"Authorization": "Bearer no.no.no"}, status=204)
