"""docs/resources.md: each mistake stops the start with the documented message."""

import re
from collections.abc import Callable
from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa
from flask import Blueprint as PlainBlueprint
from flask import Flask

from app import create_app
from app.config import StartError
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import Boolean, Integer, MoneyAmount, String
from app.core.security.authorization import (
    permission,
    public,
)
from app.features import FEATURES
from app.tasks.models import Task
from app.users import roles
from tests.core.security.test_authorization import SETTINGS
from tests.features import as_feature
from tests.resources_document import DOCUMENT
from tests.resources_document import recipe as recipe
from tests.resources_document import recipes as recipes


def view(*, docstring: str | None = "Read a recipe.") -> Callable[..., None]:
    """A view with the name of the document's."""

    def read_recipe() -> None:
        pass

    read_recipe.__module__, read_recipe.__qualname__ = "app.recipes.routes", "read_recipe"
    read_recipe.__doc__ = docstring
    return read_recipe


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


def declare_action(verb: str, rule: str) -> None:
    blueprint = Blueprint("recipes", __name__)
    action = blueprint.action(ResourceSchema, Task.visible_to, audit=verb)
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
    done = filter_by(Boolean(), lambda value: Task.done == value, permission=needed)
    return list_sorted_by(title=Task.title, done=done)


EXAMPLE = String(max_length=9, metadata={"example": "Soup"})


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
    assert str(refused.value) == message
