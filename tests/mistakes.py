"""Mistakes in the declarations of a resource, for `test_start_up_checks`."""

from collections.abc import Callable, Iterator
from functools import cache
from inspect import Parameter, Signature
from types import MappingProxyType
from typing import Any
from uuid import UUID

import marshmallow as ma
import pytest
import sqlalchemy as sa
from flask import Blueprint as PlainBlueprint
from flask import Flask
from sqlalchemy.orm import mapped_column

from app import create_app
from app.core.background.job_types import JOB_TYPES, job
from app.core.resources.blueprint import Blueprint
from app.core.resources.child_rows import Rows
from app.core.resources.declarations import Decorator
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Boolean, Integer, String
from app.core.security.authorization import current_caller, public
from app.extensions import Base
from app.features import FEATURES
from app.users import roles
from tests.core.security.test_authorization import SETTINGS
from tests.errands.models import Errand
from tests.features import as_feature, own_metadata


def named(function: Any, module: str = "app.recipes.routes") -> Any:
    """The function with the name of the document's view."""
    function.__module__, function.__qualname__ = module, function.__name__
    return function


def view(*, docstring: str | None = "Read a recipe.", module: str = "app.recipes.routes") -> Any:
    def read_recipe(*parameters: Any) -> Any:
        return parameters

    read_recipe.__doc__ = docstring
    return named(read_recipe, module)


def view_without_result() -> Any:
    def read_recipe(recipe_id: UUID) -> None:
        """Read a recipe."""

    return named(read_recipe)


def async_view() -> Any:
    async def read_recipe() -> None:
        """Read a recipe."""

    return named(read_recipe)


def view_that_returns(scoped: Any) -> Any:
    def read_recipe(recipe_id: UUID) -> Any:
        """Read a recipe."""
        return scoped

    return named(read_recipe)


def view_of_cooks(visible_to: Any = None) -> Any:
    """A view of a model with this scoped query."""
    cook = own_model("Cook", "app.recipes.models")
    vars(cook).get("visible_to") and delattr(cook, "visible_to")
    if visible_to:
        cook.visible_to = visible_to

    def read_recipe(recipe_id: UUID) -> Any:
        """Read a recipe."""
        return cook.visible_to(current_caller)

    return named(read_recipe)


def view_of(*names: str) -> Callable[..., None]:
    """The same with these parameters."""
    function: Any = view()
    kind = Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = Signature([Parameter(name, kind) for name in names])
    return function


def declare(
    function: Any = None,
    *declared: Decorator,
    rule: str = "",
    method: str = "get",
    name: str = "recipes",
    **options: Any,
) -> Blueprint:
    """A blueprint with one route."""
    blueprint = Blueprint(name, __name__, url_prefix="/recipes")
    function = function or view()
    for decorate in declared or (Blueprint.response(204),):
        function = decorate(function)
    getattr(blueprint, method)(rule, **{"access": public, **options})(function)
    return blueprint


def accept_file(max_bytes: Any, media_types: Any = MappingProxyType({"text/csv": "a"})) -> None:
    Blueprint.accepts_file(media_types, max_bytes)(view())


def declare_action(
    verb: str, rule: str, rows: Any = Errand.visible_to, *, schema: Any = ResourceSchema
) -> None:
    blueprint = Blueprint("recipes", __name__)
    action = blueprint.action(schema, rows, audit=verb)
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


def filter_by_swapped_arguments() -> None:
    condition = named(lambda value: value, "app.recipes.schemas")
    condition.__qualname__ = "RecipeQuery.<lambda>"
    filter_by(condition, String(max_length=9))  # type: ignore[arg-type]


def list_filtered_with(needed: str) -> Blueprint:
    done = filter_by(Boolean(), lambda value: Errand.done == value, permission=needed)
    return list_sorted_by(title=Errand.title, done=done)


SOUP: dict[str, Any] = {"metadata": {"example": "Soup"}}
FOUR: dict[str, Any] = {"metadata": {"example": 4}}
EXAMPLE = String(max_length=9, **SOUP)


def schema_of(name_: str = "RecipeSchema", **members: Any) -> type[ResourceSchema]:
    members["__module__"] = "app.recipes.schemas"
    return type(name_, (ResourceSchema,), members)


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


