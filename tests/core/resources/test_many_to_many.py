"""Many-to-many: the rows of an association table as child rows, and membership as a filter."""

from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import UUID

import pytest
from sqlalchemy import ForeignKey, Text, UniqueConstraint, Uuid, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.ids import uuid7
from app.core.database.mixins import OwnedMixin
from app.core.resources.blueprint import Blueprint
from app.core.resources.child_rows import Rows
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.resources.references import Reference
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas import fields
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import String
from app.core.security.authorization import authenticated, current_caller
from app.extensions import Base
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.conftest import MakeApp, statements
from tests.features import own_metadata, own_tables


class OwnBase(Base):
    """Tables of this module."""

    __abstract__ = True
    metadata = own_metadata()


class Label(OwnedMixin, OwnBase):
    """A label."""

    __tablename__ = "mail_labels"

    name: Mapped[str] = mapped_column(Text)


class Letter(OwnedMixin, OwnBase):
    """A letter with labels."""

    __tablename__ = "letters"

    title: Mapped[str] = mapped_column(Text)
    labels: ClassVar[Any] = ()


class LetterLabel(OwnBase):
    """A label of a letter."""

    __tablename__ = "letter_labels"
    __table_args__ = (
        UniqueConstraint(
            "letter_id", "label_id", info={"field": "label_id", "detail": "Has this label already."}
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True, default=uuid7)
    letter_id: Mapped[UUID] = mapped_column(ForeignKey(Letter.id, ondelete="CASCADE"))
    position: Mapped[int]
    label_id: Mapped[UUID] = mapped_column(ForeignKey(Label.id), index=True)


class MailLabelSchema(ResourceSchema):
    """A label."""

    name = String(max_length=20, required=True, metadata={"example": "x"})


class LetterLabelSchema(Schema):
    """A label of a letter."""

    label_id = Reference(
        Label, required=True, metadata={"example": "019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e07"}
    )


class LetterSchema(ResourceSchema):
    """A letter."""

    title = String(max_length=20, required=True, metadata={"example": "x"})
    labels = Rows(LetterLabelSchema, LetterLabel.letter_id, max_length=20, metadata={"example": []})


def has_label(label_id: Any) -> Any:
    """The condition that a letter has a label."""
    return Letter.id.in_(select(LetterLabel.letter_id).where(LetterLabel.label_id == label_id))


class LetterQuery(PageQuery):
    """The list of letters."""

    label_id = filter_by(fields.UUID(), has_label)
    sort = Sort({"created_at": Letter.created_at}, default="created_at")


mail = Blueprint("mail", __name__, url_prefix="/mail")


@mail.post("/labels", access=authenticated)
@mail.body(MailLabelSchema)
@mail.creates(MailLabelSchema)
def create_mail_label(data: dict[str, Any]) -> Label:
    """Create a label."""
    return Label(owner_id=current_caller.id, **data)


@mail.delete("/labels/<uuid:label_id>", access=authenticated)
@mail.deletes(MailLabelSchema)
def delete_mail_label(label_id: UUID) -> ScopedSelect:
    """Delete a label."""
    return Label.visible_to(current_caller)


@mail.get("/letters", access=authenticated)
@mail.paginated(LetterSchema, LetterQuery)
def list_letters() -> ScopedSelect:
    """List letters."""
    return Letter.visible_to(current_caller)


@mail.post("/letters", access=authenticated)
@mail.body(LetterSchema)
@mail.creates(LetterSchema)
def create_letter(data: dict[str, Any]) -> Letter:
    """Write a letter."""
    return Letter(owner_id=current_caller.id, **data)


@mail.patch("/letters/<uuid:letter_id>", access=authenticated)
@mail.body(LetterSchema, partial=True)
@mail.updates(LetterSchema)
def update_letter(data: dict[str, Any], letter_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a letter."""
    return Letter.visible_to(current_caller), data


@pytest.fixture
def office(make_app: MakeApp) -> Iterator[Api]:
    """An application with letters and labels."""
    app = make_app(mail)
    with own_tables(app, OwnBase.metadata):
        yield Api(app)


def new_label(office: Api, by: Caller) -> str:
    return str(office.post("mail/labels", {"name": "L"}, by=by, status=201).json["id"])


def labelled(*ids: str) -> list[dict[str, str]]:
    return [{"label_id": each} for each in ids]


def test_list_is_filtered_by_membership_in_one_statement(office: Api, user: Caller) -> None:
    first, second, third = (new_label(office, user) for _ in range(3))
    letters = [
        office.post("mail/letters", {"title": "T", "labels": labelled(*ids)}, by=user).json
        for ids in ([second, first], [second], [])
    ]
    assert letters[0]["labels"] == labelled(second, first)
    for label, found in ((first, letters[:1]), (second, letters[:2]), (third, [])):
        with statements(office.app) as sent:
            page = office.get(f"mail/letters?label_id={label}", by=user, status=200).json
        assert page["items"] == found
        assert len(sent) == (1 if found else 2), sent  # an empty list checks the session


def test_membership_is_replaced_checked_and_protected(
    office: Api, user: Caller, other: Caller
) -> None:
    own, foreign = new_label(office, user), new_label(office, other)
    path = office.post("mail/letters", {"title": "T"}, by=user, status=201).headers["Location"]
    for ids, status in (((own, foreign), 422), ((own, own), 409)):
        body = {"labels": labelled(*ids)}
        refused = office.patch(path, body, by=user, status=status)
        assert error_locations(refused) == {"#/labels/1/label_id"}
    changed = office.patch(path, {"labels": labelled(own)}, by=user, etag='"1"', status=200).json
    assert (changed["labels"], changed["version"]) == (labelled(own), 2)
    office.delete(f"mail/labels/{own}", by=user, status=409)
    office.patch(path, {"labels": []}, by=user, status=200)
    office.delete(f"mail/labels/{own}", by=user, status=204)
    assert rows.count(office.app, LetterLabel) == 0
