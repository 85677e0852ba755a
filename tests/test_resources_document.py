"""docs/resources.md: its resource works as described."""

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from inspect import signature
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from app.core.background.periodic import PERIODIC_TASKS
from app.core.database.types import now
from app.core.files.uploads import StoredUpload
from app.core.security.authorization import (
    assert_all_views_protected,
)
from app.extensions import db
from app.users import roles
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.conftest import MakeApp
from tests.contract.document import document_of
from tests.resources_document import BLOCKS, DOCS, DOCUMENT, FILES, source
from tests.resources_document import recipe as recipe
from tests.resources_document import recipes as recipes

RUFF = (sys.executable, "-m", "ruff")


@pytest.fixture
def recipe_api(make_app: MakeApp, recipes: ModuleType, recipe: Any) -> Iterator[Api]:
    """An application with the feature, and with its table."""
    app = make_app()
    # begin jobs
    importlib.import_module(f"{recipes.__name__}.imports")
    # end jobs
    recipes.init_app(app)
    assert_all_views_protected(app, roles.all_permissions())
    with app.app_context():
        db.metadata.create_all(db.engine, tables=[recipe.__table__])
    yield Api(app)
    with app.app_context():
        db.session.remove()
        db.metadata.drop_all(db.engine, tables=[recipe.__table__])


def test_each_python_block_belongs_to_a_file() -> None:
    assert len(BLOCKS) == (DOCUMENT + FILES).count("```python")


