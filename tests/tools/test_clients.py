"""Clients generated from openapi.json: a Python client and TypeScript types."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests.live import ROOT, Live, serve

OPENAPI = ROOT / "openapi.json"
NODE_MODULES = ROOT / "tools" / "node_modules" / ".bin"
BESIDE_PYTHON = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def run(*command: object, where: Path) -> str:
    """The output of a command that must succeed."""
    environ = {**os.environ, "PATH": BESIDE_PYTHON}
    done = subprocess.run(
        list(map(str, command)), cwd=where, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with serve(f"sqlite:///{tmp_path}/live.db", CACHE_DIR=str(tmp_path)) as service:
        yield service


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
        tag = "auth" if operation == "log_in" else "tasks"
        return importlib.import_module(f"{self.name}.api.{tag}.{operation}")


def test_generated_python_client_calls_the_service(live: Live, generated: ModuleType) -> None:
    call = Calls(generated)
    models = call.models
    with generated.Client(base_url=live.url) as anonymous:
        credentials = models.Login(email=DEMO_EMAIL, password=DEMO_PASSWORD)
        tokens = call.log_in.sync(client=anonymous, body=credentials)
    with generated.AuthenticatedClient(base_url=live.url, token=tokens.access_token) as client:
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


USE = """
import type { components, operations } from "./openapi";

type Schemas = components["schemas"];
type Page = operations["list_tasks"]["responses"][200]["content"]["application/json"];
type Change = operations["update_task"];

export const task: Schemas["TaskNew"] = { title: "Water the plants", due_at: null };
export const patch: Change["requestBody"]["content"]["application/merge-patch+json"] = {
  done: true,
};
export const header: Change["parameters"]["header"] = { "If-Match": '"1"' };

export function due(page: Page): string[] {
  return page.items.filter((item) => !item.done).map((item) => item.due_at ?? item.title);
}
export function places(problem: Schemas["Problem"]): string[] {
  return (problem.errors ?? []).map((place) => place.pointer ?? place.parameter ?? "");
}

// @ts-expect-error: there is no such priority
export const urgent: Schemas["TaskNew"] = { title: "x", priority: "urgent" };
// @ts-expect-error: a title is needed
export const untitled: Schemas["TaskNew"] = { done: true };
// @ts-expect-error: read-only members are not taken
export const numbered: Schemas["TaskNew"] = { title: "x", id: "1" };
// @ts-expect-error: a change needs its condition
export const unconditional: Change["parameters"]["header"] = {};
"""


@pytest.mark.skipif(not shutil.which("npm"), reason="no npm")
def test_generated_typescript_types_are_strict_and_usable(tmp_path: Path) -> None:
    run(sys.executable, "dev.py", "npm-tools", where=ROOT)
    types, use = tmp_path / "openapi.d.ts", tmp_path / "use.ts"
    run(NODE_MODULES / "openapi-typescript", OPENAPI, "--output", types, where=tmp_path)
    use.write_text(USE)
    strict = ("--strict", "--noEmit", "--target", "es2022", "--moduleResolution", "bundler")
    run(NODE_MODULES / "tsc", *strict, "--module", "esnext", use, where=tmp_path)
