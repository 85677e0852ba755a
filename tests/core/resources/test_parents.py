"""Resources below others: the ids of the path, and the creation below a parent."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import ForeignKey, Select, Text, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import CALLER_ID_PARAM, OwnedMixin, ResourceMixin
from app.core.resources import statements as resource_statements
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect, path_param
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String
from app.core.security.authorization import authenticated, current_caller
from app.extensions import Base, db
from tests import rows
from tests.api import Api, Caller
from tests.conftest import MakeApp, on_postgresql, statements
from tests.features import own_metadata, own_tables


class OwnBase(Base):
    """Tables of this module."""

    __abstract__ = True
    metadata = own_metadata()


class Album(OwnedMixin, OwnBase):
    """An album of photographs."""

    __tablename__ = "albums"

    title: Mapped[str] = mapped_column(Text)


class Photo(ResourceMixin, OwnBase):
    """A photograph in an album."""

    __tablename__ = "photos"

    album_id: Mapped[UUID] = mapped_column(ForeignKey(Album.id, ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(Text)


OWN_PHOTOS: "Select[Photo]" = (
    select(Photo)
    .join(Album, Album.id == Photo.album_id)
    .where(Album.owner_id == CALLER_ID_PARAM, Photo.album_id == path_param("album_id"))
)
ALL_PHOTOS: "Select[Photo]" = select(Photo).where(Photo.album_id == path_param("album_id"))


class AlbumSchema(ResourceSchema):
    """An album."""

    title = String(max_length=100, required=True, metadata={"example": "A"})


class PhotoSchema(ResourceSchema):
    """A photograph."""

    title = String(max_length=100, required=True, metadata={"example": "A"})


BY_CREATION = Sort({"created_at": Photo.created_at}, default="created_at")
albums = Blueprint("albums", __name__, url_prefix="/albums")


@albums.post("", access=authenticated)
@albums.body(AlbumSchema)
@albums.creates(AlbumSchema)
def create_album(data: dict[str, Any]) -> Album:
    """Create an album."""
    return Album(owner_id=current_caller.id, **data)


@albums.delete("/<uuid:album_id>", access=authenticated)
@albums.deletes(AlbumSchema)
def delete_album(album_id: UUID) -> ScopedSelect:
    """Delete an album."""
    return Album.visible_to(current_caller)


@albums.get("/<uuid:album_id>/photos", access=authenticated)
@albums.paginated(PhotoSchema, BY_CREATION, parent=AlbumSchema)
def list_photos(album_id: UUID) -> tuple[ScopedSelect, ScopedSelect]:
    """List the photographs of an album."""
    return OWN_PHOTOS, Album.visible_to(current_caller)


@albums.get("/<uuid:album_id>/pictures", access=authenticated)
@albums.paginated(PhotoSchema, BY_CREATION, parent=AlbumSchema)
def list_pictures(album_id: UUID) -> tuple[ScopedSelect, ScopedSelect]:
    """List the photographs of an album that the caller can see."""
    return ALL_PHOTOS, Album.visible_to(current_caller)


@albums.post("/<uuid:album_id>/photos", access=authenticated)
@albums.body(PhotoSchema)
@albums.creates(PhotoSchema, parent=AlbumSchema)
def create_photo(data: dict[str, Any], album_id: UUID) -> tuple[Photo, ScopedSelect]:
    """Add a photograph."""
    return Photo(album_id=album_id, **data), Album.visible_to(current_caller)


@albums.get("/<uuid:album_id>/photos/export", access=authenticated)
@albums.exports(PhotoSchema, BY_CREATION)
def export_photos(album_id: UUID) -> ScopedSelect:
    """Export the photographs of an album."""
    return OWN_PHOTOS


@albums.get("/<uuid:album_id>/photos/<uuid:photo_id>", access=authenticated)
@albums.returns(PhotoSchema)
def read_photo(album_id: UUID, photo_id: UUID) -> ScopedSelect:
    """Read a photograph."""
    return OWN_PHOTOS


@albums.patch("/<uuid:album_id>/photos/<uuid:photo_id>", access=authenticated)
@albums.body(PhotoSchema, partial=True)
@albums.updates(PhotoSchema)
def update_photo(
    data: dict[str, Any], album_id: UUID, photo_id: UUID
) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a photograph."""
    return OWN_PHOTOS, data


@albums.delete("/<uuid:album_id>/photos/<uuid:photo_id>", access=authenticated)
@albums.deletes(PhotoSchema)
def delete_photo(album_id: UUID, photo_id: UUID) -> ScopedSelect:
    """Delete a photograph."""
    return OWN_PHOTOS


@albums.post("/<uuid:album_id>/photos/batch", access=authenticated)
@albums.batch(PhotoSchema)
def batch_photos(data: dict[str, Any], album_id: UUID) -> Batch:
    """Create, change and delete photographs of an album."""
    return Batch(
        data["items"],
        lambda values: create_photo(values, album_id),
        lambda values, photo_id: update_photo(values, album_id, photo_id),
        lambda photo_id: delete_photo(album_id, photo_id),
    )


@pytest.fixture
def gallery(make_app: MakeApp) -> Iterator[Api]:
    """An application with albums."""
    app = make_app(albums)
    with own_tables(app, OwnBase.metadata):
        yield Api(app)


MakeAlbum = Callable[[Caller], tuple[str, str]]