@pytest.mark.parametrize("path", sorted({path for path, _ in BLOCKS}))
def test_file_of_the_document_passes_ruff(path: str) -> None:
    own = "lint.isort.known-first-party = ['app']"  # the files do not exist
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        checked = subprocess.run(
            [*RUFF, *command, "--config", own, "--stdin-filename", path, "-"],
            input=f"{source(path).rstrip()}\n",
            cwd=DOCS.parent,
            capture_output=True,
            text=True,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_document_stays_below_700_lines() -> None:
    assert len(DOCUMENT.splitlines()) < 700


def test_item_is_created_read_updated_and_deleted(
    recipe_api: Api, user: Caller, other: Caller
) -> None:
    body = {"name": "Soup", "cost": "2.5", "currency": "EUR", "nutrition": {"kcal": 420}}
    created = recipe_api.post("recipes", body, by=user, status=201)
    url = created.headers["Location"]
    assert created.json["cost"] == "2.50"
    assert created.json["servings"] == 2
    assert recipe_api.get(url, by=user, status=200).json == created.json
    recipe_api.get(url, by=other, status=404)
    updated = recipe_api.patch(url, {"tags": ["vegan"]}, by=user, etag='"1"', status=200)
    assert updated.json["tags"] == ["vegan"]
    recipe_api.patch(url, {"tags": []}, by=user, etag='"1"', status=412)
    recipe_api.patch(url, {"tags": []}, by=user, etag=None, status=428)
    recipe_api.delete(url, by=user, status=204)


def test_invalid_values_are_refused_by_member(recipe_api: Api, user: Caller) -> None:
    url = recipe_api.post("recipes", {"name": "Soup"}, by=user, status=201).headers["Location"]
    assert error_locations(recipe_api.post("recipes", {"name": "SOUP"}, by=user, status=409)) == {
        "#/name"
    }
    for member, value in (
        ("cost", "2.50"),  # without its currency: the constraint
        ("tags", ["a"] * 21),  # the hook
        ("servings", "3"),
        ("nutrition", {"kcal": 1, "sugar": 1}),
        ("version", 7),
    ):
        refused = recipe_api.patch(url, {member: value}, by=user, status=422)
        assert {place.split("/")[1] for place in error_locations(refused)} == {member}


def test_list_is_filtered_sorted_and_counted(recipe_api: Api, user: Caller, editor: Caller) -> None:
    for name in ("Soup", "Salad"):
        body = {"name": name, "cost": "2.50", "currency": "EUR"}
        recipe_api.post("recipes", body, by=user, status=201)
    page = recipe_api.get("recipes?q=soup&sort=-cooked_at&count=exact", by=user, status=200).json
    assert [item["name"] for item in page["items"]] == ["Soup"]
    assert page["count"] == 1
    assert error_locations(recipe_api.get("recipes?cost_min=2", by=user, status=403)) == {
        "cost_min"
    }
    assert recipe_api.get("recipes?cost_min=2", by=editor, status=200).json["items"] == []


def test_batch_is_executed(recipe_api: Api, user: Caller) -> None:
    items = [{"op": "create", "value": {"name": name}} for name in ("Soup", "Salad")]
    done = recipe_api.post("recipes/batch", {"items": items}, by=user, status=200).json["items"]
    assert [item["status"] for item in done] == [201, 201]


def test_action_is_refused_by_the_state_of_the_row(
    recipe_api: Api, user: Caller, admin: Caller
) -> None:
    url = recipe_api.post("recipes", {"name": "Soup"}, by=user, status=201).headers["Location"]
    headers = {"If-Match": "*"}
    cooked = recipe_api.post(f"{url}/cook", by=user, headers=headers, status=200)
    assert cooked.json["cooked_at"]
    recipe_api.post(f"{url}/cook", by=user, headers=headers, status=409)
    # begin audit
    event = recipe_api.get("audit-events?action=cook", by=admin, status=200).json["items"][0]
    assert event["after"] == {"cooked_at": cooked.json["cooked_at"]}
    # end audit


# begin jobs
def test_import_creates_a_recipe_for_each_line(recipe_api: Api, user: Caller) -> None:
    file: dict[str, Any] = {"data": b"Soup\nSalad\n", "content_type": "text/csv"}
    job = recipe_api.post("recipes/imports", by=user, status=202, **file).headers["Location"]
    assert recipe_api.get(job, by=user, status=200).json["result"] == {"created": 2}
    assert len(recipe_api.get("recipes", by=user, status=200).json["items"]) == 2


def test_import_is_refused_while_another_has_not_finished(
    recipe_api: Api, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe_api.app.extensions["jobs"], "send", lambda job_id: None)
    file: dict[str, Any] = {"data": b"Soup\n", "content_type": "text/csv"}
    recipe_api.post("recipes/imports", by=user, status=202, **file)
    recipe_api.post("recipes/imports", by=user, status=409, **file)


# end jobs
def test_periodic_task_deletes_old_rows(recipe_api: Api, recipe: Any, user: Caller) -> None:
    for name in ("Soup", "Salad"):
        item = recipe_api.post("recipes", {"name": name}, by=user, status=201).json
    app = recipe_api.app
    rows.change(app, recipe, UUID(item["id"]), updated_at=now() - timedelta(days=3651))
    with app.app_context():
        assert PERIODIC_TASKS["old-recipes"].func() == 1
    assert rows.count(app, recipe) == 1


@pytest.fixture
def step_api(recipe_api: Api, recipes: ModuleType) -> Iterator[Api]:
    """The feature together with its resource of section 11."""
    module = importlib.import_module(f"{recipes.__name__}.steps")
    recipe_api.app.register_blueprint(module.steps)
    tables = [module.Step.__table__, module.Ingredient.__table__]
    with recipe_api.app.app_context():
        db.metadata.create_all(db.engine, tables)
    yield recipe_api
    with recipe_api.app.app_context():
        db.session.remove()
        db.metadata.drop_all(db.engine, tables)
    for table in tables:
        db.metadata.remove(table)


def test_related_rows_are_written_and_read(step_api: Api, user: Caller, other: Caller) -> None:
    recipe = step_api.post("recipes", {"name": "Soup"}, by=user, status=201)
    steps = f"{recipe.headers['Location']}/steps"
    salt, oil = ({"name": name} for name in ("Salt", "Oil"))
    body = {"text": "Stir.", "ingredients": [salt, oil], "like_id": recipe.json["id"]}
    created = step_api.post(steps, body, by=user, status=201)
    assert created.json["ingredients"] == [salt, oil]
    assert created.json["ingredient_count"] == 2
    page = step_api.get(f"{steps}?ingredient=Oil", by=user, status=200).json
    assert page["items"] == [created.json]
    step_api.get(steps, by=other, status=404)
    step_api.post(steps, body, by=other, status=422)  # the reference comes first
    step_api.post(steps, {"text": "Stir."}, by=other, status=404)
    path = created.headers["Location"]
    twice = step_api.patch(path, {"ingredients": [salt, oil, salt]}, by=user, status=409)
    assert error_locations(twice) == {"#/ingredients/2/name"}
    step_api.patch(path, {"ingredients": [], "is_final": True}, by=user, status=200)
    step_api.patch(path, {"text": "Fry."}, by=user, status=403)


@pytest.fixture
def photo_api(recipe_api: Api, recipes: ModuleType) -> Iterator[Api]:
    """The feature together with the resource of docs/files.md."""
    module = importlib.import_module(f"{recipes.__name__}.photos")
    recipe_api.app.register_blueprint(module.photos)
    table = module.Photo.__table__
    with recipe_api.app.app_context():
        db.metadata.create_all(db.engine, [table])
    yield recipe_api
    with recipe_api.app.app_context():
        db.session.remove()
        db.metadata.drop_all(db.engine, [table])
    db.metadata.remove(table)


def test_photo_is_stored_downloaded_and_deleted(
    photo_api: Api, user: Caller, other: Caller
) -> None:
    recipe = photo_api.post("recipes", {"name": "Soup"}, by=user, status=201)
    photos = f"{recipe.headers['Location']}/photos"
    file: dict[str, Any] = {"data": b"GIF89a...", "content_type": "image/gif"}
    photo_api.call("POST", photos, by=other, status=404, **file)
    assert rows.count(photo_api.app, StoredUpload) == 0
    named = {"query_string": {"file_name": "Soup.gif"}, **file}
    path = photo_api.call("POST", photos, by=user, status=201, **named).headers["Location"]
    assert photo_api.get(path, by=user, status=200).json["file_name"] == "Soup.gif"
    got = photo_api.get(f"{path}/file", by=user, status=200)
    assert (got.data, got.headers["Content-Type"]) == (b"GIF89a...", "image/gif")
    photo_api.get(f"{path}/file", by=other, status=404)
    photo_api.delete(path, by=user, status=204)
    photo_api.get(f"{path}/file", by=user, status=404)
    assert rows.count(photo_api.app, StoredUpload) == 0


def test_documented_resource_is_in_the_openapi_document(recipe_api: Api) -> None:
    schemas = document_of(recipe_api.app)["components"]["schemas"]
    assert {"Recipe", "RecipeNew", "RecipeChange", "RecipePage"} <= schemas.keys()


def _documented_tests() -> dict[str, Callable[..., None]]:
    namespace: dict[str, Any] = {}
    exec(source("tests/recipes/test_recipes.py"), namespace)
    return {name: value for name, value in namespace.items() if name.startswith("test_")}


@pytest.mark.parametrize("name", _documented_tests())
def test_documented_test_passes(name: str, recipe_api: Api, request: pytest.FixtureRequest) -> None:
    function = _documented_tests()[name]
    others = {p: request.getfixturevalue(p) for p in signature(function).parameters if p != "api"}
    function(api=recipe_api, **others)
