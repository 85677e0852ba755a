"""The Python client that openapi-generator generates."""

import compileall
import importlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests.clients.commands import OPENAPI, run
from tests.live import Live

pytestmark = pytest.mark.slow
CSV = "sku,name,category,price,currency\r\nPOT-0001,Tea pot,kitchen,30.00,EUR\r\n"


def generate(generator: str, folder: Path, *options: str) -> Path:
    """The folder with the client that a generator of openapi-generator writes."""
    command = ("openapi-generator-cli", "generate", "-g", generator, "-i", OPENAPI)
    extras = ("modelTests", "apiTests", "modelDocs", "apiDocs")
    nothing_else = ("--global-property", ",".join(f"{extra}=false" for extra in extras))
    run(*command, "-o", folder / generator, *nothing_else, *options, where=folder)
    return folder / generator


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated package; all of its modules are compiled, with warnings as errors."""
    root = tmp_path_factory.mktemp("openapi_generator")
    folder = generate("python", root, "--package-name", "openapi_generator_client")
    assert compileall.compile_dir(folder, quiet=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("openapi_generator_client")


def log_in(client: ModuleType, live: Live) -> Any:
    """The generated `ApiClient` with the token of the demo account, an editor."""
    configuration = client.Configuration(host=live.url)
    credentials = client.Login(email=DEMO_EMAIL, password=DEMO_PASSWORD)
    tokens = client.AuthApi(client.ApiClient(configuration)).log_in(credentials)
    configuration.access_token = tokens.access_token
    return client.ApiClient(configuration)


def every_page(operation: Any) -> list[Any]:
    """The items of all pages of a list."""
    page = operation(limit=2)
    items = list(page.items)
    while page.next_cursor is not None:
        page = operation(limit=2, cursor=page.next_cursor)
        items += page.items
    return items


def test_client_of_openapi_generator_creates_lists_changes_and_deletes(
    live: Live, client: ModuleType
) -> None:
    connection = log_in(client, live)
    tasks = client.TasksApi(connection)
    due_at = datetime(2030, 1, 31, 18, tzinfo=UTC)
    created = [
        tasks.create_task(
            client.TaskNew(title=f"Task {n}", due_at=due_at), idempotency_key=f"k-{n}"
        )
        for n in range(5)
    ]
    assert {task.due_at for task in created} == {due_at}
    found = [task.id for task in every_page(tasks.list_tasks)]
    assert len(set(found)) == len(found)
    assert {task.id for task in created} <= set(found)
    assert every_page(lambda **page: tasks.list_tasks(due_from=due_at, due_to=due_at, **page)) == []

    read = tasks.read_task_with_http_info(created[0].id)
    change = client.TaskChange(done=True, due_at=None)
    condition = {"if_match": read.headers["ETag"]}
    changed = tasks.update_task(task_id=created[0].id, task_change=change, **condition)
    assert (changed.version, changed.done, changed.due_at) == (2, True, None)
    assert changed.completed_at is not None
    with pytest.raises(client.ApiException) as stale:
        tasks.delete_task(task_id=created[0].id, **condition)
    problem = client.Problem.from_json(stale.value.body)
    assert (problem.status, problem.type) == (412, "/problems/precondition-failed")
    tasks.delete_task(task_id=created[0].id, if_match="*")
    with pytest.raises(client.exceptions.NotFoundException):
        tasks.read_task(created[0].id)

    auth = client.AuthApi(connection)
    assert len(auth.list_sessions().items) == 1
    auth.log_out()
    with pytest.raises(client.exceptions.UnauthorizedException):
        tasks.list_tasks()


def test_client_of_openapi_generator_sends_batches_and_files(
    live: Live, client: ModuleType
) -> None:
    connection = log_in(client, live)
    tasks, products = client.TasksApi(connection), client.ProductsApi(connection)
    kept, removed = (tasks.create_task(client.TaskNew(title=title)) for title in ("Old", "Gone"))
    items = [
        client.TaskBatchCreate(op="create", value=client.TaskNew(title="New")),
        client.TaskBatchUpdate(
            op="update", id=kept.id, if_match='"1"', value=client.TaskChange(title="Changed")
        ),
        client.TaskBatchDelete(op="delete", id=removed.id, if_match='"1"'),
    ]
    done = tasks.batch_tasks(client.TaskBatch(items=[client.TaskBatchItem(item) for item in items]))
    assert [item.status for item in done.items] == [201, 200, 204]
    assert done.items[1].value.title == "Changed"

    product = products.create_product(
        client.ProductNew(sku="CUP-1", name="Cup", category="kitchen", price="7", currency="JPY")
    )
    assert (product.price, product.description) == ("7", None)
    assert product.id in [item.id for item in every_page(products.list_products)]
    with pytest.raises(client.ApiException) as refused:
        products.update_product(
            product_id=product.id, if_match='"1"', product_change=client.ProductChange(price="7.5")
        )
    assert refused.value.status == 422
    job = products.import_products(CSV)
    assert client.JobsApi(connection).read_job(job.id).id == job.id


@pytest.mark.parametrize("generator", ["typescript-fetch", "java"])
def test_names_in_clients_of_openapi_generator_are_those_of_the_document(
    generator: str, tmp_path: Path
) -> None:
    """A generator invents a name where the document has none, or one that is taken."""
    folder = generate(generator, tmp_path)
    document = json.loads(OPENAPI.read_text())
    schemas = {*document["components"]["schemas"], "TaskBatchItem"}
    models = {path.stem for path in folder.rglob("*") if path.parent.name in ("models", "model")}
    invented = {name for name in models - schemas if not name.startswith(("index", "Abstract"))}
    assert invented == set()
    assert schemas <= models
    code = "".join(
        path.read_text() for path in folder.rglob("*Api.*") if path.suffix in (".ts", ".java")
    )
    for path in document["paths"].values():
        for method, operation in path.items():
            if method != "parameters":
                first, *rest = operation["operationId"].split("_")
                name = first + "".join(map(str.capitalize, rest))
                assert re.search(rf"\b{name}\(", code), name
