"""Settings that a database or a role gives its sessions, and on which answers must not depend."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import services
from tests.api import Api
from tests.conftest import MakeApp, migrate_to_head, on_postgresql, server_url, skip_or_fail
from tests.pooler import url_without_pooler

pytestmark = on_postgresql

CHANGED = {
    "datestyle": "SQL, DMY",
    "timezone": "Asia/Kathmandu",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "client_encoding": "latin1",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "lc_messages": "C",
    "lc_monetary": "C",
    "default_text_search_config": "german",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
}

# A slow machine holds the only connection for longer than the shipped timeout.
ONE_CONNECTION = {"default_pool_size": 1, "query_wait_timeout": 60}


def change_defaults(url: str, owner: str) -> None:
    """Change the defaults of new sessions on a database, or of the role in this database."""
    name = urlsplit(url).path[1:]
    of = {"database": f"DATABASE {name}", "role": f"ROLE CURRENT_USER IN DATABASE {name}"}[owner]
    with psycopg.connect(url_without_pooler(url), autocommit=True) as connection:
        version = connection.info.server_version
        for setting, value in CHANGED.items():
            if (setting, version >= 190000) != ("standard_conforming_strings", True):
                connection.execute(f"ALTER {of} SET {setting} = '{value}'")


def use(api: Api) -> None:
    """Write, read, sort, search, export and import instants, decimals and text of all scripts."""
    editor = api.sign_up("editor")
    mug = {"sku": "M€", "name": "Tür \\' 茶", "category": "M", "price": "1.25", "currency": "EUR"}
    article = api.post("articles", mug, by=editor, status=201)
    assert article.json | mug == article.json
    assert api.get(article.headers["Location"], by=editor, status=200).json == article.json
    assert len(api.get("articles?q=tür&price_max=1.25", status=200).json["items"]) == 1
    due = "2026-02-01T02:03:04.500000Z"
    errand = api.post("errands", {"title": "T", "due_at": due}, by=editor, status=201).json
    assert errand["due_at"] == due
    assert api.get("errands?sort=due_at", by=editor, status=200).json["items"] == [errand]
    exported = api.get("errands/export", by=editor, headers={"Accept": "text/csv"}, status=200)
    assert due in exported.text
    # begin jobs
    line = json.dumps(mug | {"sku": "M2"})
    sent = {"content_type": "application/x-ndjson", "data": line}
    job = api.call("POST", "articles/imports", by=editor, status=202, **sent).headers["Location"]
    assert api.get(job, by=editor, status=200).json["result"]["created"] == 1
    # end jobs


@pytest.mark.parametrize("owner", ["database", "role"])
def test_answers_do_not_depend_on_the_defaults_of_sessions(
    make_app: MakeApp, another_database_url: str, owner: str
) -> None:
    change_defaults(another_database_url, owner)
    api = Api(make_app(database_url=another_database_url))
    migrate_to_head(api.app)
    use(api)


def test_answers_do_not_depend_on_the_environment_of_the_process(
    make_app: MakeApp, another_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATESTYLE", "SQL, DMY")
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    monkeypatch.setenv("PGCLIENTENCODING", "latin1")
    api = Api(make_app(database_url=another_database_url))
    migrate_to_head(api.app)
    use(api)


@contextmanager
def pooler_before(request: pytest.FixtureRequest, url: str) -> Iterator[str]:
    server = urlsplit(server_url(request, "postgresql")).netloc
    try:
        with services.pgbouncer(f"postgresql://{server}", **ONE_CONNECTION) as address:
            yield f"postgresql://postgres:any@{address}{urlsplit(url).path}"
    except services.Unavailable as reason:
        skip_or_fail(str(reason))


@pytest.mark.parametrize("owner", ["database", "role"])
def test_answers_do_not_depend_on_the_defaults_of_sessions_with_a_pooler(
    make_app: MakeApp, another_database_url: str, request: pytest.FixtureRequest, owner: str
) -> None:
    migrate_to_head(make_app(database_url=another_database_url))
    change_defaults(another_database_url, owner)
    with pooler_before(request, another_database_url) as url:
        use(Api(make_app(database_url=url, database_pooler=True)))
