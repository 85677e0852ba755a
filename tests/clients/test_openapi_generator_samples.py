# begin products tasks
"""The Python client that openapi-generator generates, with the sample features."""

from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.slow
CSV = "sku,name,category,price,currency\r\nPOT-0001,Tea pot,kitchen,30.00,EUR\r\n"


def every_page(operation: Any) -> list[Any]:
    """The items of all pages of a list."""
    page = operation(limit=2)
    items = list(page.items)
    while page.next_cursor is not None:
        page = operation(limit=2, cursor=page.next_cursor)
        items += page.items
    return items


def test_client_of_openapi_generator_creates_lists_changes_and_deletes(
    client: ModuleType, connection: Any
) -> None:
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


def test_client_of_openapi_generator_sends_batches_and_files(
    client: ModuleType, connection: Any
) -> None:
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


# end products tasks
