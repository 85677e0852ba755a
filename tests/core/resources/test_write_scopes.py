"""Rows that a caller may read but not write, and members that an SQL expression computes."""

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import ForeignKey, Select, Text, func, select, update
from sqlalchemy.orm import Mapped, column_property, mapped_column

from app.core.database.mixins import CALLER_ID_PARAM, OwnedMixin, ResourceMixin
from app.core.database.types import correlated
from app.core.openapi.operation import DeclarationError
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.resources.scoped_query import ScopedSelect, writable_if
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import Boolean, Integer, String
from app.core.security.authorization import authenticated, current_caller
from app.extensions import Base
from tests import rows
from tests.api import Api, Caller
from tests.conftest import MakeApp, statements
from tests.features import own_metadata, own_tables


class OwnBase(Base):
    """Tables of this module."""

    __abstract__ = True
    metadata = own_metadata()


class Post(OwnedMixin, OwnBase):
    """A post that everybody reads, except drafts."""

    __tablename__ = "posts"

    title: Mapped[str] = mapped_column(Text)
    is_draft: Mapped[bool] = mapped_column(default=False)


class Comment(ResourceMixin, OwnBase):
    """A comment on a post."""

    __tablename__ = "comments"

    post_id: Mapped[UUID] = mapped_column(ForeignKey(Post.id, ondelete="CASCADE"))
    score: Mapped[int]


COMMENTS = select(Comment).where(Comment.post_id == Post.id)
Post.comment_count = column_property(
    correlated(COMMENTS.with_only_columns(func.count(Comment.id)), Post.__table__), deferred=True
)
Post.best_score = column_property(
    correlated(COMMENTS.with_only_columns(func.max(Comment.score)), Post.__table__), deferred=True
)
VISIBLE: "Select[Post]" = select(Post).where(~Post.is_draft | (Post.owner_id == CALLER_ID_PARAM))
WRITABLE = writable_if(VISIBLE, Post.owner_id == CALLER_ID_PARAM)


class PostSchema(ResourceSchema):
    """A post."""

    title = String(max_length=20, required=True, metadata={"example": "A"})
    is_draft = Boolean()
    comment_count = Integer(min=0, max=2**31, dump_only=True)
    best_score = Integer(min=0, max=100, dump_only=True, allow_none=True)


class CommentSchema(ResourceSchema):
    """A comment."""

    score = Integer(min=0, max=100, required=True, metadata={"example": 1})


class PostQuery(PageQuery):
    """The list of posts."""

    comments_min = filter_by(Integer(min=0, max=100), lambda n: Post.comment_count >= n)
    sort = Sort(
        {"created_at": Post.created_at, "comments": Post.comment_count}, default="created_at"
    )


posts = Blueprint("posts", __name__, url_prefix="/posts")


@posts.get("", access=authenticated)
@posts.paginated(PostSchema, PostQuery)
def list_posts() -> ScopedSelect:
    """List posts."""
    return VISIBLE


@posts.post("", access=authenticated)
@posts.body(PostSchema)
@posts.creates(PostSchema)
def create_post(data: dict[str, Any]) -> Post:
    """Write a post."""
    return Post(owner_id=current_caller.id, **data)


@posts.get("/<uuid:post_id>", access=authenticated)
@posts.returns(PostSchema)
def read_post(post_id: UUID) -> ScopedSelect:
    """Read a post."""
    return VISIBLE


