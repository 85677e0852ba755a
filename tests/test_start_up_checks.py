"""docs/resources.md: each mistake stops the start with the documented message."""

import re
from collections.abc import Callable
from functools import cache
from inspect import Parameter, Signature
from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa
from flask import Blueprint as PlainBlueprint
from flask import Flask
from sqlalchemy.orm import column_property, mapped_column, relationship

from app import create_app
from app.config import StartError
from app.core.resources.blueprint import Blueprint
from app.core.resources.child_rows import Rows
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.resources.references import Reference
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Boolean, Integer, MoneyAmount, String
from app.core.security.authorization import (
    permission,
    public,
)
from app.extensions import Base
from app.features import FEATURES
from app.users import roles
from app.users.models import User
from examples.notes.models import Note
from tests.core.security.test_authorization import SETTINGS
from tests.errands.models import Errand
from tests.features import as_feature, own_metadata
from tests.resources_document import DOCUMENT
from tests.resources_document import recipe as recipe
from tests.resources_document import recipes as recipes


def view(*, docstring: str | None = "Read a recipe.") -> Callable[..., None]:
    """A view with the name of the document's."""

    def read_recipe(*parameters: Any) -> None:
        pass

    read_recipe.__module__, read_recipe.__qualname__ = "app.recipes.routes", "read_recipe"
    read_recipe.__doc__ = docstring
    return read_recipe


def view_of(*names: str) -> Callable[..., None]:
    """The same with these parameters."""
    function: Any = view()
    kind = Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = Signature([Parameter(name, kind) for name in names])
    return function


def route(rule: str, *names: str) -> None:
    blueprint = Blueprint("recipes", __name__, url_prefix="/recipes")
    blueprint.post(rule, access=public)(blueprint.response(204)(view_of(*names)))


def declare(function: Any = None, *, responds: bool = True, **options: Any) -> Blueprint:
    """A blueprint with one route."""
    blueprint = Blueprint("recipes", __name__, url_prefix="/recipes")
    function = function or view()
    if responds:
        function = blueprint.response(204)(function)
    blueprint.get("", **{"access": public, **options})(function)
    return blueprint


def accept_file(max_bytes: Any) -> None:
    Blueprint("recipes", __name__).accepts_file({"text/csv": "a"}, max_bytes)(view())


def declare_action(verb: str, rule: str, rows: Any = Errand.visible_to) -> None:
    blueprint = Blueprint("recipes", __name__)
    action = blueprint.action(ResourceSchema, rows, audit=verb)
    blueprint.post(rule, access=public)(action(view()))


def list_sorted_by(
    *, schema: type[ResourceSchema] = ResourceSchema, default: str = "", **members: Any
) -> Blueprint:
    """A list with these filters and sort keys."""
    filters = {k: members.pop(k) for k, v in {**members}.items() if isinstance(v, ma.fields.Field)}
    if members:
        filters["sort"] = Sort(members, default=default or next(iter(members)))
    query = type("RecipeQuery", (PageQuery,), {"__module__": "app.recipes.schemas", **filters})
    blueprint = Blueprint("recipes", __name__, url_prefix="/recipes")
    blueprint.get("", access=public)(blueprint.paginated(schema, query)(view()))
    return blueprint


def list_filtered_with(needed: str) -> Blueprint:
    done = filter_by(Boolean(), lambda value: Errand.done == value, permission=needed)
    return list_sorted_by(title=Errand.title, done=done)


SOUP: dict[str, Any] = {"metadata": {"example": "Soup"}}
EXAMPLE = String(max_length=9, **SOUP)


def schema_of(**members: Any) -> type[ResourceSchema]:
    members["__module__"] = "app.recipes.schemas"
    return type("RecipeSchema", (ResourceSchema,), members)


def schema_with(**members: Any) -> None:
    Blueprint("recipes", __name__).returns(schema_of(**members))


def take_body(**members: Any) -> None:
    Blueprint("recipes", __name__).body(schema_of(**members))(view())


def start_with_plain_view(function: Any) -> Flask:
    plain = PlainBlueprint("recipes", __name__, url_prefix="/recipes")
    plain.add_url_rule("", "read_recipe", function)
    feature: Any = as_feature()
    feature.init_app = lambda app: app.register_blueprint(plain)
    return create_app(SETTINGS, features=(*FEATURES, feature))


def start_with(blueprint: Blueprint) -> Flask:
    return create_app(SETTINGS, features=(*FEATURES, as_feature(blueprint)))


def grant_and_start(role: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roles, "_unknown_roles", [])
        roles.grant(role, "recipes:own")
        create_app(SETTINGS)


