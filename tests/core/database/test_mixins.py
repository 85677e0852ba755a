"""Models with `ResourceMixin` are ordinary models of SQLAlchemy."""

from collections.abc import Iterator
from uuid import UUID

import marshmallow as ma
import pytest
from flask import Flask
from sqlalchemy import ForeignKey, MetaData, select
from sqlalchemy.orm import Mapped, mapped_column, relationship, selectinload, validates

from app.core.database.mixins import ResourceMixin
from app.core.resources import repository
from app.core.schemas import fields
from app.core.schemas.base import Schema
from app.extensions import Base, db
from app.users.models import User
from tests import rows


class OwnBase(Base):
    """Tables without migrations."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Shelf(ResourceMixin, OwnBase):
    """A shelf with books."""

    __tablename__ = "shelves"

    label: Mapped[str]
    books: Mapped[list["Volume"]] = relationship(back_populates="shelf")

    @validates("label")
    def check_label(self, _key: str, label: str) -> str:
        if not label:
            raise ValueError("A shelf needs a label.")
        return label.strip()


class Volume(ResourceMixin, OwnBase):
    """A book on a shelf."""

    __tablename__ = "books"

    title: Mapped[str]
    shelf_id: Mapped[UUID] = mapped_column(ForeignKey(Shelf.id))
    shelf: Mapped[Shelf] = relationship(back_populates="books")


class ShelfSchema(Schema):
    """A shelf."""

    id = fields.UUID(dump_only=True)
    label = ma.fields.String(required=True)


class VolumeSchema(Schema):
    """A book."""

    id = fields.UUID(dump_only=True)
    title = ma.fields.String(required=True)
    shelf_id = fields.UUID(required=True)


SHELF_SCHEMA, BOOK_SCHEMA = ShelfSchema(), VolumeSchema()


@pytest.fixture
def library(app: Flask) -> Iterator[Flask]:
    with app.app_context():
        OwnBase.metadata.create_all(db.engine)
    yield app
    with app.app_context():
        db.session.remove()
        OwnBase.metadata.drop_all(db.engine)


def test_constructor_of_a_model_takes_columns_and_relationships_only() -> None:
    shelf = Shelf(label="A")
    assert Volume(title="T", shelf=shelf).shelf is shelf
    with pytest.raises(TypeError, match="'colour' is an invalid keyword argument for Shelf"):
        Shelf(colour="red")


def test_validator_of_a_model_runs_in_its_constructor_and_on_assignment() -> None:
    shelf = Shelf(label=" A ")
    assert shelf.label == "A"
    with pytest.raises(ValueError, match=r"A shelf needs a label\."):
        shelf.label = ""
    with pytest.raises(ValueError, match=r"A shelf needs a label\."):
        Shelf(label="")


def test_session_inserts_and_reads_related_instances(library: Flask) -> None:
    with library.app_context():
        db.session.add(Shelf(label="A", books=[Volume(title="T"), Volume(title="U")]))
        db.session.commit()
    with library.app_context():
        shelf = db.session.scalars(select(Shelf).options(selectinload(Shelf.books))).one()
        assert {book.title for book in shelf.books} == {"T", "U"}
        assert shelf.version == 1
        shelf.label = " B "
        db.session.commit()
        assert (shelf.label, shelf.version) == ("B", 2)


def test_repository_inserts_the_values_of_an_instance(library: Flask) -> None:
    with library.app_context(), library.test_request_context():
        shelf = repository.create(Shelf(label=" A "), SHELF_SCHEMA)
        book = repository.create(Volume(title="T", shelf_id=shelf.id), BOOK_SCHEMA)
        db.session.commit()
        assert shelf.label == "A"
        stored = db.session.get_one(Volume, book.id)
        assert (stored.title, stored.shelf.label) == ("T", "A")
        assert stored.shelf.books == [stored]


def test_updated_at_of_a_new_row_equals_created_at(app: Flask) -> None:
    user = rows.add(app, User, email="ada@example.com", name="Ada", password_hash="x")
    assert rows.read(app, User.updated_at, id=user) == rows.read(app, User.created_at, id=user)
