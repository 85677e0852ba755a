"""References to other rows: they exist and are visible, and are not deleted while in use."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import marshmallow as ma
import pytest
from sqlalchemy import JSON, ForeignKey, Text, delete
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.listeners import on_statement
from app.core.database.mixins import OwnedMixin
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.references import Reference
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import String
from app.core.security.authorization import authenticated, current_caller
from app.extensions import Base
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.conftest import MakeApp, on_postgresql, statements
from tests.features import own_metadata, own_tables


class OwnBase(Base):
    """Tables of this module."""

    __abstract__ = True
    metadata = own_metadata()


class Author(OwnedMixin, OwnBase):
    """An author."""

    __tablename__ = "authors"

    name: Mapped[str] = mapped_column(Text)


class Book(OwnedMixin, OwnBase):
    """A book of an author."""

    __tablename__ = "books_of_authors"

    author_id: Mapped[UUID] = mapped_column(ForeignKey(Author.id))
    editor_id: Mapped[UUID | None] = mapped_column(ForeignKey(Author.id))
    roles: Mapped[list[Any]] = mapped_column(JSON, default=list)


class AuthorSchema(ResourceSchema):
    """An author."""

    name = String(max_length=100, required=True, metadata={"example": "A"})


class RoleSchema(Schema):
    """Who did what."""

    person_id = Reference(Author, required=True)


class BookSchema(ResourceSchema):
    """A book."""

    author_id = Reference(Author, required=True)
    editor_id = Reference(Author, allow_none=True)
    roles = ma.fields.List(ma.fields.Nested(RoleSchema), metadata={"example": []})


library = Blueprint("library", __name__, url_prefix="/library")


@library.post("/authors", access=authenticated)
@library.body(AuthorSchema)
@library.creates(AuthorSchema)
def create_author(data: dict[str, Any]) -> Author:
    """Create an author."""
    return Author(owner_id=current_caller.id, **data)


@library.patch("/authors/<uuid:author_id>", access=authenticated)
@library.body(AuthorSchema, partial=True)
@library.updates(AuthorSchema)
def update_author(data: dict[str, Any], author_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Rename an author."""
    return Author.visible_to(current_caller), data


@library.delete("/authors/<uuid:author_id>", access=authenticated)
@library.deletes(AuthorSchema)
def delete_author(author_id: UUID) -> ScopedSelect:
    """Delete an author."""
    return Author.visible_to(current_caller)


@library.post("/authors/batch", access=authenticated)
@library.batch(AuthorSchema)
def batch_authors(data: dict[str, Any]) -> Batch:
    """Delete authors."""
    return Batch(data["items"], create_author, update_author, delete_author)


@library.post("/books", access=authenticated)
@library.body(BookSchema)
@library.creates(BookSchema)
def create_book(data: dict[str, Any]) -> Book:
    """Create a book."""
    return Book(owner_id=current_caller.id, **data)