@posts.patch("/<uuid:post_id>", access=authenticated)
@posts.body(PostSchema, partial=True)
@posts.updates(PostSchema)
def update_post(data: dict[str, Any], post_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a post."""
    return WRITABLE, data


@posts.delete("/<uuid:post_id>", access=authenticated)
@posts.deletes(PostSchema)
def delete_post(post_id: UUID) -> ScopedSelect:
    """Delete a post."""
    return WRITABLE


@posts.post("/<uuid:post_id>/hide", access=authenticated)
@posts.action(PostSchema, lambda caller: WRITABLE, audit="hide")
def hide_post(post: Any, post_id: UUID) -> dict[str, Any]:
    """Make a post a draft."""
    return {"is_draft": True}


@posts.post("/batch", access=authenticated)
@posts.batch(PostSchema)
def batch_posts(data: dict[str, Any]) -> Batch:
    """Create, change and delete posts."""
    return Batch(data["items"], create_post, update_post, delete_post)


@posts.post("/<uuid:post_id>/comments", access=authenticated)
@posts.body(CommentSchema)
@posts.creates(CommentSchema, parent=PostSchema)
def create_comment(data: dict[str, Any], post_id: UUID) -> tuple[Comment, ScopedSelect]:
    """Comment on a post."""
    return Comment(post_id=post_id, **data), VISIBLE


@posts.post("/<uuid:post_id>/corrections", access=authenticated)
@posts.body(CommentSchema)
@posts.creates(CommentSchema, parent=PostSchema)
def create_correction(data: dict[str, Any], post_id: UUID) -> tuple[Comment, ScopedSelect]:
    """Comment on a post of the caller."""
    return Comment(post_id=post_id, **data), WRITABLE


@posts.post("/<uuid:post_id>/corrections/batch", access=authenticated)
@posts.batch(CommentSchema)
def batch_corrections(data: dict[str, Any], post_id: UUID) -> Batch:
    """Comment several times on a post of the caller."""
    create = partial(create_correction, post_id=post_id)
    return Batch(data["items"], create, update_post, delete_post)


@pytest.fixture
def blog(make_app: MakeApp) -> Iterator[Api]:
    """An application with posts."""
    app = make_app(posts)
    with own_tables(app, OwnBase.metadata):
        yield Api(app)


def create(blog: Api, by: Caller, **members: Any) -> str:
    created = blog.post("posts", {"title": "P", **members}, by=by, status=201)
    return str(created.headers["Location"])


def test_write_of_a_row_that_is_only_readable_is_403(
    blog: Api, user: Caller, other: Caller
) -> None:
    path = create(blog, user)
    blog.get(path, by=other, status=200)
    etag = '"7"'  # 403 comes before 412
    refused = blog.patch(path, {"title": "Q"}, by=other, etag=etag, status=403)
    assert refused.json["errors"][0]["detail"] == (
        "The caller may read this item, but not change it."
    )
    blog.delete(path, by=other, status=403)
    blog.post(f"{path}/hide", by=other, headers={"If-Match": "*"}, status=403)
    item_id = path.rpartition("/")[2]
    items = [
        {"op": "update", "id": item_id, "if_match": "*", "value": {"title": "Q"}},
        {"op": "delete", "id": str(uuid4()), "if_match": "*"},
    ]
    failed = blog.post("posts/batch", {"items": items}, by=other, status=422).json["errors"]
    assert [error["status"] for error in failed] == [403, 404]
    assert blog.get(path, by=user).json["version"] == 1


def test_write_of_an_invisible_row_is_404(blog: Api, user: Caller, other: Caller) -> None:
    path = create(blog, user, is_draft=True)
    blog.patch(path, {"title": "Q"}, by=other, status=404)
    blog.delete(path, by=other, status=404)
    blog.patch(path, {"title": "Q"}, by=user, status=200)
    blog.delete(path, by=user, status=204)


def test_creation_below_a_parent_that_is_only_readable_is_403(
    blog: Api, user: Caller, other: Caller
) -> None:
    visible, draft = create(blog, user), create(blog, user, is_draft=True)
    batch = {"items": [{"op": "create", "value": {"score": 1}}]}
    for post, by, statuses in (
        (visible, user, (201, 200)), (visible, other, (403, 403)), (draft, other, (404, 404))
    ):  # fmt: skip
        blog.post(f"{post}/corrections", {"score": 1}, by=by, status=statuses[0])
        blog.post(f"{post}/corrections/batch", batch, by=by, status=statuses[1])
    assert blog.get(visible, by=user).json["comment_count"] == 2


def test_creation_waits_for_an_action_on_its_parent_and_is_403_where_it_may_then_only_be_read(
    blog: Api, user: Caller, other: Caller
) -> None:
    post = create(blog, user)
    locked = select(Post.id).with_for_update()  # as an action does
    given_away = update(Post).where(Post.id.in_(locked)).values(owner_id=other.id)

    def comment() -> Any:
        return blog.post(f"{post}/corrections", {"score": 1}, by=user)

    [response] = rows.blocked_by_lock(blog.app, given_away, comment)
    assert response.status_code == 403


def test_computed_members_are_those_of_the_row(blog: Api, user: Caller) -> None:
    created = blog.post("posts", {"title": "P"}, by=user, status=201)
    assert (created.json["comment_count"], created.json["best_score"]) == (0, None)
    path, other_path = created.headers["Location"], create(blog, user)
    for score in (3, 5):
        blog.post(f"{path}/comments", {"score": score}, by=user, status=201)
    blog.post(f"{other_path}/comments", {"score": 9}, by=user, status=201)
    expected = {"comment_count": 2, "best_score": 5}
    for response in (
        blog.get(path, by=user, status=200),
        blog.patch(path, {"title": "Q"}, by=user, status=200),
        blog.get("posts?comments_min=2", by=user, status=200),
        blog.get("posts?sort=-comments&limit=1", by=user, status=200),
    ):
        item = response.json.get("items", [response.json])[0]
        assert {name: item[name] for name in expected} == expected
    page = blog.get("posts?sort=comments&limit=1", by=user, status=200).json
    page = blog.get(f"posts?limit=1&cursor={page['next_cursor']}", by=user, status=200).json
    assert page["items"][0]["comment_count"] == 2
    items = {"items": [{"op": "create", "value": {"title": "N"}}]}
    done = blog.post("posts/batch", items, by=user, status=200).json["items"][0]
    assert done["value"]["comment_count"] == 0


def test_etag_covers_computed_members(blog: Api, user: Caller) -> None:
    path = create(blog, user)
    tags = {url: blog.get(url, by=user).headers["ETag"] for url in (path, "posts")}
    blog.post(f"{path}/comments", {"score": 3}, by=user, status=201)
    for url, tag in tags.items():
        changed = blog.get(url, by=user, headers={"If-None-Match": tag}, status=200)
        with statements(blog.app) as sent:
            same = {"If-None-Match": changed.headers["ETag"]}
            blog.get(url, by=user, headers=same, status=304)
        assert len(sent) == 1, sent
    # Its version did not change.
    assert blog.patch(path, {"title": "Q"}, by=user, etag=tags[path]).json["version"] == 2


# begin audit
def test_audit_event_of_a_deletion_has_the_computed_members(
    blog: Api, user: Caller, admin: Caller
) -> None:
    path = create(blog, user)
    blog.post(f"{path}/comments", {"score": 3}, by=user, status=201)
    was = blog.get(path, by=user).json
    blog.delete(path, by=user, status=204)
    query = f"audit-events?resource_id={was['id']}&action=delete"
    [event] = blog.get(query, by=admin, status=200).json["items"]
    assert event["before"] == was


# end audit
def test_sort_by_a_computed_member_that_can_be_null_is_refused() -> None:
    with pytest.raises(DeclarationError, match="the sort key best can be NULL"):
        posts.paginated(PostSchema, Sort({"best": Post.best_score}, default="best"))
