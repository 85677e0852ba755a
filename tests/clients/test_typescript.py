"""The TypeScript client of openapi-typescript and openapi-fetch."""

import shutil
from pathlib import Path

import pytest

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests.clients.commands import NODE_MODULES, OPENAPI, run
from tests.live import Live

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("npm"), reason="no npm"),
    pytest.mark.usefixtures("npm_tools"),
]
DRIVER = Path(__file__).with_name("driver.ts")
STRICT = ("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes")
MODULES = ("--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the generated types, and openapi-fetch beside them."""
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run("openapi-typescript", OPENAPI, "--output", "openapi.d.ts", where=tmp_path)
    return tmp_path


def test_typescript_client_calls_the_service(live: Live, project: Path) -> None:
    shutil.copy(DRIVER, project)
    run("tsc", *STRICT, *MODULES, DRIVER.name, where=project)
    output = run("node", "driver.js", live.url, DEMO_EMAIL, DEMO_PASSWORD, where=project)
    assert output.splitlines()[-1] == "done"


USE = """
import type { components, operations } from "./openapi";

type Schemas = components["schemas"];
type Change = operations["update_me"];

export const header: Change["parameters"]["header"] = { "If-Match": '"1"' };
// @ts-expect-error: a change needs its condition
export const unconditional: Change["parameters"]["header"] = {};
// @ts-expect-error: a password is needed
export const anonymous: Schemas["Login"] = { email: "ada@example.com" };
export function places(problem: Schemas["Problem"]): string[] {
  return (problem.errors ?? []).map((place) => place.pointer ?? place.parameter ?? "");
}

// begin products tasks
type Page = operations["list_tasks"]["responses"][200]["content"]["application/json"];
type TaskChange = operations["update_task"];

export const task: Schemas["TaskNew"] = { title: "Water the plants", due_at: null };
export const patch: TaskChange["requestBody"]["content"]["application/merge-patch+json"] = {
  done: true,
};

export function due(page: Page): string[] {
  return page.items.filter((item) => !item.done).map((item) => item.due_at ?? item.title);
}

// @ts-expect-error: there is no such priority
export const urgent: Schemas["TaskNew"] = { title: "x", priority: "urgent" };
// @ts-expect-error: a title is needed
export const untitled: Schemas["TaskNew"] = { done: true };
// @ts-expect-error: read-only members are not taken
export const numbered: Schemas["TaskNew"] = { title: "x", id: "1" };
// end products tasks
"""


def test_types_refuse_invalid_requests(project: Path) -> None:
    (project / "use.ts").write_text(USE)
    run("tsc", *STRICT, *MODULES, "--noEmit", "use.ts", where=project)
