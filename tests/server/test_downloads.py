"""Files out through gunicorn: large ones, broken connections, and deletion meanwhile."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path

import pytest

from tests import services
from tests.conftest import new_database
from tests.live import Live, serve
from tests.nginx import in_front_of

pytestmark = pytest.mark.slow

CONTENT = b"\x89PNG\r\n\x1a\n" + os.urandom(12 * 2**20)  # more than the buffers of a connection


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """The service with labels, which keep files."""
    folder = tmp_path_factory.mktemp("live")
    with new_database(request, request.param, folder) as url:
        settings = {"CACHE_DIR": str(folder / "cache"), "TRUSTED_PROXIES": "1"}
        with serve(url, **settings) as service:
            yield service


@pytest.fixture(scope="module")
def caller(live: Live) -> dict[str, str]:
    """The header fields of the demo user."""
    return live.log_in()


@pytest.fixture
def label(live: Live, caller: dict[str, str]) -> str:
    """The path of a stored label."""
    stored = live.send("POST", "parcel-labels", CONTENT, {**caller, "Content-Type": "image/png"})
    assert (stored.status, stored.json["size"]) == (201, len(CONTENT))
    return stored.headers["Location"].removeprefix("/api/v1/")


def begin(connection: HTTPConnection, path: str, headers: dict[str, str]) -> HTTPResponse:
    connection.request("GET", f"/api/v1/{path}/file", headers=headers)
    return connection.getresponse()


def connect(live: Live) -> "closing[HTTPConnection]":
    return closing(HTTPConnection(live.url.removeprefix("http://"), timeout=services.SECONDS))


def test_large_file_arrives_as_it_was_sent(live: Live, caller: dict[str, str], label: str) -> None:
    got = live.send("GET", f"{label}/file", None, caller)
    assert (got.status, got.body == CONTENT) == (200, True)
    assert got.headers["Content-Length"] == str(len(CONTENT))
    assert "Transfer-Encoding" not in got.headers


def test_head_is_answered_without_a_body_on_a_connection_that_stays_open(
    live: Live, caller: dict[str, str], label: str
) -> None:
    with connect(live) as connection:
        connection.request("HEAD", f"/api/v1/{label}/file", headers=caller)
        head = connection.getresponse()
        assert (head.status, head.read()) == (200, b"")
        assert head.headers["Content-Length"] == str(len(CONTENT))
        part = begin(connection, label, {**caller, "Range": "bytes=-10"})
        assert (part.status, part.read()) == (206, CONTENT[-10:])


def test_download_is_resumed_after_its_connection_broke(
    live: Live, caller: dict[str, str], label: str
) -> None:
    with connect(live) as connection:
        response = begin(connection, label, caller)
        received, etag = response.read(3_000_000), response.headers["ETag"]
    resumed = {**caller, "Range": f"bytes={len(received)}-", "If-Range": etag}
    rest = live.send("GET", f"{label}/file", None, resumed)
    assert rest.status == 206
    assert rest.headers["Content-Range"] == f"bytes 3000000-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert received + rest.body == CONTENT


def test_connection_ends_early_where_the_file_is_deleted_during_a_download(
    live: Live, caller: dict[str, str], label: str
) -> None:
    with connect(live) as connection:
        response = begin(connection, label, caller)
        begun = response.read(100_000)
        deleted = live.send("DELETE", label, None, {**caller, "If-Match": "*"})
        assert deleted.status == 204
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            response.read()
    assert begun == CONTENT[:100_000]
    assert live.send("GET", f"{label}/file", None, caller).status == 404
    assert "password_hash" not in Path(live.log).read_text()


def test_ranges_and_conditions_pass_nginx(
    live: Live, caller: dict[str, str], label: str, tmp_path: Path
) -> None:
    with in_front_of(live, tmp_path) as nginx:
        site, path = replace(live, url=f"http://127.0.0.1:{nginx.port}"), f"{label}/file"
        whole = site.send("GET", path, None, caller)
        assert (whole.status, whole.body == CONTENT) == (200, True)
        etag = whole.headers["ETag"]
        part = site.send("GET", path, None, {**caller, "Range": "bytes=9000000-", "If-Range": etag})
        assert (part.status, part.body == CONTENT[9_000_000:]) == (206, True)
        assert site.send("GET", path, None, {**caller, "If-None-Match": etag}).status == 304
        beyond = site.send("GET", path, None, {**caller, "Range": f"bytes={len(CONTENT)}-"})
        assert beyond.status == 416
        assert beyond.headers["Content-Range"] == f"bytes */{len(CONTENT)}"
        head = site.send("HEAD", path, None, caller)
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(CONTENT)))
