"""The examples of docs/operations.md for proxies in front of the stack, with TLS and a prefix."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests import services
from tests.conftest import skip_or_fail
from tests.live import ROOT, Answer, Live, serve, wait_until
from tests.nginx import in_front_of

pytestmark = pytest.mark.slow

HOST, PREFIX = "api.example.com", "/shop"
CLIENT = "127.0.0.5"  # the address of the client; the proxies have 127.0.0.1
FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=6.6.6.6;host=evil.example",
    "X-Real-IP": "6.6.6.6",
    "SCRIPT_NAME": "/evil",
}


def snippet(language: str) -> str:
    """The example in this language."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("## A proxy in front")[2]
    [found] = re.findall(rf"```{language}\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return str(found)


def certificate(folder: Path) -> None:
    """Write a certificate for the host."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
    files = ["-keyout", folder / "api.key", "-out", folder / "api.pem"]
    names = ["-addext", f"subjectAltName=DNS:{HOST}"]
    subprocess.run([*command, f"/CN={HOST}", *files, *names], check=True, capture_output=True)
    both = (folder / "api.pem").read_text() + (folder / "api.key").read_text()
    (folder / "api.both.pem").write_text(both)


@contextmanager
def program(folder: Path, name: str, *arguments: Any, port: int) -> Iterator[None]:
    """Run a proxy until the block ends; skip or fail the test if it is not installed."""
    folders = (os.environ["PATH"], "/usr/sbin", str(Path(sys.executable).parent))
    binary = shutil.which(name, path=":".join(folders))
    if not binary:
        skip_or_fail(f"{name} is not installed")
    environ = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        command = [str(part) for part in (binary, *arguments)]
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + services.SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        else:
            pytest.fail((folder / "log").read_text())
        yield
    finally:
        process.terminate()
        process.wait(services.SECONDS)


def configured(language: str, folder: Path, port: int, stack: int) -> str:
    """The example with the ports and files of this test."""
    changes = {":443 ssl": f"127.0.0.1:{port} ssl", "listen 443": f"listen 127.0.0.1:{port}",
               "127.0.0.1:8080": f"127.0.0.1:{stack}", "/etc/ssl": str(folder)}  # fmt: skip
    text = snippet(language)
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(folder: Path, port: int, stack: int) -> Iterator[None]:
    user = "" if os.geteuid() else "user root;"
    paths = "".join(f"{n}_temp_path {folder}/{n};" for n in ("proxy", "fastcgi", "uwsgi", "scgi"))
    text = f"""{user} daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
    http {{ access_log off; client_body_temp_path {folder}/body; {paths}
    {configured("nginx", folder, port, stack)} }}"""
    (folder / "front.conf").write_text(text)
    with program(folder, "nginx", "-p", folder, "-c", folder / "front.conf", port=port):
        yield


@contextmanager
def caddy(folder: Path, port: int, stack: int) -> Iterator[None]:
    options = f"{{\nadmin off\nauto_https disable_redirects\nhttps_port {port}\n}}\n"
    (folder / "Caddyfile").write_text(options + configured("caddyfile", folder, port, stack))
    arguments = ["run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"]
    with program(folder, "caddy", *arguments, port=port):
        yield


@contextmanager
def haproxy(folder: Path, port: int, stack: int) -> Iterator[None]:
    defaults = "defaults\n    mode http\n" + "".join(
        f"    timeout {name} 60s\n" for name in ("client", "server", "connect")
    )
    (folder / "haproxy.cfg").write_text(defaults + configured("haproxy", folder, port, stack))
    with program(folder, "haproxy", "-db", "-f", folder / "haproxy.cfg", port=port):
        yield


@contextmanager
def traefik(folder: Path, port: int, stack: int) -> Iterator[None]:
    dynamic = folder / "dynamic"
    dynamic.mkdir()
    (dynamic / "stack.yml").write_text(configured("yaml", folder, port, stack))
    files = {"certFile": str(folder / "api.pem"), "keyFile": str(folder / "api.key")}
    (dynamic / "tls.yml").write_text(yaml.safe_dump({"tls": {"certificates": [files]}}))
    options = {
        "entryPoints.https.address": f"127.0.0.1:{port}",
        "providers.file.directory": dynamic,
        "global.checkNewVersion": "false",
        "global.sendAnonymousUsage": "false",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    with program(folder, "traefik", *arguments, port=port):
        front = Front(f"https://{HOST}:{port}", None, None)  # type: ignore[arg-type]
        probe = ("GET", f"{PREFIX}/health/live", None, {})
        # It listens before it reads the folder.
        wait_until(lambda: front.send(*probe).status == 200)
        yield


class Https(HTTPSConnection):
    """A connection to a proxy on this machine, under the name of its certificate."""

    def connect(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        wire = socket.create_connection(("127.0.0.1", self.port), services.SECONDS, (CLIENT, 0))
        self.sock = context.wrap_socket(wire, server_hostname=HOST)


class Front(Live):
    """The service behind its nginx and a proxy."""

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = Https(HOST, int(self.url.rpartition(":")[2]))
        try:
            path = path if path.startswith("/") else f"{PREFIX}/api/v1/{path}"
            connection.request(method, path, body, FORGED | headers)
            response = connection.getresponse()
            # HAProxy writes names of fields in lower case.
            fields = {name.title(): value for name, value in response.headers.items()}
            return Answer(response.status, fields, response.read())
        finally:
            connection.close()


Proxy = Callable[[Path, int, int], AbstractContextManager[None]]
# The proxies, and the prefix that the service knows because the proxy leaves it in the path.
PROXIES: dict[str, tuple[Proxy, str]] = {
    "nginx": (nginx, ""),
    "caddy": (caddy, ""),
    "traefik": (traefik, ""),
    "haproxy": (haproxy, PREFIX),
}


@pytest.fixture(scope="module", params=PROXIES)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    proxy, mounted_at = PROXIES[request.param]
    folder = tmp_path_factory.mktemp("front")
    certificate(folder)
    settings = {"SCRIPT_NAME": mounted_at, "TRUSTED_HOSTS": HOST, "TRUSTED_PROXIES": "1"}
    settings |= {"CACHE_DIR": str(folder / "cache"), "WEB_CONCURRENCY": "1"}
    replacements = {"${FRONT_PROXY}": "127.0.0.1", "${SCRIPT_NAME}": mounted_at}
    with serve(f"sqlite:///{folder}/live.db", **settings) as live:
        (folder / "stack").mkdir()
        with in_front_of(live, folder / "stack", **replacements) as stack:
            port = services.free_port()
            with proxy(folder, port, stack.port):
                yield Front(f"https://{HOST}:{port}", live.process, live.log)


def test_links_and_locations_are_those_that_the_client_sees(front: Front) -> None:
    authority = front.url.removeprefix("https://")
    headers = front.log_in() | {"Host": authority}
    made = [front.call("POST", "notes", {"text": f"Note {number}"}, headers) for number in range(2)]
    assert [each.status for each in made] == [201, 201]
    assert made[0].headers["Location"] == f"{PREFIX}/api/v1/notes/{made[0].json['id']}"
    page = front.call("GET", "notes?limit=1", headers=headers)
    urls = re.findall(r"<([^>]*)>", page.headers["Link"])
    assert all(url.startswith(f"https://{authority}{PREFIX}/api/v1/notes?") for url in urls)
    following = front.call("GET", urls[-1].partition(authority)[2], headers=headers)
    assert following.status == 200
    item = front.call("GET", made[0].headers["Location"], headers=headers)
    assert item.json == made[0].json


def test_address_of_the_client_is_the_one_that_the_proxy_sees(front: Front) -> None:
    request_id = str(uuid4())
    front.call("GET", "notes", headers={"Host": HOST, "X-Request-ID": request_id})
    lines = [json.loads(line) for line in front.log.read_text().splitlines() if request_id in line]
    assert {line["ip_address"] for line in lines} == {CLIENT}  # of the 401, and of the request
    assert [line["event"] for line in lines].count("request") == 1


def test_errors_of_each_layer_are_explained_below_the_prefix(front: Front) -> None:
    headers = {"Host": HOST}
    # nginx itself answers the last one, unless the prefix is in the path.
    for path, status in [("nothing", 404), ("notes", 401), (f"{PREFIX}/metrics", 404)]:
        answer = front.call("GET", path, headers=headers)
        assert answer.status == status
        assert answer.json["type"].startswith(f"{PREFIX}/problems/")
        # begin docs
        assert front.call("GET", answer.json["type"], headers=headers).status == 200
        # end docs


# begin docs
def test_page_of_the_document_is_complete(front: Front) -> None:
    headers = {"Host": HOST, "Accept": "text/html"}
    page = front.call("GET", f"{PREFIX}/docs", headers=headers)
    assert page.status == 200
    urls = re.findall(r'(?:href|src|data-url)="([^"]*)"', page.body.decode())
    for url in urls:
        assert front.call("GET", url, headers={"Host": HOST}).status == 200, url
    [document] = {url for url in urls if url.endswith("openapi.json")}
    shown = front.call("GET", document, headers={"Host": HOST})
    assert shown.json["servers"][0]["url"] == PREFIX


# end docs
def test_public_list_is_cached_for_each_url_of_the_client(front: Front) -> None:
    port = front.url.rpartition(":")[2]
    for _ in range(2):
        for host in (HOST, f"{HOST}:{port}", f"{HOST.upper()}:1234"):
            page = front.call("GET", "articles?limit=1", headers={"Host": host})
            link = f"<https://{host.lower()}{PREFIX}/api/v1/articles?"
            assert page.headers["Link"].startswith(link)


def test_fields_of_others_than_the_proxy_in_front_are_ignored(tmp_path: Path) -> None:
    settings = {
        "CACHE_DIR": str(tmp_path / "cache"),
        "TRUSTED_PROXIES": "1",
        "WEB_CONCURRENCY": "1",
    }
    with serve(f"sqlite:///{tmp_path}/live.db", **settings) as live:
        (tmp_path / "nginx").mkdir()
        changes = {"${FRONT_PROXY}": "192.0.2.0/24"}
        with in_front_of(live, tmp_path / "nginx", **changes) as nginx:
            site = replace(live, url=f"http://127.0.0.1:{nginx.port}")
            page = site.call("GET", "articles?limit=1", headers=FORGED)
            assert page.headers["Link"].count(f"<{site.url}/api/v1/articles?") == 2
            for start in ("", "Host: 10.0.3.17\r\n"):
                with socket.create_connection(("127.0.0.1", nginx.port)) as wire:
                    wire.sendall(f"GET /health/ready HTTP/1.0\r\n{start}\r\n".encode())
                    assert wire.recv(65536).split()[1] == b"200"
