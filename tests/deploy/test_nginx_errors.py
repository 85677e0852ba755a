"""nginx's own errors, which pages of allowed origins can read as they read those of the service."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import services
from tests.live import Answer, Live, serve
from tests.nginx import in_front_of

pytestmark = pytest.mark.slow

ORIGINS = "https://one.example, http://[::1]:3000,https://two.example:8443"
ALLOWED = ["https://one.example", "http://[::1]:3000", "https://two.example:8443"]
REFUSED = [
    "https://two.example",
    "https://one.example:8443",
    "https://one-example",
    "https://one.example.evil.example",
    "https://one.example,http://[::1]:3000",
    "one.example",
    ".*",
    "*",
    "null",
    "|",
    "",
]
ERRORS = [
    (413, "POST", "notes", {"Content-Length": "1048577"}),
    (414, "GET", "articles?q=" + "x" * 9000, {}),
    (414, "POST", "articles/imports?name=" + "x" * 30_000, {}),
    (431, "GET", "articles", {"X-Large": "x" * 33_000}),
    (501, "POST", "notes", {"Transfer-Encoding": "gzip"}),
    (503, "GET", "notes", {}),
]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """nginx in front of a service that has ended."""
    folder = tmp_path_factory.mktemp("errors")
    changes = {"${CORS_ORIGINS}": ORIGINS}
    with (
        serve(f"sqlite:///{folder}/live.db", CORS_ORIGINS=ORIGINS) as live,
        in_front_of(live, folder, **changes) as nginx,
    ):
        live.process.terminate()
        live.process.wait(services.SECONDS)
        yield replace(live, url=f"http://127.0.0.1:{nginx.port}")


def call(stopped: Live, error: tuple[int, str, str, dict[str, str]], origin: str) -> Answer:
    status, method, path, fields = error
    answer = stopped.send(method, path, None, {"Origin": origin, **fields})
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Vary"] == "Origin"
    return answer


@pytest.mark.parametrize("origin", ALLOWED)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error[0]} {error[1]}")
def test_error_of_nginx_can_be_read_by_an_allowed_origin(
    stopped: Live, error: tuple[int, str, str, dict[str, str]], origin: str
) -> None:
    headers = call(stopped, error, origin).headers
    assert headers["Access-Control-Allow-Origin"] == origin
    exposed = headers["Access-Control-Expose-Headers"].split(", ")
    hidden = {"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Cache-Control",
              "Connection", "Content-Length", "Content-Type", "Server"}  # fmt: skip
    assert set(headers) - hidden <= set(exposed)


@pytest.mark.parametrize("origin", REFUSED)
def test_error_of_nginx_cannot_be_read_by_another_origin(stopped: Live, origin: str) -> None:
    for error in ERRORS:
        assert not [n for n in call(stopped, error, origin).headers if n.startswith("Access-")]


def test_error_of_gunicorn_can_be_read_by_an_allowed_origin(tmp_path: Path) -> None:
    settings = {"CORS_ORIGINS": ORIGINS, "CACHE_DIR": str(tmp_path / "cache")}
    with (
        serve(f"sqlite:///{tmp_path}/live.db", **settings) as live,
        in_front_of(live, tmp_path, **{"${CORS_ORIGINS}": ORIGINS}) as nginx,
    ):
        site = replace(live, url=f"http://127.0.0.1:{nginx.port}")
        for status, fields in ((431, {"X-Large": "x" * 9000}), (401, {})):
            for origin, expected in ((ALLOWED[0], ALLOWED[0]), (REFUSED[0], None)):
                answer = site.send("GET", "notes", None, {"Origin": origin, **fields})
                assert answer.status == status
                assert answer.headers.get("Access-Control-Allow-Origin") == expected
                exposed = answer.headers.get("Access-Control-Expose-Headers", "")
                assert ("X-Request-ID" in exposed) == bool(expected)


@pytest.mark.parametrize(("origins", "expected"), [("", None), ("*", "https://any.example")])
def test_error_of_nginx_follows_the_setting_of_the_service(
    stopped: Live, tmp_path: Path, origins: str, expected: str | None
) -> None:
    gone = replace(stopped, url="http://127.0.0.1:1")
    with in_front_of(gone, tmp_path, **{"${CORS_ORIGINS}": origins}) as nginx:
        proxied = replace(stopped, url=f"http://127.0.0.1:{nginx.port}")
        headers = call(proxied, ERRORS[-1], "https://any.example").headers
        assert headers.get("Access-Control-Allow-Origin") == expected


@pytest.mark.parametrize(
    ("path", "limit", "text"),
    [
        ("notes", 2**20, "1 MiB"),
        ("articles/imports?dry_run=true", 2**28, "256 MiB"),
        ("../../shop/api/v1/places/imports", 2**28, "256 MiB"),
    ],
)
def test_413_of_nginx_names_the_limit_of_the_route(
    stopped: Live, path: str, limit: int, text: str
) -> None:
    refused = stopped.send("POST", path, None, {"Content-Length": str(limit + 1)})
    assert refused.status == 413
    assert f"larger than {text}." in refused.json["detail"]
