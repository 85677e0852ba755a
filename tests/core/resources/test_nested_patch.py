"""PATCH merges the objects inside a resource (RFC 7396)."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import marshmallow as ma
import pytest
from sqlalchemy import JSON, Select, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import OwnedMixin
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Currency, DateTime, Integer, MoneyAmount, String
from app.core.security.authorization import authenticated, current_caller
from app.extensions import Base
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.conftest import MakeApp
from tests.contract.document import document_of
from tests.features import own_metadata, own_tables


class OwnBase(Base):
    """Tables of this module."""

    __abstract__ = True
    metadata = own_metadata()


class Customer(OwnedMixin, OwnBase):
    """A customer."""

    __tablename__ = "customers"

    name: Mapped[str] = mapped_column(Text)
    address: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    contacts: Mapped[list[Any]] = mapped_column(JSON, default=list)
    labels: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    secret: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


EXAMPLE = {"example": "x"}
ADDRESS = {"street": "Hauptplatz", "city": "Linz"}
PLACE = {"lat": 48, "lon": 14}
RENT = {"rent": "12.50", "currency": "EUR"}


class PlaceSchema(Schema):
    """Where a house is."""

    lat = Integer(min=-90, max=90, required=True)
    lon = Integer(min=-180, max=180, required=True)
    checked_by = String(max_length=20, dump_only=True, metadata=EXAMPLE)


class AddressSchema(Schema):
    """An address."""

    street = String(max_length=100, required=True, metadata=EXAMPLE)
    city = String(max_length=100, required=True, metadata=EXAMPLE)
    floor = Integer(min=0, max=200)
    note = String(max_length=100, allow_none=True, metadata=EXAMPLE)
    place = ma.fields.Nested(PlaceSchema)
    moved_in = DateTime()
    rent = MoneyAmount(currency="currency", metadata={"example": "12.50"})
    currency = Currency(metadata={"example": "EUR"})
    code = String(max_length=10, load_only=True, metadata=EXAMPLE)

    @ma.validates("street")
    def _check_street(self, street: str, data_key: str) -> None:
        if street.isdigit():
            raise ma.ValidationError("Not a street.")


class ContactSchema(Schema):
    """How a customer is reached."""

    kind = String(max_length=20, required=True, metadata=EXAMPLE)
    value = String(max_length=100, required=True, metadata=EXAMPLE)


class SecretSchema(Schema):
    """Questions of a hotline."""

    question = String(max_length=100, required=True, metadata=EXAMPLE)
    answer = String(max_length=100, required=True, metadata=EXAMPLE)


class CustomerSchema(ResourceSchema):
    """A customer."""

    name = String(max_length=100, required=True, metadata=EXAMPLE)
    address = ma.fields.Nested(AddressSchema, allow_none=True, metadata={"example": ADDRESS})
    contacts = ma.fields.List(ma.fields.Nested(ContactSchema), metadata={"example": []})
    labels = ma.fields.Dict(metadata={"example": {"a": 1}})
    secret = ma.fields.Nested(
        SecretSchema, load_only=True, metadata={"example": {"question": "A", "answer": "B"}}
    )


customers = Blueprint("customers", __name__, url_prefix="/customers")


@customers.post("", access=authenticated)
@customers.body(CustomerSchema)
@customers.creates(CustomerSchema)
def create_customer(data: dict[str, Any]) -> Customer:
    """Create a customer."""
    return Customer(owner_id=current_caller.id, **data)


@customers.get("/<uuid:customer_id>", access=authenticated)
@customers.returns(CustomerSchema)
def read_customer(customer_id: UUID) -> ScopedSelect:
    """Read a customer."""
    return Customer.visible_to(current_caller)


@customers.patch("/<uuid:customer_id>", access=authenticated)
@customers.body(CustomerSchema, partial=True)
@customers.updates(CustomerSchema)
def update_customer(data: dict[str, Any], customer_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a customer."""
    return Customer.visible_to(current_caller), data


