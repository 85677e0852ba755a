"""The Postman collection that openapi-to-postmanv2 makes of the document, run by newman."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests.clients.commands import OPENAPI, run
from tests.live import Live

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("npm"), reason="no npm"),
    pytest.mark.usefixtures("npm_tools"),
]
JSON = dict[str, Any]
OPTIONS = "parametersResolution=Example,enableOptionalParameters=false"
# The steps: operation, expected status, variables of the path, query or header fields, and what
# the script that runs after the response remembers.
REMEMBER_TASK = """
pm.collectionVariables.set("id", pm.response.json().id);
pm.collectionVariables.set("etag", pm.response.headers.get("ETag"));
"""
REMEMBER_TOKEN = 'pm.collectionVariables.set("bearerToken", pm.response.json().access_token);'
REMEMBER_CURSOR = 'pm.collectionVariables.set("cursor", pm.response.json().next_cursor);'
STEPS: list[tuple[str, int, JSON, str]] = [
    ("log_in", 200, {}, REMEMBER_TOKEN),
    # begin products tasks
    ("create_task", 201, {}, ""),
    ("create_task", 201, {}, REMEMBER_TASK),
    ("list_tasks", 200, {"limit": "1"}, REMEMBER_CURSOR),
    ("list_tasks", 200, {"limit": "1", "cursor": "{{cursor}}"}, ""),
    ("read_task", 200, {"task_id": "{{id}}"}, ""),
    ("update_task", 200, {"task_id": "{{id}}", "If-Match": "{{etag}}"}, ""),
    ("delete_task", 412, {"task_id": "{{id}}", "If-Match": "{{etag}}"}, ""),
    ("delete_task", 204, {"task_id": "{{id}}", "If-Match": "*"}, ""),
    ("batch_tasks", 200, {}, ""),
    ("create_product", 201, {}, ""),
    ("import_products", 202, {"Idempotency-Key": "a-file"}, ""),
    # end products tasks
    ("read_me", 200, {}, ""),
    ("log_out", 204, {}, ""),
    ("read_me", 401, {}, ""),
]


@pytest.fixture
def collection(tmp_path: Path) -> JSON:
    """The collection with the examples of the document; the demo account logs in."""
    run("openapi2postmanv2", "-s", OPENAPI, "-o", "made.json", "-O", OPTIONS, where=tmp_path)
    text = (tmp_path / "made.json").read_text()
    for example, real in {
        "ada1@example.com": DEMO_EMAIL,
        "correct horse battery staple": DEMO_PASSWORD,
    }.items():
        text = text.replace(example, real)
    made: JSON = json.loads(text)
    return made


def requests_of(folder: JSON) -> Iterator[JSON]:
    """The requests of a collection, in all of its folders."""
    for item in folder["item"]:
        if "item" in item:
            yield from requests_of(item)
        else:
            yield item


def summaries() -> dict[str, str]:
    """The summaries of the operations, which Postman uses as names, by operationId."""
    paths = json.loads(OPENAPI.read_text())["paths"].values()
    return {
        operation["operationId"]: operation["summary"]
        for path in paths
        for method, operation in path.items()
        if method != "parameters"
    }


def with_script(item: JSON, script: str, values: JSON) -> JSON:
    """A copy of a request with these values, and a script that runs after its response."""
    item = json.loads(json.dumps(item))
    url = item["request"]["url"]
    for part in (*url["variable"], *url["query"], *item["request"]["header"]):
        if part["key"] in values:
            part |= {"value": values[part["key"]], "disabled": False}
    item["event"] = [{"listen": "test", "script": {"exec": script.splitlines()}}]
    return item


def newman(collection: JSON, live: Live, folder: Path) -> list[JSON]:
    """Run a collection; the executed requests with their responses."""
    (folder / "run.json").write_text(json.dumps(collection))
    reports = ("--reporters", "cli,json", "--reporter-json-export", "report.json")
    variables = ("--env-var", f"baseUrl={live.url}")
    run("newman", "run", "run.json", *variables, *reports, where=folder)
    executions: list[JSON] = json.loads((folder / "report.json").read_text())["run"]["executions"]
    return executions


def test_postman_collection_calls_the_service(live: Live, collection: JSON, tmp_path: Path) -> None:
    by_name = {item["name"]: item for item in requests_of(collection)}
    names, steps = summaries(), []
    for operation, status, values, script in STEPS:
        expect = f'pm.test("{operation}: {status}", () => pm.response.to.have.status({status}));'
        steps.append(with_script(by_name[names[operation]], f"{expect}\n{script}", values))
    executed = newman({**collection, "item": steps}, live, tmp_path)
    assert [execution["response"]["code"] for execution in executed] == [s for _, s, _, _ in STEPS]


def test_postman_collection_has_each_operation_and_sends_well_formed_requests(
    live: Live, collection: JSON, tmp_path: Path
) -> None:
    """Run as it was made; there are no items with the ids that it invents."""
    assert sorted(item["name"] for item in requests_of(collection)) == sorted(summaries().values())
    token = live.log_in()["Authorization"].removeprefix("Bearer ")
    collection["variable"].append({"key": "bearerToken", "value": token})
    executed = newman(collection, live, tmp_path)
    codes = {execution["item"]["name"]: execution["response"]["code"] for execution in executed}
    assert {
        name: code for name, code in codes.items() if code in (405, 406, 415) or code > 499
    } == {}
