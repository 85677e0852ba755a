"""docs/checks.md: each mistake stops the start with the documented message."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import marshmallow as ma
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import column_property, relationship

from app.config import StartError
from app.core.background.job_types import job
from app.core.background.periodic import HOUR, periodic_task
from app.core.openapi.operation import Operation
from app.core.resources.blueprint import Blueprint
from app.core.resources.child_rows import Rows
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.resources.references import Reference
from app.core.resources.scope_checks import check_result
from app.core.resources.scoped_query import path_param
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import DateTime, Enum, Integer, MoneyAmount, String
from app.core.security.authorization import permission, public
from app.core.web.problems import Problem
from app.users import roles
from app.users.models import User
from examples.notes.models import Note
from tests.errands.models import Errand
from tests.mistakes import (
    BATCH,
    BELOW,
    BODY,
    CREATES,
    EXAMPLE,
    FILE,
    FOUR,
    ITEM,
    RESPONSE,
    SCHEMA_OF_MARSHMALLOW,
    SOUP,
    accept_file,
    async_view,
    child_rows,
    declare,
    declare_action,
    filter_by_swapped_arguments,
    grant_and_start,
    list_filtered_with,
    list_sorted_by,
    named,
    own_model,
    register_twice,
    schema_of,
    schema_with,
    start_with,
    start_with_info,
    start_with_item,
    start_with_job_of,
    start_with_module,
    start_with_plain_view,
    start_with_view,
    take_body,
    view,
    view_of,
    view_of_cooks,
    view_that_returns,
    view_without_result,
    with_attribute,
    with_default,
    with_type,
)
from tests.resources_document import DOCS
from tests.resources_document import recipe as recipe
from tests.resources_document import recipes as recipes

MODULE_WITH_WRONG_FIELD = """
from app.core.schemas.base import Schema
from app.core.schemas.fields import String

class RecipeSchema(Schema):
    name = String(required=True)