def start_with(*blueprints: Blueprint) -> Flask:
    return create_app(SETTINGS, features=(*FEATURES, as_feature(*blueprints)))


def start_with_view(function: Any) -> Flask:
    declared = declare(function, Blueprint.deletes(ResourceSchema), **ITEM, method="delete")
    return start_with(declared)


def start_with_module(text: str) -> Flask:
    """Start with a feature that imports a module with this text."""
    feature: Any = as_feature()
    feature.__name__ = "app.recipes"
    feature.init_app = lambda app: exec(text, {"__name__": "app.recipes.schemas"})
    return create_app(SETTINGS, features=(*FEATURES, feature))


def grant_and_start(role: str, permission: Any = "recipes:own") -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roles, "_wrong_grants", [])
        roles.grant(role, permission)
        create_app(SETTINGS)


def start_with_job_of(permission: str) -> None:
    def run_import(run: Any) -> None:
        pass

    job("recipes.import", permission=permission)(named(run_import, "app.recipes.background"))
    try:
        create_app(SETTINGS)
    finally:
        del JOB_TYPES["recipes.import"]


def register_twice(register: Callable[[Any], Any], name: str) -> None:
    def function(*_: Any) -> None:
        pass

    function.__name__ = name
    for _ in range(2):
        register(named(function, "app.recipes.background"))


def start_with_item(recipe: Any, *, creates: bool = False, **members: Any) -> None:
    """Start with a route whose schema has these members, and some that only recipes have."""
    schema = schema_of(
        name=members.pop("name", String(max_length=9, required=True, **SOUP)),
        servings=members.pop("servings", Integer(min=1, max=9, **FOUR)),
        nutrition=ma.fields.Dict(allow_none=True, metadata={"example": {}}),
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


def columns_of(recipe: Any, name: str) -> Iterator[Any]:
    # Those of earlier tests, too: any mapped class may be the model of a schema.
    for each in (mapper.class_ for mapper in Base.registry.mappers):
        if each.__name__ == recipe.__name__:
            yield each.__table__.c[name]


def with_default(recipe: Any, name: str, value: Any) -> Any:
    for column in columns_of(recipe, name):
        column.default = sa.ColumnDefault(value)
    return recipe


def with_type(recipe: Any, name: str, type_: Any) -> Any:
    for column in columns_of(recipe, name):
        column.type = type_
    return recipe


def start_with_info(recipe: Any, **info: str) -> None:
    """Start with this `info` of the unique index of the model."""
    recipe.__module__ = "app.recipes.models"
    (index,) = (each for each in recipe.__table__.indexes if each.unique)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "info", info)
        create_app(SETTINGS)


def with_attribute(recipe: Any, name: str, value: Any) -> Any:
    setattr(recipe, name, value)
    return recipe


class OwnBase(Base):
    """Tables of this module."""

    __abstract__ = True
    metadata = own_metadata()


@cache
def own_model(name: str, module: str = "app.recipes.steps", **key: str) -> Any:
    """A model whose rows could be child rows."""
    members: dict[str, Any] = {
        "__module__": module,
        "__tablename__": f"{name.lower()}s",
        "step_id": mapped_column(sa.ForeignKey("users.id", **key), primary_key=True),
        "position": mapped_column(sa.Integer(), primary_key=True),
    }
    return type(name, (OwnBase,), members)


def child_rows(parent_key: Any = None, **members: Any) -> Rows:
    schema = type("IngredientSchema", (Schema,), {"__module__": "app.recipes.steps", **members})
    parent_key = parent_key or own_model("Ingredient", ondelete="CASCADE").step_id
    return Rows(schema, parent_key, max_length=9)


ITEM = {"rule": "/<uuid:recipe_id>"}
CREATES = Blueprint.creates(ResourceSchema)
BODY = Blueprint.body(schema_of(name=EXAMPLE))
BATCH = Blueprint.batch(schema_of(name=EXAMPLE))
FILE = Blueprint.accepts_file({"text/csv": "a"}, 9)
BELOW = Blueprint.creates(ResourceSchema, parent=ResourceSchema)
RESPONSE = Blueprint.response(204)
SCHEMA_OF_MARSHMALLOW = ma.Schema.from_dict({"kcal": ma.fields.Integer()})