@customers.post("/batch", access=authenticated)
@customers.batch(CustomerSchema)
def batch_customers(data: dict[str, Any]) -> Batch:
    """Create and change customers."""
    return Batch(data["items"], create_customer, update_customer, read_customer)


@pytest.fixture
def shop(make_app: MakeApp) -> Iterator[Api]:
    """An application with customers."""
    app = make_app(customers)
    with own_tables(app, OwnBase.metadata):
        yield Api(app)


def create(shop: Api, by: Caller, **members: Any) -> str:
    body = {"name": "Ada", **members}
    return str(shop.post("customers", body, by=by, status=201).headers["Location"])


MERGED = [
    (ADDRESS, {"city": "Graz"}, ADDRESS | {"city": "Graz"}),
    (ADDRESS, {}, ADDRESS),
    (ADDRESS | {"floor": 3}, {"floor": None}, ADDRESS),
    (ADDRESS | {"note": "x"}, {"note": None}, ADDRESS),
    (ADDRESS, {"note": None, "floor": None}, ADDRESS),
    (
        ADDRESS | {"place": PLACE},
        {"place": {"lon": 15}},
        ADDRESS | {"place": {"lat": 48, "lon": 15}},
    ),
    (ADDRESS | {"place": PLACE}, {"place": None}, ADDRESS),
    (ADDRESS, {"place": PLACE}, ADDRESS | {"place": PLACE}),
    (None, ADDRESS, ADDRESS),
    (ADDRESS, None, None),
    (ADDRESS | RENT, {"rent": "13.75"}, ADDRESS | RENT | {"rent": "13.75"}),
    (
        ADDRESS | {"rent": "12.00", "currency": "EUR"},
        {"currency": "JPY", "rent": "12"},
        ADDRESS | {"rent": "12", "currency": "JPY"},
    ),
    (
        ADDRESS | {"moved_in": "2030-01-01T01:00:00+01:00"},
        {"city": "Graz"},
        ADDRESS | {"city": "Graz", "moved_in": "2030-01-01T00:00:00Z"},
    ),
]


@pytest.mark.parametrize(("stored", "patch", "result"), MERGED)
def test_patch_of_an_object_changes_the_members_that_it_has(
    shop: Api, user: Caller, stored: Any, patch: Any, result: Any
) -> None:
    path = create(shop, user, address=stored)
    shop.patch(path, {"address": patch}, by=user, status=200)
    assert shop.get(path, by=user).json["address"] == result


INVALID = [
    ({"city": None}, "#/address/city"),
    ({"city": 5}, "#/address/city"),
    ({"street": "5"}, "#/address/street"),
    ({"colour": None}, "#/address/colour"),
    ({"place": {"lat": 1}}, "#/address/place/lon"),
    ({"place": {"lat": 91, "lon": 1}}, "#/address/place/lat"),
    ({"place": {"checked_by": "me"}}, "#/address/place/checked_by"),
    ({"currency": "JPY"}, "#/address/rent"),
    ("Linz", "#/address"),
    ([ADDRESS], "#/address"),
]


@pytest.mark.parametrize(("patch", "pointer"), INVALID)
def test_patch_that_makes_an_object_invalid_is_422(
    shop: Api, user: Caller, patch: Any, pointer: str
) -> None:
    path = create(shop, user, address=ADDRESS | RENT)
    refused = shop.patch(path, {"address": patch}, by=user, status=422)
    assert pointer in error_locations(refused)
    assert shop.get(path, by=user).json["address"] == ADDRESS | RENT


def test_patch_of_an_absent_object_needs_its_required_members(shop: Api, user: Caller) -> None:
    path = create(shop, user)
    refused = shop.patch(path, {"address": {"city": "Graz"}}, by=user, status=422)
    assert error_locations(refused) == {"#/address/street"}