"""

COUNT = sa.select(sa.func.count(User.id))

PROVOKED: list[Callable[[Any], Any]] = [
    lambda recipe: declare(view(docstring=None)),
    lambda recipe: declare(None, lambda function: function),
    lambda recipe: Blueprint("recipes", __name__).get("")(view()),
    lambda recipe: declare(access="recipes:own"),
    lambda recipe: declare(rate_limit="5 per fortnight"),
    lambda recipe: Blueprint.returns(view()),  # type: ignore[arg-type]
    lambda recipe: Blueprint.action(ResourceSchema, audit="cook")(view()),  # type: ignore[call-arg]
    lambda recipe: declare_action("cook", "", ResourceSchema, schema=Errand.visible_to),
    lambda recipe: Blueprint.queries("2")(view()),  # type: ignore[arg-type]
    lambda recipe: Blueprint.response(404)(view()),
    lambda recipe: Blueprint.error(700, "Never.")(view()),
    lambda recipe: declare(None, BODY, BATCH),
    lambda recipe: declare(None, CREATES),
    lambda recipe: declare(None, BODY, RESPONSE),
    lambda recipe: declare(None, BODY, FILE, CREATES, method="post"),
    lambda recipe: declare(None, BODY, RESPONSE, method="patch"),
    lambda recipe: declare(
        None, Blueprint.body(schema_of(name=EXAMPLE), partial=True), CREATES, method="post"
    ),
    lambda recipe: declare(rule="/<int:recipe_id>"),
    lambda recipe: declare(rule="/"),
    lambda recipe: declare(None, BELOW, method="post"),
    lambda recipe: declare(async_view()),
    lambda recipe: declare().get("/again", access=public)(RESPONSE(view())),
    lambda recipe: start_with(
        declare(view(module="app.recipes.views"), name="views"), declare(rule="/all")
    ),
    lambda recipe: start_with_view(
        view_that_returns(sa.select(recipe).where(recipe.id == path_param("recipe")))
    ),
    lambda recipe: start_with_view(view_of_cooks()),
    lambda recipe: start_with_view(view_of_cooks(lambda caller: None)),
    lambda recipe: start_with_view(view_of_cooks(lambda caller: sa.select(recipe))),
    lambda recipe: accept_file(9, {}),
    lambda recipe: accept_file("MAX_UPLOAD"),
    lambda recipe: declare(
        view(), Blueprint.accepts_file({"image/*": "GIF"}, 9), CREATES, method="post"
    ),
    lambda recipe: declare_action("Cook", "/<uuid:recipe_id>/cook"),
    lambda recipe: declare_action("cook", "/cook"),
    lambda recipe: declare_action("cook", "/<uuid:recipe_id>/cook", sa.select(Errand)),
    lambda recipe: declare(view_of("recipe"), rule="/<uuid:recipe_id>"),
    lambda recipe: declare(view_of("data")),
    lambda recipe: start_with(
        declare(view_without_result(), Blueprint.returns(ResourceSchema), **ITEM)
    ),
    lambda recipe: list_sorted_by(),
    lambda recipe: list_sorted_by(cooked_at=recipe.cooked_at),
    lambda recipe: list_sorted_by(ratio=sa.cast(recipe.servings, sa.Float)),
    lambda recipe: list_sorted_by(name=recipe.name, default="-title"),
    lambda recipe: list_sorted_by(sort=Sort(["name"], default="name")),
    lambda recipe: filter_by_swapped_arguments(),
    lambda recipe: list_sorted_by(
        name=recipe.name, q=filter_by(ma.fields.List(EXAMPLE), lambda v: recipe.name == v)
    ),
    lambda recipe: list_sorted_by(name=recipe.name, cost_min=MoneyAmount()),
    lambda recipe: list_sorted_by(
        name=recipe.name, count=filter_by(EXAMPLE, lambda v: recipe.name == v)
    ),
    lambda recipe: list_sorted_by(
        name=recipe.name, q=filter_by(String(max_length=9), lambda v: recipe.title == v)
    ),
    lambda recipe: list_sorted_by(
        name=recipe.name, q=filter_by(String(max_length=9), lambda v: None)
    ),
    lambda recipe: list_sorted_by(
        name=recipe.name, q=filter_by(String(max_length=9), lambda v: recipe.servings == v)
    ),
    lambda recipe: list_sorted_by(name=recipe.name, schema=schema_of(title=EXAMPLE)),
    lambda recipe: start_with_item(
        with_attribute(recipe, "owner", relationship(User)), owner=String(max_length=9, **SOUP)
    ),
    lambda recipe: start_with_item(
        with_attribute(recipe, "total", column_property(recipe.servings * 2)),
        total=Integer(min=1, max=9, **FOUR),
    ),
    lambda recipe: start_with_item(
        with_attribute(recipe, "title", recipe.__table__.c.name), title=EXAMPLE
    ),
    lambda recipe: start_with_item(recipe, servings=EXAMPLE),
    lambda recipe: start_with_item(
        with_type(recipe, "cooked_at", sa.DateTime()), cooked_at=DateTime(allow_none=True)
    ),
    lambda recipe: start_with_item(
        with_type(recipe, "tags", sa.JSON()), tags=ma.fields.List(EXAMPLE, allow_none=True)
    ),
    lambda recipe: start_with_item(
        recipe, creates=True, servings=Integer(min=1, max=2**31, **FOUR)
    ),
    lambda recipe: start_with_item(recipe, steps=child_rows(position=Integer(min=0, max=9))),
    lambda recipe: start_with(
        declare(view_that_returns(sa.select(recipe)), Blueprint.returns_file(), **ITEM)
    ),
    lambda recipe: start_with_item(recipe, creates=True, owner_id=Reference(Note)),
    lambda recipe: start_with_item(
        recipe, creates=True, servings=Integer(min=1, max=9, allow_none=True, **FOUR)
    ),
    lambda recipe: start_with_item(with_default(recipe, "servings", "two")),
    lambda recipe: start_with_item(
        with_default(recipe, "cooked_at", "2026-01-01"), cooked_at=DateTime(allow_none=True)
    ),
    lambda recipe: start_with_item(
        with_attribute(recipe, "spice_count", column_property(COUNT.scalar_subquery())),
        creates=True,
        spice_count=Integer(min=0, max=9, dump_only=True),
    ),
    lambda recipe: start_with_info(recipe, feild="name"),
    lambda recipe: start_with_item(recipe, creates=True, name=EXAMPLE),
    lambda recipe: child_rows(salt=EXAMPLE),
    lambda recipe: Rows(Schema, own_model("Spice").step_id, max_length=9),
    lambda recipe: take_body(cook_id=Reference(type("Cook", (), {}))),
    lambda recipe: child_rows("step_id"),
    lambda recipe: schema_with(level=Enum("low", dump_only=True)),
    lambda recipe: schema_with(level=Enum([1, 2], dump_only=True)),  # type: ignore[list-item]
    lambda recipe: schema_with(level=Enum(["low"], dump_only=True, required=True)),
    lambda recipe: list_sorted_by(name=recipe.name, schema=schema_of("RecipeJSON", name=EXAMPLE)),
    lambda recipe: take_body(servings=Integer(min=1, max=9, metadata={"example": "4"})),
    lambda recipe: take_body(servings=Integer(min=1, max=9, load_default="4", **FOUR)),
    lambda recipe: schema_with(name=String(max_length=9)),
    lambda recipe: take_body(total=Integer(min=1, max=9)),
    lambda recipe: take_body(ratio=ma.fields.Float(metadata={"example": 1.5})),
    lambda recipe: take_body(name=EXAMPLE, check=ma.validates("title")(lambda *_, data_key: 0)),
    lambda recipe: take_body(name=EXAMPLE, strip=ma.pre_load(lambda *_, **options: None)),
    lambda recipe: take_body(name=EXAMPLE, make=ma.post_load(lambda *_, **options: Errand())),
    lambda recipe: schema_with(name=String(max_length=9, data_key="title")),
    lambda recipe: schema_with(cost=MoneyAmount(currency="code")),
    lambda recipe: schema_with(ratio=ma.fields.Float()),
    lambda recipe: schema_with(nutrition=ma.fields.Nested(SCHEMA_OF_MARSHMALLOW)),
    lambda recipe: schema_with(
        name=String(max_length=9, metadata={"example": "Soup"}),
        dump_louder=ma.post_dump(lambda self, data, **_: data | {"name": f"{data['name']}!"}),
    ),
    lambda recipe: start_with(declare(access=permission("recipes:onw"))),
    lambda recipe: start_with(list_filtered_with("recipes:onw")),
    lambda recipe: start_with_plain_view(view()),
    lambda recipe: Blueprint("recipes", "app.recipes.routes").route("/<uuid:recipe_id>"),
    lambda recipe: grant_and_start("editr"),
    lambda recipe: grant_and_start("editor", ["recipes:own"]),
    lambda recipe: start_with_job_of("recipes:onw"),
    lambda recipe: job("none")(named(view_of(), "app.recipes.background")),
    lambda recipe: periodic_task("none", interval=HOUR)(
        named(view_of("app"), "app.recipes.background")
    ),
    lambda recipe: register_twice(job("recipes.import"), "run_import"),
    lambda recipe: register_twice(periodic_task("old-recipes", interval=HOUR), "purge_recipes"),
    lambda recipe: start_with_module(MODULE_WITH_WRONG_FIELD),
]

MESSAGES = re.findall(r"^\| `(.*?)` \|", (DOCS / "checks.md").read_text(), re.MULTILINE)


def test_each_documented_message_is_provoked() -> None:
    assert len(MESSAGES) == len(PROVOKED) > 15


@pytest.mark.parametrize(("message", "provoke"), list(zip(MESSAGES, PROVOKED, strict=False)))
def test_start_up_check_has_the_documented_message(
    message: str, provoke: Callable[[Any], Any], recipe: Any
) -> None:
    with pytest.raises(StartError) as refused:
        provoke(recipe)
    # A service may have more roles.
    assert str(refused.value) == message.replace("user, editor, admin", ", ".join(roles.ROLES))


LIST_SCHEMA = schema_of(name=EXAMPLE)


@pytest.mark.parametrize("decorator", [Blueprint.paginated, Blueprint.exports])
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (Sort, "Sort"),
        (Schema, "Schema"),
        (PageQuery(), "<PageQuery(many=False)>"),
        ({"name": User.name}, "{'name': <"),
        (None, "None"),
    ],
)
def test_query_of_a_list_is_a_class_or_a_sort(decorator: Any, query: Any, shown: str) -> None:
    with pytest.raises(StartError) as refused:
        decorator(LIST_SCHEMA, query)(view())
    kind = decorator.__name__
    start, end = str(refused.value).split(shown, 1)
    assert start == f"app.recipes.routes.read_recipe: @{kind}: query="
    assert end.endswith(" is no subclass of PageQuery or Sort(…)")


def test_mistake_in_a_sort_without_a_query_class_names_the_schema(recipe: Any) -> None:
    for keys, problem in (
        ({"cooked_at": recipe.cooked_at}, "the sort key cooked_at can be NULL"),
        ({"name": recipe.name}, "the default 'cooked_at' of sort is no sort key"),
        ({}, "a sort is missing"),
    ):
        with pytest.raises(StartError) as refused:
            Blueprint.paginated(LIST_SCHEMA, Sort(keys, default="cooked_at"))
        assert str(refused.value) == f"app.recipes.schemas.RecipeSchema: {problem}"


def view_with_a_result_or_none(recipe_id: UUID) -> Any:
    return {"id": recipe_id} if recipe_id else None


def view_that_raises(recipe_id: UUID) -> None:
    raise Problem("not-found")


@pytest.mark.parametrize("function", [view_with_a_result_or_none, view_that_raises])
def test_view_that_returns_something_or_raises_is_accepted(function: Callable[..., Any]) -> None:
    check_result(function, Operation(response_kind="returns"))
