"""gunicorn below a path prefix (SCRIPT_NAME), and headers of clients that pretend to be proxies."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests import services
from tests.live import Live, serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    settings = {"CACHE_DIR": str(folder), "WEB_CONCURRENCY": "1", "TRUSTED_HOSTS": "127.0.0.1"}
    with serve(f"sqlite:///{folder}/live.db", **settings) as live:
        yield live


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The service below /svc."""
    folder = tmp_path_factory.mktemp("live")
    settings = {"CACHE_DIR": str(folder), "WEB_CONCURRENCY": "1", "SCRIPT_NAME": "/svc"}
    with serve(f"sqlite:///{folder}/live.db", **settings) as live:
        yield live


def ask(live: Live, sent: str) -> str:
    """Everything that is answered to these lines before the connection is closed."""
    url = urlsplit(live.url)
    with socket.create_connection((url.hostname, url.port), services.SECONDS) as wire:
        wire.sendall(f"{sent}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: wire.recv(65536), b"")).decode()


@pytest.mark.parametrize(
    "field",
    [
        "SCRIPT_NAME: /evil",
        "SCRIPT_NAME: /api",
        "PATH_INFO: /docs",
        "REMOTE_USER: admin",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Ssl: on",
        "X-Forwarded-Protocol: ssl",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 666",
        "X_Forwarded_Host: evil.example",
        "X_SCRIPT_NAME: /evil",
        "X-Script-Name: /evil",
        "Script-Name: /evil",
        "Forwarded: host=evil.example;proto=https",
    ],
)
def test_header_with_which_a_client_pretends_to_be_a_proxy_is_ignored(
    plain: Live, field: str
) -> None:
    request = "GET /api/v1/articles?limit=1 HTTP/1.1\r\nHost: 127.0.0.1"
    answer = ask(plain, f"{request}\r\n{field}")
    assert answer.startswith("HTTP/1.1 200 ")
    [link] = [line for line in answer.splitlines() if line.startswith("Link: ")]
    assert link.count("<http://127.0.0.1/api/v1/articles?") == 2
    assert ask(plain, f"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}").count("evil") == 0


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
@pytest.mark.parametrize(
    "request_line", ["HTTP/1.0", "HTTP/1.0\r\nHost: 10.0.3.17:8080", "HTTP/1.1\r\nHost: 10.0.3.17"]
)
def test_probe_is_answered_without_a_trusted_host(
    plain: Live, path: str, request_line: str
) -> None:
    assert ask(plain, f"GET {path} {request_line}").split()[1] == "200"
    assert ask(plain, f"GET /api/v1/articles {request_line}").split()[1] in ("200", "400")


def test_service_is_available_below_its_prefix_only(mounted: Live) -> None:
    host = "HTTP/1.1\r\nHost: a.example"
    for path in ("/svc/health/live", "/svc/api/v1/articles"):
        assert ask(mounted, f"GET {path} {host}").split()[1] == "200"
    for path in (
        "/health/live",
        "/api/v1/articles",
        "/svcx/api/v1/articles",
        "/svc",
        "/svchealth/live",
        "/SVC/health/live",
        "/",
    ):
        answer = ask(mounted, f"GET {path} {host}")
        assert answer.split()[1] == "404", path
        assert "/svc/problems/not-found" in answer


def test_malformed_request_is_explained_below_the_prefix(mounted: Live) -> None:
    assert '"/svc/problems/bad-request"' in ask(mounted, "nonsense")
