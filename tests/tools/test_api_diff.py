"""`make api-diff` distinguishes breaking changes of the API from compatible ones."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from app.config import Settings
from app.core.openapi.document import openapi_document
from tests import articles
from tests.contract import parcels
from tests.tools.releases import commit, git, project
from tools import api_diff

ROOT = Path(__file__).parents[2]
SETTINGS = Settings(app_env="testing", secret_key="only reads the routes")
OPENAPI = openapi_document(create_app(SETTINGS, features=(articles, parcels)))
ARTICLES = "/api/v1/articles"

Document = dict[str, Any]


def schema(document: Document, name: str) -> Document:
    return document["components"]["schemas"][name]


def member(document: Document, name: str) -> Document:
    return schema(document, name.partition(".")[0])["properties"][name.partition(".")[2]]


BREAKING = {
    "a path is gone": lambda d: d["paths"].pop("/api/v1/articles/export"),
    "a method is gone": lambda d: d["paths"][ARTICLES + "/{article_id}"].pop("patch"),
    "a member is no longer given": lambda d: schema(d, "Article")["properties"].pop("name"),
    "a member is not always given": lambda d: schema(d, "Article")["required"].remove("is_active"),
    "a member may be null": lambda d: member(d, "Article.name").update(type=["string", "null"]),
    "a member has more values": lambda d: member(d, "Article.currency")["enum"].append("XTS"),
    "a member is of another type": lambda d: member(d, "Article.price").update(type="number"),
    "a member is no longer taken": lambda d: schema(d, "ArticleNew")["properties"].pop("is_active"),
    "a member must be sent": lambda d: schema(d, "ArticleNew")["required"].append("is_active"),
    "fewer values are taken": lambda d: member(d, "ArticleNew.currency")["enum"].remove("EUR"),
    "null is no longer taken": lambda d: member(d, "StampChange.taken_from_id").update(
        type="string"
    ),
    "less is taken": lambda d: member(d, "ArticleNew.name").update(maxLength=100),
    "a minimum is added": lambda d: member(d, "ParcelNew.content").update(minLength=1),
    "a pattern is added": lambda d: member(d, "ParcelNew.content").update(pattern="^[a-z]+$"),
    "a kind of item is gone": lambda d: member(d, "ArticleBatch.items")["items"]["oneOf"].pop(),
    "an item of a kind needs more": lambda d: schema(d, "ArticleBatchCreate")["required"].append(
        "id"
    ),
    "a parameter is gone": lambda d: d["paths"][ARTICLES]["get"]["parameters"].pop(0),
    "a parameter must be sent": lambda d: d["paths"][ARTICLES]["get"]["parameters"][0].update(
        required=True
    ),
    "a header must be sent": lambda d: d["components"]["parameters"]["Idempotency-Key"].update(
        required=True
    ),
    "a media type is gone": lambda d: d["paths"][ARTICLES + "/{article_id}"]["patch"][
        "requestBody"
    ]["content"].pop("application/merge-patch+json"),
    "another status": lambda d: d["paths"][ARTICLES]["post"]["responses"].update(
        {"202": d["paths"][ARTICLES]["post"]["responses"].pop("201")}
    ),
    "a header is gone": lambda d: d["paths"][ARTICLES]["post"]["responses"]["201"]["headers"].pop(
        "Location"
    ),
    "credentials are needed": lambda d: d["paths"][ARTICLES]["get"].update(
        security=[{"bearer": []}]
    ),
}
COMPATIBLE = {
    "nothing": lambda d: None,
    "another path": lambda d: d["paths"].update({"/api/v1/new": d["paths"][ARTICLES]}),
    "another member is given": lambda d: schema(d, "Article")["properties"].update(
        x={"type": "null"}
    ),
    "another member may be sent": lambda d: schema(d, "ArticleNew")["properties"].update(
        x={"type": "string"}
    ),
    "a member need not be sent": lambda d: schema(d, "ArticleNew")["required"].remove("name"),
    "more values are taken": lambda d: member(d, "ArticleNew.currency")["enum"].append("XTS"),
    "more is taken": lambda d: member(d, "ArticleNew.name").update(maxLength=300),
    "a member is never null": lambda d: member(d, "Stamp.taken_from_id").update(type="string"),
    "another parameter": lambda d: d["paths"][ARTICLES]["get"]["parameters"].append(
        {"in": "query", "name": "x", "schema": {"type": "string"}}
    ),
    "other words": lambda d: d["paths"][ARTICLES]["get"].update(summary="Other words"),
}


def breaks(change: Callable[[Document], Any]) -> list[str]:
    new = deepcopy(OPENAPI)
    change(new)
    return list(api_diff.breaks(OPENAPI, new))


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING)
def test_api_diff_finds_breaking_change(change: Callable[[Document], Any]) -> None:
    assert breaks(change)


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=COMPATIBLE)
def test_api_diff_accepts_compatible_change(change: Callable[[Document], Any]) -> None:
    assert breaks(change) == []


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    release(tmp_path, "0.9.0.dev0")
    return tmp_path


def release(where: Path, version: str) -> None:
    files = {
        "openapi.json": json.dumps(OPENAPI),
        "pyproject.toml": project("the-upstream", version),
        "CHANGELOG.md": f"# Changelog\n\n## {version}\n\n* All of it.\n",
    }
    commit(where, version, files)


def run(where: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.api_diff"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=where, env=environ, capture_output=True, text=True)


def test_api_diff_passes_without_a_release(repository: Path) -> None:
    done = run(repository)
    assert (done.returncode, done.stdout) == (0, "nothing to compare: no release yet\n")


def test_api_diff_fails_on_a_break_unless_the_major_version_changes(repository: Path) -> None:
    release(repository, "1.0.0")
    done = run(repository)
    assert done.stdout.startswith("0 breaking changes since 1.0.0 "), done.stderr
    broken = deepcopy(OPENAPI)
    BREAKING["a path is gone"](broken)
    (repository / "openapi.json").write_text(json.dumps(broken))
    done = run(repository)
    assert done.returncode == 1
    assert "GET /api/v1/articles/export: removed" in done.stderr
    broken["info"]["version"] = "2.0.0"
    (repository / "openapi.json").write_text(json.dumps(broken))
    assert run(repository).returncode == 0