@library.patch("/books/<uuid:book_id>", access=authenticated)
@library.body(BookSchema, partial=True)
@library.updates(BookSchema)
def update_book(data: dict[str, Any], book_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a book."""
    return Book.visible_to(current_caller), data


@library.delete("/books/<uuid:book_id>", access=authenticated)
@library.deletes(BookSchema)
def delete_book(book_id: UUID) -> ScopedSelect:
    """Delete a book."""
    return Book.visible_to(current_caller)


@library.post("/books/batch", access=authenticated)
@library.batch(BookSchema)
def batch_books(data: dict[str, Any]) -> Batch:
    """Create and change books."""
    return Batch(data["items"], create_book, update_book, delete_book)


@pytest.fixture
def shelf(make_app: MakeApp) -> Iterator[Api]:
    """An application with authors and books."""
    app = make_app(library)
    with own_tables(app, OwnBase.metadata):
        yield Api(app)


def new_author(shelf: Api, by: Caller) -> str:
    return str(shelf.post("library/authors", {"name": "A"}, by=by, status=201).json["id"])


def new_book(shelf: Api, by: Caller, author: str) -> str:
    response = shelf.post("library/books", {"author_id": author}, by=by, status=201)
    return str(response.headers["Location"])


def test_reference_to_a_row_that_is_absent_or_invisible_is_422(
    shelf: Api, user: Caller, other: Caller
) -> None:
    known = new_author(shelf, user)
    book = new_book(shelf, user, known)
    for unknown in (str(uuid4()), new_author(shelf, other)):
        for members, pointer in (
            ({"author_id": unknown}, "#/author_id"),
            ({"editor_id": unknown}, "#/editor_id"),
            ({"roles": [{"person_id": known}, {"person_id": unknown}]}, "#/roles/1/person_id"),
        ):
            body = {"author_id": known, **members}
            for key in ({}, {"Idempotency-Key": "k-1"}):
                refused = shelf.post("library/books", body, by=user, headers=key, status=422)
                assert error_locations(refused) == {pointer}
            assert error_locations(shelf.patch(book, members, by=user, status=422)) == {pointer}
            items = [
                {"op": "create", "value": {"author_id": known}},
                {"op": "create", "value": body},
            ]
            failed = shelf.post("library/books/batch", {"items": items}, by=user, status=422)
            assert error_locations(failed) == {pointer.replace("#", "#/items/1/value")}
    assert rows.count(shelf.app, Book) == 1


def test_reference_to_a_visible_row_is_stored(shelf: Api, user: Caller) -> None:
    first, second = new_author(shelf, user), new_author(shelf, user)
    book = new_book(shelf, user, first)
    changed = shelf.patch(book, {"author_id": second, "editor_id": None}, by=user, status=200)
    assert changed.json["author_id"] == second


def test_deletion_of_a_referred_row_is_409_and_says_what_refers_to_it(
    shelf: Api, user: Caller
) -> None:
    author = new_author(shelf, user)
    book = new_book(shelf, user, author)
    path = f"library/authors/{author}"
    refused = shelf.delete(path, by=user, status=409)
    assert refused.json["detail"] == "Items of books of authors refer to this one."
    items = {"items": [{"op": "delete", "id": author, "if_match": "*"}]}
    failed = shelf.post("library/authors/batch", items, by=user, status=422)
    assert failed.json["errors"][0]["status"] == 409
    assert failed.json["errors"][0]["detail"] == refused.json["detail"]
    shelf.delete(book, by=user, status=204)
    shelf.delete(path, by=user, status=204)


def test_row_that_is_deleted_between_check_and_write_is_422(shelf: Api, user: Caller) -> None:
    author = new_author(shelf, user)

    def create() -> Any:
        return shelf.post("library/books", {"author_id": author}, by=user)

    [response] = rows.blocked_by_lock(shelf.app, delete(Author), create)
    assert response.status_code == 422
    assert error_locations(response) == {"#/author_id"}


def test_batch_locks_the_rows_that_it_refers_to(shelf: Api, user: Caller) -> None:
    author = new_author(shelf, user)
    items = {"items": [{"op": "create", "value": {"author_id": author}}]}

    def create() -> Any:
        return shelf.post("library/books/batch", items, by=user)

    [response] = rows.blocked_by_lock(shelf.app, delete(Author), create)
    assert error_locations(response) == {"#/items/0/value/author_id"}


@on_postgresql
def test_check_of_references_is_one_statement(shelf: Api, user: Caller) -> None:
    author = new_author(shelf, user)
    body = {"author_id": author, "editor_id": author}
    with statements(shelf.app) as sent:
        book = shelf.post("library/books", body, by=user, status=201).headers["Location"]
        shelf.patch(book, {"roles": []}, by=user, status=200)
    assert len(sent) == 3, sent


@on_postgresql
def test_row_that_is_deleted_after_the_check_is_422(shelf: Api, user: Caller) -> None:
    author = new_author(shelf, user)

    def delete_before_insert(_engine: Any, sql: str, _parameters: Any) -> None:
        if "INSERT INTO books_of_authors" in sql:
            rows.remove(shelf.app, Author, id=UUID(author))

    stop = on_statement(delete_before_insert)
    try:
        refused = shelf.post("library/books", {"author_id": author}, by=user, status=422)
    finally:
        stop()
    assert error_locations(refused) == {"#/author_id"}
