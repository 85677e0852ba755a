"""Files of the shop through nginx and gunicorn."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import new_database
from tests.live import serve
from tests.nginx import in_front_of

CONTENT = b"%PDF-1.7\n" + os.urandom(900_000)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_file_is_downloaded_in_parts_until_its_caller_logs_out(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    settings = {"CACHE_DIR": str(tmp_path / "cache"), "TRUSTED_PROXIES": "1"}
    with (
        new_database(request, database, tmp_path) as url,
        serve(url, **settings) as live,
        in_front_of(live, tmp_path) as nginx,
    ):
        site = replace(live, url=f"http://127.0.0.1:{nginx.port}")
        caller = site.log_in()
        task = site.call("POST", "tasks", {"title": "Pay"}, caller).json["id"]
        pdf = {**caller, "Content-Type": "application/pdf"}
        stored = site.send("POST", f"tasks/{task}/attachments", CONTENT, pdf)
        assert stored.status == 201
        path = f"{stored.headers['Location'].removeprefix('/api/v1/')}/file"
        whole = site.send("GET", path, None, caller)
        assert (whole.status, whole.body == CONTENT) == (200, True)
        held = {**caller, "If-None-Match": whole.headers["ETag"]}
        part = {**caller, "Range": "bytes=800000-", "If-Range": whole.headers["ETag"]}
        assert site.send("GET", path, None, part).body == CONTENT[800_000:]
        assert site.send("GET", path, None, held).status == 304
        assert site.send("POST", "auth/logout", None, caller).status == 204
        statuses = [site.send("GET", path, None, sent).status for sent in (caller, part, held)]
        assert statuses == [401, 401, 401]
