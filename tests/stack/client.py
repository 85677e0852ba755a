"""A client of the running stack. Uses only the standard library, as all modules of smoke.py."""

import contextlib
import gzip
import http.client
import json
import re
import socket
import subprocess
import time
import uuid

PASSWORD = "a wholly unguessed phrase"
NEW_PASSWORD = "another phrase that nobody guesses"


class Reply:
    """A response, read completely."""

    def __init__(self, response: http.client.HTTPResponse):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def header(self, name: str) -> str:
        values = self.headers.get_all(name, [])
        assert len(values) == 1, f"{name} occurs {len(values)} times: {values}"
        return values[0]

    def json(self) -> dict:
        zipped = self.headers["Content-Encoding"] == "gzip"
        return json.loads(gzip.decompress(self.body) if zipped else self.body)

    def expect(self, status: int) -> "Reply":
        assert self.status == status, f"{self.status} instead of {status}: {self.body[:300]!r}"
        return self

    def problem(self, status: int, slug: str) -> "Reply":
        self.expect(status)
        assert self.header("Content-Type") == "application/problem+json", self.headers
        problem = self.json()
        assert problem["type"] == f"/problems/{slug}", problem
        assert problem["status"] == status, problem
        assert problem["title"], problem
        assert problem["request_id"] == self.header("X-Request-ID"), problem
        assert re.fullmatch(
            r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", problem["instance"]
        )
        return self


class Stack:
    """The stack under test, and a logged-in user."""

    def __init__(self, port: int, project: str):
        self.port, self.project = port, project
        self.email, self.token = f"{uuid.uuid4().hex}@example.com", ""

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send JSON as the user; names of headers are written with underscores."""
        fields = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            fields["Content-Type"] = "application/json"
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, fields)
            return Reply(connection.getresponse())

    def raw(self, *lines: str, body: bytes = b"") -> Reply:
        """Send lines that an HTTP library would reject."""
        head = "".join(f"{line}\r\n" for line in (*lines, "Connection: close", ""))
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            # nginx may respond and stop reading before everything is sent.
            with contextlib.suppress(ConnectionError):
                connection.sendall(head.encode("latin-1") + body)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Reply(response)

    def statuses(self, *lines: str, body: bytes = b"") -> list[int]:
        """The statuses of all responses on one connection, until the server closes it."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall("\r\n".join((*lines, "", "")).encode("latin-1") + body)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65536):
                    received += piece
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]

    def docker(self, *command: str) -> str:
        return subprocess.run(
            ["docker", *command], check=True, capture_output=True, text=True
        ).stdout.strip()

    def container(self, service: str) -> str:
        project = f"label=com.docker.compose.project={self.project}"
        service = f"label=com.docker.compose.service={service}"
        return self.docker("ps", "--all", "--quiet", "--filter", project, "--filter", service)

    def psql(self, statement: str, role: str = "app") -> str:
        command = ("psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-U", role, "-d", "app")
        return self.docker("exec", self.container("postgres"), *command, "-c", statement)

    def mailpit(self, path: str) -> dict:
        """A response of Mailpit, which is reachable from other containers only."""
        script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
        url = f"http://mailpit:8025/api/v1/{path}"
        return json.loads(self.docker("exec", self.container("web"), "python", "-c", script, url))

    def mailed_token(self, subject: str) -> str:
        """The token in the e-mail with this subject, which is sent after the response."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for found in self.mailpit(f"search?query=to:{self.email}")["messages"]:
                if found["Subject"] == subject:
                    text = self.mailpit(f"message/{found['ID']}")["Text"]
                    return re.search(r"#token=(\S+)", text)[1]
            time.sleep(0.2)
        raise AssertionError(f"no e-mail to {self.email}: {subject}")

    @contextlib.contextmanager
    def without(self, service: str):
        """Stop a service for the length of a block."""
        container = self.container(service)
        self.docker("stop", container)
        try:
            yield
        finally:
            self.docker("start", container)

    def recovers(self, path: str, within: float) -> None:
        deadline = time.monotonic() + within
        while (reply := self.call("GET", path)).status != 200:
            assert time.monotonic() < deadline, f"{path}: {reply.status} after {within} s"
            time.sleep(0.2)