def test_list_is_replaced_and_its_items_are_complete(shop: Api, user: Caller) -> None:
    mail, phone = ({"kind": kind, "value": "x"} for kind in ("mail", "phone"))
    path = create(shop, user, contacts=[mail, phone])
    refused = shop.patch(path, {"contacts": [phone, {"kind": "mail"}]}, by=user, status=422)
    assert error_locations(refused) == {"#/contacts/1/value"}
    assert shop.patch(path, {"contacts": [phone]}, by=user).json["contacts"] == [phone]


def test_object_of_any_members_is_merged(shop: Api, user: Caller) -> None:
    path = create(shop, user, labels={"a": 1, "b": {"c": [1], "d": 2}})
    patch = {"labels": {"a": None, "b": {"c": [2], "e": None}}}
    assert shop.patch(path, patch, by=user).json["labels"] == {"b": {"c": [2], "d": 2}}
    shop.patch(path, {"labels": []}, by=user, status=422)


def test_write_only_and_read_only_members_are_kept(shop: Api, user: Caller) -> None:
    path = create(
        shop, user, address=ADDRESS | {"code": "7"}, secret={"question": "?", "answer": "!"}
    )
    customer_id = UUID(path.rpartition("/")[2])
    [stored] = rows.read(shop.app, Customer.address, id=customer_id)
    place = PLACE | {"checked_by": "the post"}
    rows.change(shop.app, Customer, customer_id, address=stored | {"place": place})
    patch = {"address": {"place": {"lon": 15}}, "secret": {"answer": "."}}
    shop.patch(path, patch, by=user, status=200)
    [stored] = rows.read(shop.app, Customer.address, id=customer_id)
    assert stored == ADDRESS | {"code": "7", "place": place | {"lon": 15}}
    assert rows.read(shop.app, Customer.secret, id=customer_id) == [
        {"question": "?", "answer": "."}
    ]


def test_parallel_patches_of_one_object_lose_nothing(shop: Api, user: Caller) -> None:
    path = create(shop, user, address=ADDRESS)

    def patch(**members: Any) -> Any:
        return lambda: shop.patch(path, {"address": members}, by=user)

    locked: Select[Any] = select(Customer)
    calls = (patch(city="Graz"), patch(floor=3), patch(note="x"))
    answers = rows.blocked_by_lock(shop.app, locked, *calls)
    assert [answer.status_code for answer in answers] == [200] * 3
    expected = ADDRESS | {"city": "Graz", "floor": 3, "note": "x"}
    assert shop.get(path, by=user).json["address"] == expected


def test_batch_merges_objects(shop: Api, user: Caller) -> None:
    paths = [create(shop, user, address=ADDRESS) for _ in range(2)]

    def items(*addresses: Any) -> dict[str, Any]:
        pairs = zip(paths, addresses, strict=True)
        return {
            "items": [
                {
                    "op": "update",
                    "id": path.rpartition("/")[2],
                    "if_match": "*",
                    "value": {"address": address},
                }
                for path, address in pairs
            ]
        }

    done = shop.post("customers/batch", items({"city": "Graz"}, {"floor": 1}), by=user, status=200)
    values = [item["value"]["address"] for item in done.json["items"]]
    assert values == [ADDRESS | {"city": "Graz"}, ADDRESS | {"floor": 1}]
    failed = shop.post("customers/batch", items({"floor": 2}, {"city": None}), by=user, status=422)
    assert error_locations(failed) == {"#/items/1/value/address/city"}
    assert shop.get(paths[0], by=user).json["address"] == ADDRESS | {"city": "Graz"}


def test_document_describes_the_body_of_a_patch(shop: Api) -> None:
    schemas = document_of(shop.app)["components"]["schemas"]
    address = schemas["AddressChange"]
    assert "required" not in address
    assert address["properties"]["city"]["type"] == ["string", "null"]
    assert schemas["Contact"]["required"] == ["kind", "value"]