def start_with_item(recipe: Any, *, creates: bool = False, **members: Any) -> None:
    """Start with a route whose schema has these members, and some that only recipes have."""
    schema = schema_of(
        name=members.pop("name", String(max_length=9, required=True, **SOUP)),
        servings=members.pop("servings", Integer(min=1, max=9, **SOUP)),
        nutrition=ma.fields.Dict(allow_none=True, **SOUP),
        **members,
    )
    blueprint = Blueprint("recipes", __name__, url_prefix="/recipes")
    if creates:
        function = view_of("data")
        function = blueprint.creates(schema)(blueprint.body(schema)(function))
        blueprint.post("", access=public)(function)
    else:
        blueprint.get("/<uuid:recipe_id>", access=public)(
            blueprint.returns(schema)(view_of("recipe_id"))
        )
    start_with(blueprint)


def with_attribute(recipe: Any, name: str, value: Any) -> Any:
    setattr(recipe, name, value)
    return recipe


class OwnBase(Base):
    """Tables of this module."""

    __abstract__ = True
    metadata = own_metadata()


@cache
def child_model(name: str, **key: str) -> Any:
    """A model of child rows."""
    members: dict[str, Any] = {
        "__module__": "app.recipes.steps",
        "__tablename__": f"{name.lower()}s",
        "step_id": mapped_column(sa.ForeignKey("users.id", **key), primary_key=True),
        "position": mapped_column(sa.Integer(), primary_key=True),
    }
    return type(name, (OwnBase,), members)


def child_rows(**members: Any) -> Rows:
    schema = type("IngredientSchema", (Schema,), {"__module__": "app.recipes.steps", **members})
    return Rows(schema, child_model("Ingredient", ondelete="CASCADE").step_id, max_length=9)


SCHEMA_OF_MARSHMALLOW = ma.Schema.from_dict({"kcal": ma.fields.Integer()})

PROVOKED: list[Callable[[Any], Any]] = [
    lambda recipe: declare(view(docstring=None)),
    lambda recipe: declare(responds=False),
    lambda recipe: Blueprint("recipes", __name__).get("")(view()),
    lambda recipe: declare(access="recipes:own"),
    lambda recipe: declare(rate_limit="5 per fortnight"),
    lambda recipe: accept_file("MAX_UPLOAD"),
    lambda recipe: declare_action("Cook", "/<uuid:recipe_id>/cook"),
    lambda recipe: declare_action("cook", "/cook"),
    lambda recipe: declare_action("cook", "/<uuid:recipe_id>/cook", sa.select(Errand)),
    lambda recipe: route("/<uuid:recipe_id>/cook", "recipe"),
    lambda recipe: route("", "data"),
    lambda recipe: list_sorted_by(),
    lambda recipe: list_sorted_by(cooked_at=recipe.cooked_at),
    lambda recipe: list_sorted_by(ratio=sa.cast(recipe.servings, sa.Float)),
    lambda recipe: list_sorted_by(name=recipe.name, default="-title"),
    lambda recipe: list_sorted_by(name=recipe.name, cost_min=MoneyAmount()),
    lambda recipe: list_sorted_by(
        name=recipe.name, q=filter_by(String(max_length=9), lambda v: recipe.title == v)
    ),
    lambda recipe: list_sorted_by(
        name=recipe.name, q=filter_by(String(max_length=9), lambda v: None)
    ),
    lambda recipe: list_sorted_by(name=recipe.name, schema=schema_of(title=EXAMPLE)),
    lambda recipe: start_with_item(
        with_attribute(recipe, "owner", relationship(User)), owner=String(max_length=9, **SOUP)
    ),
    lambda recipe: start_with_item(
        with_attribute(recipe, "total", column_property(recipe.servings * 2)),
        total=Integer(min=1, max=9, **SOUP),
    ),
    lambda recipe: start_with_item(recipe, steps=child_rows(position=Integer(min=0, max=9))),
    lambda recipe: start_with_item(recipe, creates=True, owner_id=Reference(Note)),
    lambda recipe: start_with_item(
        recipe, creates=True, servings=Integer(min=1, max=9, allow_none=True, **SOUP)
    ),
    lambda recipe: start_with_item(recipe, creates=True, name=EXAMPLE),
    lambda recipe: child_rows(salt=EXAMPLE),
    lambda recipe: Rows(Schema, child_model("Spice").step_id, max_length=9),
    lambda recipe: Reference(type("Cook", (), {"__module__": "app.recipes.models"})),
    lambda recipe: schema_with(name=String(max_length=9)),
    lambda recipe: take_body(servings=Integer(min=1, max=9)),
    lambda recipe: take_body(ratio=ma.fields.Float(metadata={"example": 1.5})),
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
    lambda recipe: grant_and_start("editr"),
]

CHECKS = DOCUMENT.partition("\n## 9. ")[2].partition("\n## 10. ")[0]

MESSAGES = re.findall(r"^\| `(.*?)` \|", CHECKS, re.MULTILINE)


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
