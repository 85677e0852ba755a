"""Loading: `load_fast` gives what `load` gives, hooks run, errors have pointers."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import marshmallow as ma
import pytest
from flask import Flask

from app.core.resources.blueprint import Blueprint
from app.core.schemas.base import Schema
from app.core.schemas.fields import Boolean, Email, Integer, String
from app.core.schemas.loading import errors_as_json_pointers, errors_as_parameters, load
from app.core.security.authorization import public
from tests.api import Api
from tests.articles.schemas import ArticleQuery, ArticleSchema
from tests.conftest import MakeApp
from tests.errands.schemas import ErrandSchema

pytestmark = pytest.mark.database_independent

MUG = {"sku": "M", "name": "M", "category": "M", "price": "1", "currency": "EUR"}


NAN, INFINITY = float("nan"), float("inf")


ANYTHING = [
    None, True, False, 0, 1, -1, 7, 1.0, 1.5, 2**31, 2**63, NAN, INFINITY, "", "x", "ä" * 201,
    "x" * 6000, "a\0b", "1", "1.50", "1.505", "1.5055", "-1", "01", "1e3", "EUR", "JPY", "KWD",
    "eur", "low", "high", "2030-01-31T18:00:00Z", "2030-01-31T18:00:00", "2030-02-30T18:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "a@example.com", "A@Example.com", "a@b", [], ["x"], {}, {"x": 1},
]  # fmt: skip


def objects(schema: Schema, chance: Random) -> Iterator[Any]:
    """Random bodies: most members are valid, some are anything, and some are unknown."""
    yield from (None, [], "x", {})
    fine = {name: [] for name in schema.load_fields}
    for name, field in schema.load_fields.items():
        for value in ANYTHING:
            with suppress(ma.ValidationError):
                field.deserialize(value, name, {"currency": "KWD"})
                fine[name].append(value)
    for _ in range(300):
        names = [name for name in fine if chance.random() < 0.9]
        made = {name: chance.choice(fine[name] or ANYTHING) for name in names}
        if chance.random() < 0.3:
            made[chance.choice([*fine, "id", "unknown"])] = chance.choice(ANYTHING)
        yield made


def every_schema(parent: type[Schema] = Schema) -> Iterator[type[Schema]]:
    for each in parent.__subclasses__():
        yield from every_schema(each)
        if each.__module__.startswith(("app.", "examples.")):
            yield each


EVERY_SCHEMA = list(dict.fromkeys(every_schema()))


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("shape", EVERY_SCHEMA)
def test_load_fast_returns_the_result_of_load_and_none_for_invalid_data(
    app: Flask, shape: type[Schema], partial: bool
) -> None:
    schema = shape(partial=partial)
    with app.app_context():
        for sent in objects(schema, Random(shape.__name__)):
            found = schema.load_fast(copy.deepcopy(sent))
            if found is not None:
                assert repr(found) == repr(schema.load(sent)), sent
            elif schema.is_loaded_by_fields:
                with pytest.raises(ma.ValidationError):
                    schema.load(sent)


@pytest.mark.parametrize(
    ("shape", "sent"),
    [
        (ErrandSchema, {"title": "T", "done": False, "due_at": "2030-01-31T18:00:00Z"}),
        (ErrandSchema, {"title": "T", "description": None, "priority": "high"}),
        (ArticleSchema, MUG | {"stock": 3, "is_active": True, "price": "12.50"}),
        (ArticleQuery, {"category": "kitchen", "sort": "-price", "cursor": "abc"}),
    ],
)
def test_load_fast_loads_valid_data(shape: type[Schema], sent: Any) -> None:
    assert shape().load_fast(sent) == shape().load(sent)


LOAD_HOOKS = ("pre_load", "post_load", "validates", "validates_schema")


@pytest.mark.parametrize("shape", EVERY_SCHEMA, ids=lambda shape: shape.__name__)
def test_schema_with_load_hooks_is_loaded_by_load(shape: type[Schema]) -> None:
    """Marshmallow has no public name for the hooks; only this test reads the private one."""
    hooks = shape._hooks
    assert not (any(hooks[name] for name in LOAD_HOOKS) and shape().is_loaded_by_fields)


class Inner(Schema):
    count = Integer(min=0, max=9, required=True)


@pytest.mark.parametrize(
    "field",
    [
        String(max_length=9, data_key="otherName"),
        String(max_length=9, attribute="column"),
        ma.fields.Nested(Inner),
        ma.fields.List(ma.fields.Nested(Inner)),
    ],
    ids=["data_key", "attribute", "Nested", "List of Nested"],
)
def test_load_fast_leaves_renamed_and_nested_members_to_load(field: ma.fields.Field[Any]) -> None:
    schema = Schema.from_dict({"name": field})()
    assert isinstance(schema, Schema)
    assert schema.load_fast({}) is None
    assert load(schema, {}) == {}


def test_load_fast_leaves_partial_with_names_to_load() -> None:
    fields = {
        "a": String(max_length=9, required=True),
        "b": String(max_length=9, required=True),
    }
    schema = Schema.from_dict(fields)(partial=("a",))
    assert isinstance(schema, Schema)
    assert schema.load_fast({"b": "x"}) is None
    assert load(schema, {"b": "x"}) == {"b": "x"}
    with pytest.raises(ma.ValidationError):
        load(schema, {"a": "x"})


def test_load_fast_leaves_lists_of_objects_to_load() -> None:
    schema = Inner(many=True)
    assert schema.load_fast({"count": 1}) is None
    assert schema.load_fast([{"count": 1}]) is None


def test_load_fast_leaves_subclasses_of_dict_to_load() -> None:
    class Mapping(dict[str, Any]):
        """A subclass may give other members than it holds."""

    assert Inner().load_fast(Mapping(count=1)) is None


class Defaults(Schema):
    given = Integer(min=0, max=9, load_default=7)
    made = ma.fields.List(Boolean(), load_default=list)


def test_load_fast_calls_a_callable_default_each_time() -> None:
    schema = Defaults()
    first, second = (schema.load_fast({}) for _ in range(2))
    assert first == second == schema.load({}) == {"given": 7, "made": []}
    assert first is not None
    assert second is not None
    assert first["made"] is not second["made"]


def test_partial_schema_loads_no_default() -> None:
    assert Defaults(partial=True).load_fast({}) == {}


class SignUp(Schema):
    """A body with a hook of each kind."""

    name = String(max_length=9, required=True, metadata={"example": "Ada"})
    email = Email(metadata={"example": "ada@example.com"})
    repeated = Email(metadata={"example": "ada@example.com"})

    @ma.pre_load
    def strip(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return data | {"name": data["name"].strip()} if "name" in data else data

    @ma.validates("name")
    def name_is_free(self, value: str, data_key: str) -> None:
        if value == "root":
            raise ma.ValidationError("Is reserved.")

    @ma.validates_schema
    def addresses_are_alike(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("email") != data.get("repeated"):
            raise ma.ValidationError("Differs from email.", "repeated")

    @ma.post_load
    def greet(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**data, "greeting": f"Hello {data['name']}"}


class TestHooks:
    @pytest.fixture
    def guests(self, make_app: MakeApp) -> Api:
        odd = Blueprint("guests", __name__, url_prefix="/guests", description="Tests hooks.")

        @odd.post("", access=public)
        @odd.body(SignUp)
        @odd.response(200, Schema.from_dict({"greeting": Email()}))  # type: ignore[arg-type]
        def sign_up(data: dict[str, Any]) -> dict[str, Any]:
            """Greet a guest."""
            return data

        return Api(make_app(odd))

    def test_pre_load_and_post_load_hooks_run_for_a_request_body(self, guests: Api) -> None:
        response = guests.post("guests", {"name": " Ada "}, status=200)
        assert response.json == {"greeting": "Hello Ada"}

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({"name": "root"}, {"detail": "Is reserved.", "pointer": "#/name"}),
            (
                {"name": "Ada", "email": "a@b.example", "repeated": "c@b.example"},
                {"detail": "Differs from email.", "pointer": "#/repeated"},
            ),
        ],
    )
    def test_validation_hooks_run_for_a_request_body(
        self, guests: Api, body: Any, error: Any
    ) -> None:
        assert guests.post("guests", body, status=422).json["errors"] == [error]


def test_error_of_nested_member_has_its_json_pointer() -> None:
    schema = Schema.from_dict(
        {"items": ma.fields.List(ma.fields.Nested(Inner)), "a/b~c d": Boolean(required=True)}
    )()
    with pytest.raises(ma.ValidationError) as invalid:
        load(schema, {"items": [{"count": 1}, {"count": 10, "x": 1}, 7]})  # type: ignore[arg-type]
    assert errors_as_json_pointers(invalid.value.messages_dict, "#/value") == [
        {
            "detail": "Must be greater than or equal to 0 and less than or equal to 9.",
            "pointer": "#/value/items/1/count",
        },
        {"detail": "Unknown or read-only member.", "pointer": "#/value/items/1/x"},
        {"detail": "Must be a JSON object.", "pointer": "#/value/items/2"},
        {
            "detail": "Missing data for required field.",
            "pointer": "#/value/a~1b~0c%20d",
        },
    ]


def test_pointer_does_not_repeat_a_huge_name() -> None:
    messages = {"x" * 8001: ["Unknown."], "y" * 8000: ["Unknown."]}
    pointers = [error["pointer"] for error in errors_as_json_pointers(messages)]
    assert pointers == ["#", "#/" + "y" * 8000]


def test_error_of_parameter_has_its_name() -> None:
    messages = {"a": ["Unknown or read-only member."], "b": ["Not a valid string."]}
    assert errors_as_parameters(messages) == [
        {"detail": "Unknown parameter.", "parameter": "a"},
        {"detail": "Not a valid string.", "parameter": "b"},
    ]
