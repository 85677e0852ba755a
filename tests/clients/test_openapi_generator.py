"""The clients that openapi-generator generates."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.users.seed import DEMO_EMAIL
from tests.clients.commands import OPENAPI, generate

pytestmark = pytest.mark.slow


def test_client_of_openapi_generator_reads_changes_and_logs_out(
    client: ModuleType, connection: Any
) -> None:
    users, auth = client.UsersApi(connection), client.AuthApi(connection)
    read = users.read_me_with_http_info()
    assert read.data.email == DEMO_EMAIL
    change = client.UserChange(name="Ada")
    assert users.update_me(user_change=change, if_match=read.headers["ETag"]).name == "Ada"
    with pytest.raises(client.ApiException) as stale:
        users.update_me(user_change=change, if_match=read.headers["ETag"])
    problem = client.Problem.from_json(stale.value.body)
    assert (problem.status, problem.type) == (412, "/problems/precondition-failed")
    assert len(auth.list_sessions().items) == 1
    auth.log_out()
    with pytest.raises(client.exceptions.UnauthorizedException):
        users.read_me()


@pytest.mark.parametrize("generator", ["typescript-fetch", "java"])
def test_names_in_clients_of_openapi_generator_are_those_of_the_document(
    generator: str, tmp_path: Path
) -> None:
    """A generator invents a name where the document has none, or one that is taken."""
    folder = generate(generator, tmp_path)
    document = json.loads(OPENAPI.read_text())
    schemas = set(document["components"]["schemas"])
    schemas |= {f"{name}Item" for name in schemas if name.endswith("Batch")}
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
