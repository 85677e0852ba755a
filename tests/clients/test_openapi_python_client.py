"""The client that openapi-python-client generates."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests.clients.commands import OPENAPI, run
from tests.live import Live

pytestmark = pytest.mark.slow


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package that openapi-python-client writes, without a warning."""
    config = tmp_path / "config.json"
    files = dict.fromkeys(("text/csv", "application/x-ndjson"), "application/octet-stream")
    config.write_text(json.dumps({"content_type_overrides": files}))
    options = ("--meta", "none", "--output-path", tmp_path / "generated_client")
    options += ("--config", config)
    said = run("openapi-python-client", "generate", "--path", OPENAPI, *options, where=tmp_path)
    assert "arning" not in said, said
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("generated_client")


class Calls:
    """The operations of the generated package by name; each is a module."""

    def __init__(self, package: ModuleType) -> None:
        self.name = package.__name__
        self.models: Any = importlib.import_module(f"{self.name}.models")

    def __getattr__(self, operation: str) -> Any:
        return importlib.import_module(f"{self.name}.api.{tag_of(operation)}.{operation}")


def tag_of(operation_id: str) -> str:
    """The tag of an operation of the document."""
    paths = json.loads(OPENAPI.read_text())["paths"].values()
    operations = [each for path in paths for each in path.values() if "tags" in each]
    [tag] = [each["tags"][0] for each in operations if each["operationId"] == operation_id]
    return str(tag)


def test_generated_python_client_calls_the_service(live: Live, generated: ModuleType) -> None:
    call = Calls(generated)
    models = call.models
    with generated.Client(base_url=live.url) as anonymous:
        credentials = models.Login(email=DEMO_EMAIL, password=DEMO_PASSWORD)
        tokens = call.log_in.sync(client=anonymous, body=credentials)
    with generated.AuthenticatedClient(base_url=live.url, token=tokens.access_token) as client:
        assert call.read_me.sync(client=client).email == DEMO_EMAIL
        # begin products tasks
        titles = [f"Task {n}" for n in range(5)]
        created = [
            call.create_task.sync(client=client, body=models.TaskNew(title=t)) for t in titles
        ]

        found, further = [], {}
        while further is not None:
            page = call.list_tasks.sync(client=client, limit=2, **further)
            found += page.items
            further = {"cursor": page.next_cursor} if page.next_cursor else None
        assert {task.id for task in created} <= {task.id for task in found}
        assert len({task.id for task in found}) == len(found)

        task_id = created[0].id
        read = call.read_task.sync_detailed(task_id, client=client)
        change = {"client": client, "body": models.TaskChange(done=True)}
        changed = call.update_task.sync(task_id, **change, if_match=read.headers["ETag"])
        assert (changed.done, changed.version) == (True, 2)

        stale = call.update_task.sync(task_id, **change, if_match=read.headers["ETag"])
        assert isinstance(stale, models.Problem)
        assert (stale.status, stale.type_) == (412, "/problems/precondition-failed")
        wrong = call.create_task.sync(client=client, body=models.TaskNew(title=""))
        assert [place.pointer for place in wrong.errors] == ["#/title"]
        # end products tasks