@pytest.fixture
def make_album(gallery: Api) -> MakeAlbum:
    """`make_album(by)` is the path of a new album, and that of a photograph in it."""

    def make(by: Caller) -> tuple[str, str]:
        album = gallery.post("albums", {"title": "A"}, by=by, status=201).headers["Location"]
        photo = gallery.post(f"{album}/photos", {"title": "P"}, by=by, status=201)
        return album, photo.headers["Location"]

    return make


def test_item_is_below_the_parent_of_its_path(
    gallery: Api, make_album: MakeAlbum, user: Caller
) -> None:
    album, photo = make_album(user)
    other_album, _ = make_album(user)
    assert photo.startswith(f"{album}/photos/")
    assert gallery.get(photo, by=user, status=200).json["title"] == "P"
    elsewhere = photo.replace(album, other_album)
    gallery.get(elsewhere, by=user, status=404)
    gallery.patch(elsewhere, {"title": "Q"}, by=user, status=404)
    gallery.delete(elsewhere, by=user, status=404)
    assert gallery.patch(photo, {"title": "Q"}, by=user, status=200).json["title"] == "Q"
    gallery.delete(photo, by=user, status=204)


def test_list_and_export_have_the_rows_of_the_parent(
    gallery: Api, make_album: MakeAlbum, user: Caller, other: Caller
) -> None:
    album, photo = make_album(user)
    make_album(user)
    page = gallery.get(f"{album}/photos", by=user, status=200).json
    assert [f"{album}/photos/{item['id']}" for item in page["items"]] == [photo]
    lines = gallery.get(f"{album}/photos/export", by=user, status=200).text.splitlines()
    assert len(lines) == 1
    gallery.get(f"{album}/photos", by=other, status=404)


def test_list_below_an_invisible_parent_is_404_whatever_its_own_query_has(
    gallery: Api, make_album: MakeAlbum, user: Caller, other: Caller
) -> None:
    album, _ = make_album(user)
    page = gallery.get(f"{album}/pictures", by=user, status=200)
    assert len(page.json["items"]) == 1
    held = {"If-None-Match": page.headers["ETag"]}
    gallery.get(f"{album}/pictures", by=user, headers=held, status=304)
    for headers in ({}, held):
        for query in ("", "?limit=1&count=exact"):
            gallery.get(f"{album}/pictures{query}", by=other, headers=headers, status=404)


def test_creation_below_an_invisible_parent_is_404(
    gallery: Api, make_album: MakeAlbum, user: Caller, other: Caller
) -> None:
    album, _ = make_album(user)
    for path, caller in ((album, other), (f"/api/v1/albums/{uuid4()}", user)):
        for key in ({}, {"Idempotency-Key": "k-1"}):
            gallery.post(f"{path}/photos", {"title": "P"}, by=caller, headers=key, status=404)
        items = {"items": [{"op": "create", "value": {"title": "P"}}]}
        gallery.post(f"{path}/photos/batch", items, by=caller, status=404)
    assert rows.count(gallery.app, Photo) == 1


def test_batch_below_a_parent_writes_its_items(
    gallery: Api, make_album: MakeAlbum, user: Caller
) -> None:
    album, photo = make_album(user)
    other_album, _ = make_album(user)
    photo_id = photo.rpartition("/")[2]
    items = [
        {"op": "create", "value": {"title": "N"}},
        {"op": "update", "id": photo_id, "if_match": "*", "value": {"title": "Q"}},
    ]
    done = gallery.post(f"{album}/photos/batch", {"items": items}, by=user, status=200).json
    assert [item["status"] for item in done["items"]] == [201, 200]
    gallery.post(f"{other_album}/photos/batch", {"items": items}, by=user, status=422)


@on_postgresql
def test_creation_below_a_parent_is_one_statement(
    gallery: Api, make_album: MakeAlbum, user: Caller
) -> None:
    album, photo = make_album(user)
    with statements(gallery.app) as sent:
        gallery.post(f"{album}/photos", {"title": "P"}, by=user, status=201)
    assert len(sent) == 1, sent
    with statements(gallery.app) as sent:
        gallery.get(photo, by=user, status=200)
        gallery.get(f"{album}/photos", by=user, status=200)
    assert len(sent) == 2, sent


def test_creation_below_a_parent_that_is_deleted_meanwhile_is_404(
    gallery: Api, make_album: MakeAlbum, user: Caller
) -> None:
    album, _ = make_album(user)

    def create() -> Any:
        return gallery.post(f"{album}/photos", {"title": "P"}, by=user)

    [response] = rows.blocked_by_lock(gallery.app, delete(Album), create)
    assert response.status_code == 404


@on_postgresql
@pytest.mark.parametrize("lock", [resource_statements.lock_one, resource_statements.lock_many])
def test_lock_of_a_row_leaves_its_parent_unlocked(
    gallery: Api, make_album: MakeAlbum, user: Caller, lock: Callable[..., Select[Any]]
) -> None:
    album, photo = (path.rpartition("/")[2] for path in make_album(user))
    selection = resource_statements.Selection(
        OWN_PHOTOS, lock is not resource_statements.lock_many, PhotoSchema()
    )
    params = {
        "caller_id": user.id,
        "path_album_id": UUID(album),
        "item_id": UUID(photo),
        "item_ids": [UUID(photo)],
    }
    with gallery.app.app_context(), db.engine.begin() as holder:
        assert len(holder.execute(lock(selection), params).all()) == 1
        for model, unlocked in ((Photo, 0), (Album, 1)):
            free = select(model.id).with_for_update(skip_locked=True)
            with db.engine.begin() as other_session:
                assert len(other_session.execute(free).all()) == unlocked
