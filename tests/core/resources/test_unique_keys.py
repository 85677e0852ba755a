"""Unique keys over several columns: the `info` of the constraint describes the violation."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Index, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import OwnedMixin
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String
from app.core.security.authorization import authenticated, current_caller
from app.extensions import Base
from tests.api import Api, Caller, error_locations
from tests.conftest import MakeApp
from tests.features import own_metadata, own_tables


class OwnBase(Base):
    """Tables of this module."""

    __abstract__ = True
    metadata = own_metadata()


class Seat(OwnedMixin, OwnBase):
    """A seat in a row of a hall, which has one guest."""

    __tablename__ = "seats"
    __table_args__ = (
        UniqueConstraint(
            "hall", "place", info={"field": "place", "detail": "This place of the hall is taken."}
        ),
        Index(
            "uq_seats_guest_hall",
            "guest",
            "hall",
            unique=True,
            info={"field": "guest", "detail": "The guest has a seat in this hall."},
        ),
        UniqueConstraint(
            "code", info={"field": "code", "detail": "The code is used.", "problem": "conflict"}
        ),
        UniqueConstraint("ticket", info={"field": "ticket"}),
        UniqueConstraint("coat", info={"detail": "The hook is used."}),
    )

    hall: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)
    guest: Mapped[str] = mapped_column(Text)
    code: Mapped[str] = mapped_column(Text)
    ticket: Mapped[str | None] = mapped_column(Text)
    coat: Mapped[str | None] = mapped_column(Text)
    car: Mapped[str | None] = mapped_column(Text, unique=True)
    meal: Mapped[str | None] = mapped_column(Text)


Index("uq_seats_owner_id_meal", Seat.owner_id, func.lower(Seat.meal), unique=True)


class SeatSchema(ResourceSchema):
    """A seat."""

    hall = String(max_length=10, required=True, metadata={"example": "A"})
    place = String(max_length=10, required=True, metadata={"example": "A"})
    guest = String(max_length=10, required=True, metadata={"example": "A"})
    code = String(max_length=10, required=True, metadata={"example": "A"})
    ticket = String(max_length=10, allow_none=True, metadata={"example": "A"})
    coat = String(max_length=10, allow_none=True, metadata={"example": "A"})
    car = String(max_length=10, allow_none=True, metadata={"example": "A"})
    meal = String(max_length=10, allow_none=True, metadata={"example": "A"})


seats = Blueprint("seats", __name__, url_prefix="/seats")


@seats.post("", access=authenticated)
@seats.body(SeatSchema)
@seats.creates(SeatSchema)
def create_seat(data: dict[str, Any]) -> Seat:
    """Reserve a seat."""
    return Seat(owner_id=current_caller.id, **data)


@seats.patch("/<uuid:seat_id>", access=authenticated)
@seats.body(SeatSchema, partial=True)
@seats.updates(SeatSchema)
def update_seat(data: dict[str, Any], seat_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a reservation."""
    return Seat.visible_to(current_caller), data


@seats.delete("/<uuid:seat_id>", access=authenticated)
@seats.deletes(SeatSchema)
def delete_seat(seat_id: UUID) -> ScopedSelect:
    """Cancel a reservation."""
    return Seat.visible_to(current_caller)


@seats.post("/batch", access=authenticated)
@seats.batch(SeatSchema)
def batch_seats(data: dict[str, Any]) -> Batch:
    """Reserve seats."""
    return Batch(data["items"], create_seat, update_seat, delete_seat)


@pytest.fixture
def theatre(make_app: MakeApp) -> Iterator[Api]:
    """An application with seats."""
    app = make_app(seats)
    with own_tables(app, OwnBase.metadata):
        yield Api(app)


SEAT = {"hall": "A", "place": "1", "guest": "Ada", "code": "x"}
FREE = {"hall": "B", "place": "2", "guest": "Bob", "code": "y"}
TAKEN = [
    ({"hall": "A", "place": "1"}, "#/place", "This place of the hall is taken."),
    ({"hall": "A", "guest": "Ada"}, "#/guest", "The guest has a seat in this hall."),
    ({"code": "x"}, "#/code", "The code is used."),
]


@pytest.mark.parametrize(("values", "pointer", "detail"), TAKEN)
def test_violation_of_a_unique_key_names_the_member_of_its_info(
    theatre: Api, user: Caller, values: dict[str, str], pointer: str, detail: str
) -> None:
    theatre.post("seats", SEAT, by=user, status=201)
    path = theatre.post("seats", FREE, by=user, status=201).headers["Location"]
    item = {
        "op": "create",
        "value": {"hall": "C", "place": "3", "guest": "Cy", "code": "z"} | values,
    }
    for answer in (
        theatre.post("seats", item["value"], by=user, status=409),
        theatre.patch(path, values, by=user, status=409),
    ):
        assert error_locations(answer) == {pointer}
        assert answer.json["detail"] == detail
    batch = theatre.post("seats/batch", {"items": [item]}, by=user, status=422)
    assert error_locations(batch) == {pointer.replace("#", "#/items/0/value")}


def test_info_of_a_unique_key_may_have_a_member_without_a_sentence(
    theatre: Api, user: Caller
) -> None:
    theatre.post("seats", SEAT | {"ticket": "7"}, by=user, status=201)
    refused = theatre.post("seats", FREE | {"ticket": "7"}, by=user, status=409)
    assert error_locations(refused) == {"#/ticket"}


def test_info_of_a_unique_key_may_have_a_sentence_without_a_member(
    theatre: Api, user: Caller
) -> None:
    theatre.post("seats", SEAT | {"coat": "7"}, by=user, status=201)
    refused = theatre.post("seats", FREE | {"coat": "7"}, by=user, status=409)
    assert refused.json["detail"] == "The hook is used."


@pytest.mark.parametrize(("member", "again"), [("car", "vw"), ("meal", "VW")])
def test_violation_of_a_unique_key_without_info_names_its_only_column_of_the_row(
    theatre: Api, user: Caller, member: str, again: str
) -> None:
    theatre.post("seats", SEAT | {member: "vw"}, by=user, status=201)
    refused = theatre.post("seats", FREE | {member: again}, by=user, status=409)
    assert error_locations(refused) == {f"#/{member}"}
    assert refused.json["detail"] == "Another item has this value."
