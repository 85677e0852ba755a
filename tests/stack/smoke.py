"""Tests of the running stack through nginx. Called by run.sh.

Uses only the standard library, so it needs no environment of the project.
"""

import argparse
import contextlib
import gzip
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections import Counter

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
}
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

    def psql(self, statement: str) -> str:
        command = ("psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-U", "app", "-d", "app")
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


# --- API ---------------------------------------------------------------------------------------


def health_and_documentation_are_served(stack: Stack) -> None:
    for path in ("/health/live", "/health/ready", "/openapi.json", "/docs"):
        stack.call("GET", path).expect(200)


def a_user_registers_and_logs_in(stack: Stack) -> None:
    account = {"email": stack.email, "name": "Stack Test", "password": PASSWORD}
    stack.call("POST", "/api/v1/users", account).expect(201)
    stack.call("POST", "/api/v1/users", account).problem(409, "conflict")
    log_in(stack, PASSWORD)


def log_in(stack: Stack, password: str) -> None:
    stack.token = ""
    login = {"email": stack.email, "password": password}
    reply = stack.call("POST", "/api/v1/auth/login", login).expect(200)
    assert reply.header("Cache-Control") == "no-store", reply.headers
    stack.token = reply.json()["access_token"]


def an_address_is_confirmed_by_mail(stack: Stack) -> None:
    assert stack.call("GET", "/api/v1/users/me").expect(200).json()["email_verified_at"] is None
    token = {"token": stack.mailed_token("Confirm your e-mail address")}
    stack.call("POST", "/api/v1/auth/email/verify", token).expect(204)
    stack.call("POST", "/api/v1/auth/email/verify", token).problem(401, "unauthorized")
    stack.call("GET", "/api/v1/users/me").problem(401, "unauthorized")
    log_in(stack, PASSWORD)
    assert stack.call("GET", "/api/v1/users/me").expect(200).json()["email_verified_at"]


def a_forgotten_password_is_reset_by_mail(stack: Stack) -> None:
    unknown = {"email": f"{uuid.uuid4().hex}@example.com"}
    for body in (unknown, {"email": stack.email}):
        assert stack.call("POST", "/api/v1/auth/password/forgot", body).expect(202).body == b""
    new = {"token": stack.mailed_token("Set a new password"), "new_password": NEW_PASSWORD}
    stack.call("POST", "/api/v1/auth/password/reset", new).expect(204)
    stack.call("GET", "/api/v1/users/me").problem(401, "unauthorized")
    log_in(stack, NEW_PASSWORD)


def tasks_and_products_are_listed(stack: Stack) -> None:
    made = stack.call("POST", "/api/v1/tasks", {"title": "First"}).expect(201)
    stack.call("POST", "/api/v1/tasks", {"title": "Second", "priority": "high"}).expect(201)
    read = stack.call("GET", made.header("Location")).expect(200)
    assert (read.body, read.header("ETag")) == (made.body, made.header("ETag"))
    page = stack.call("GET", "/api/v1/tasks?limit=1").expect(200).json()
    assert len(page["items"]) == 1, page
    assert page["next_cursor"], page
    assert "items" in stack.call("GET", "/api/v1/products").expect(200).json()


def errors_are_problem_details(stack: Stack) -> None:
    product = {"sku": "A-1", "name": "A", "category": "a", "price": "1.00", "currency": "EUR"}
    stack.call("POST", "/api/v1/products", product).problem(403, "forbidden")
    invalid = stack.call("POST", "/api/v1/tasks", {"title": ""}).problem(422, "validation-error")
    assert invalid.json()["errors"], invalid.body
    missing = stack.call("GET", "/api/v1/nothing").problem(404, "not-found")
    stack.call("GET", missing.json()["type"]).expect(200)
    stranger = Stack(stack.port, stack.project)
    refused = stranger.call("GET", "/api/v1/tasks").problem(401, "unauthorized")
    assert refused.header("WWW-Authenticate").startswith("Bearer"), refused.headers


def a_compressed_etag_is_accepted_in_if_match(stack: Stack) -> None:
    long = {"title": "Long", "description": "word " * 400}
    path = stack.call("POST", "/api/v1/tasks", long).expect(201).header("Location")
    read = stack.call("GET", path, Accept_Encoding="gzip").expect(200)
    assert read.header("Content-Encoding") == "gzip", read.headers
    assert "Accept-Encoding" in ",".join(read.headers.get_all("Vary", [])), read.headers
    tag = read.header("ETag")
    assert tag.startswith("W/"), tag
    same = stack.call("GET", path, Accept_Encoding="gzip", If_None_Match=tag).expect(304)
    assert same.body == b"", same.body
    stack.call("PATCH", path, {"done": True}).problem(428, "precondition-required")
    stack.call("PATCH", path, {"done": True}, If_Match=tag).expect(200)
    stack.call("PATCH", path, {"done": False}, If_Match=tag).problem(412, "precondition-failed")


# --- nginx -------------------------------------------------------------------------------------


def trace_is_405_with_the_methods_of_the_path(stack: Stack) -> None:
    reply = stack.call("TRACE", "/api/v1/tasks").problem(405, "method-not-allowed")
    allowed = {method.strip() for method in reply.header("Allow").split(",")}
    assert allowed == {"GET", "HEAD", "OPTIONS", "POST"}, allowed


def bodies_over_a_mebibyte_are_413(stack: Stack) -> None:
    post = ("POST /api/v1/tasks HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    stack.raw(*post, "Content-Length: 1048577").problem(413, "content-too-large")
    chunks = b"10000\r\n%s\r\n" % (b" " * 65536) * 17
    reply = stack.raw(*post, "Transfer-Encoding: chunked", body=chunks + b"0\r\n\r\n")
    reply.problem(413, "content-too-large")


def oversized_heads_are_414_and_431(stack: Stack) -> None:
    stack.raw(f"GET /{'a' * 9000} HTTP/1.1", "Host: localhost").problem(414, "uri-too-long")
    get = ("GET /api/v1/products HTTP/1.1", "Host: localhost")
    stack.raw(*get, f"X-Long: {'a' * 9000}").problem(431, "header-fields-too-large")
    many = [f"X-Many-{number}: {number}" for number in range(150)]  # gunicorn's limit is 100
    stack.raw(*get, *many).problem(431, "header-fields-too-large")


def malformed_requests_are_400(stack: Stack) -> None:
    get = "GET /api/v1/products HTTP/1.1"
    stack.raw(get, "Host: evil.example").problem(400, "bad-request")
    stack.raw(get, "Host: localhost", "Host: evil.example").problem(400, "bad-request")
    stack.raw(get).problem(400, "bad-request")
    stack.raw("GET /\xff HTTP/1.1", "Host: localhost").problem(400, "bad-request")
    coded = ("POST /api/v1/tasks HTTP/1.1", "Host: localhost", "Transfer-Encoding: gzip")
    stack.raw(*coded).problem(501, "not-implemented")


def request_smuggling_is_rejected(stack: Stack) -> None:
    """Each of these could be read as two requests; there must be one error, and no more."""
    hidden = b"0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for lines in (
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: +5",),
        ("Content-Length: 5, 5",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Host: other.example", "Content-Length: 5"),
    ):
        post = ("POST /api/v1/tasks HTTP/1.1", "Host: localhost", *lines)
        statuses = stack.statuses(*post, body=hidden)
        assert len(statuses) == 1, (lines, statuses)
        assert statuses[0] in (400, 501), (lines, statuses)


def every_response_has_each_security_header_once(stack: Stack) -> None:
    of_nginx = stack.call("GET", "/metrics").problem(404, "not-found")
    of_gunicorn = stack.raw("GET /\xff HTTP/1.1", "Host: localhost").expect(400)
    of_the_service = [
        stack.call("GET", "/health/live").expect(200),
        stack.call("GET", "/api/v1/products").expect(200),
        stack.call("GET", "/api/v1/nothing").expect(404),
    ]
    for reply in (of_nginx, of_gunicorn, *of_the_service):
        for name, value in SECURITY_HEADERS.items():
            assert reply.header(name) == value, reply.headers
        assert reply.header("X-Request-ID"), reply.headers
        assert reply.header("Server") == "nginx", reply.headers
    for reply in (of_nginx, of_gunicorn):
        assert reply.header("Cache-Control") == "no-store", reply.headers


def a_request_id_is_kept_if_it_is_well_formed(stack: Stack) -> None:
    for path in ("/api/v1/nothing", "/metrics"):
        kept = stack.call("GET", path, X_Request_ID="client-chosen.0001")
        assert kept.header("X-Request-ID") == "client-chosen.0001", kept.headers
        for malformed in ("short", 'quote"quote', "x" * 129):
            made = stack.call("GET", path, X_Request_ID=malformed).header("X-Request-ID")
            assert uuid.UUID(made), made


def forwarded_headers_of_a_client_are_ignored(stack: Stack) -> None:
    claims = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https",
              "X_Forwarded_Ssl": "on", "Forwarded": "for=1.2.3.4;host=evil.example"}  # fmt: skip
    made = stack.call("POST", "/api/v1/tasks", {"title": "Mine"}, **claims).expect(201)
    assert "evil" not in made.header("Location"), made.headers
    stranger = Stack(stack.port, stack.project)
    left = []
    for number in range(3):
        address = f"203.0.113.{number}"
        spoofed = {"X_Forwarded_For": address, "X_Real_IP": address, "Forwarded": f"for={address}"}
        path = f"/api/v1/products?limit={number + 1}"  # not cached
        reply = stranger.call("GET", path, **spoofed).expect(200)
        left.append(int(re.search(r";r=(\d+)", reply.header("RateLimit"))[1]))
    assert left[0] > left[1] > left[2], f"another address got another quota: {left}"


def anonymous_reads_are_cached(stack: Stack) -> None:
    path, stranger = "/api/v1/products?limit=100&sort=name", Stack(stack.port, stack.project)
    personal = stack.call("GET", path).expect(200)
    assert personal.header("Cache-Control") == "private, no-cache", personal.headers
    first = stranger.call("GET", path).expect(200)
    assert first.header("Cache-Status") == "nginx; fwd=miss", "a private response was cached"
    again = stranger.call("GET", path).expect(200)
    assert again.header("Cache-Status") == "nginx; hit", again.headers
    assert (again.body, again.header("ETag")) == (first.body, first.header("ETag"))
    assert again.header("X-Request-ID") != first.header("X-Request-ID")
    assert again.headers["RateLimit"] is None, again.headers
    held = stranger.call("GET", path, If_None_Match=first.header("ETag")).expect(304)
    assert held.header("Cache-Status") == "nginx; hit", held.headers
    for fields in ({"Cookie": "a=b"}, {"Authorization": f"Bearer {stack.token}"}):
        reply = stranger.call("GET", path, **fields).expect(200)
        assert reply.headers["Cache-Status"] is None, (fields, reply.headers)
    stranger.call("GET", path, Authorization="Bearer no.no.no").problem(401, "unauthorized")


def only_nginx_is_published(stack: Stack) -> None:
    label = f"label=com.docker.compose.project={stack.project}"
    lines = stack.docker("ps", "--filter", label, "--format", "{{.Names}} {{.Ports}}").splitlines()
    published = [line for line in lines if "->" in line]
    assert len(published) == 1, lines
    assert re.search(rf"-nginx-1 .*127\.0\.0\.1:{stack.port}->8080/tcp$", published[0]), published


# --- jobs --------------------------------------------------------------------------------------


def import_and_export_survive_a_killed_worker(stack: Stack) -> None:
    editor = Stack(stack.port, stack.project)
    account = {"email": editor.email, "name": "Editor", "password": PASSWORD}
    editor.call("POST", "/api/v1/users", account).expect(201)
    web = stack.container("web")
    stack.docker("exec", web, "flask", "--app", "wsgi", "users", "set-role", editor.email, "editor")
    login = {"email": editor.email, "password": PASSWORD}
    reply = editor.call("POST", "/api/v1/auth/login", login).expect(200)
    editor.token = reply.json()["access_token"]

    product = {"name": '=cmd "x"', "category": "stack", "price": "1.50", "currency": "EUR"}
    lines = [json.dumps({"sku": f"STACK-{n}", **product}) for n in range(50_000)]
    for n in range(37):
        lines.insert(n * 500, '{"sku": "x", "price": "1.505"}')
    job = imported(editor, "\n".join(lines).encode(), kill=True)
    assert (job["state"], job["failed_count"]) == ("succeeded", 37), job
    assert job["result"] == {"created": 50_000, "updated": 0, "unchanged": 0}, job
    problems = editor.call("GET", f"/api/v1/jobs/{job['id']}/problems?limit=100").expect(200).json()
    assert [each["line"] for each in problems["items"]] == [n * 500 + 1 for n in range(37)]

    before = exported(editor)
    wipe = "DELETE FROM products WHERE category = 'stack'"
    stack.psql(wipe)
    assert imported(editor, before, kill=True)["result"]["created"] == 50_000
    after = exported(editor)
    instants = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+Z")
    assert after != before
    assert instants.sub(b"", after) == instants.sub(b"", before)
    stack.psql(wipe)


def imported(editor: Stack, file: bytes, *, kill: bool) -> dict:
    """Import a file, kill the worker in between, and return the finished job."""
    headers = {"Authorization": f"Bearer {editor.token}", "Content-Encoding": "gzip"}
    headers["Content-Type"] = "application/x-ndjson"
    connection = http.client.HTTPConnection("127.0.0.1", editor.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", "/api/v1/products/imports", gzip.compress(file), headers)
        path = Reply(connection.getresponse()).expect(202).header("Location")
    deadline = time.monotonic() + 120
    while (job := editor.call("GET", path).expect(200).json())["finished_at"] is None:
        assert time.monotonic() < deadline, job
        if kill and job["processed_count"]:
            kill, worker = False, editor.container("worker")
            editor.docker("kill", "--signal", "KILL", worker)
            # Do not wait until the lease expires.
            editor.psql("UPDATE jobs SET retry_at = now() WHERE finished_at IS NULL")
            editor.docker("start", worker)
        time.sleep(0.1)
    assert not kill, "the worker was never killed"
    return job


def exported(editor: Stack) -> bytes:
    path = "/api/v1/products/export?category=stack&sort=created_at"
    reply = editor.call("GET", path, Accept="application/x-ndjson", Accept_Encoding="identity")
    return reply.expect(200).body


# --- faults ------------------------------------------------------------------------------------


def a_reload_under_load_loses_nothing(stack: Stack) -> None:
    outcomes: Counter[object] = Counter()
    until = time.monotonic() + 6

    def client(method: str, path: str, body: object) -> None:
        while time.monotonic() < until:
            try:
                outcomes[method, stack.call(method, path, body).status] += 1
            except OSError as error:
                outcomes[method, repr(error)] += 1

    read, write = ("GET", "/api/v1/products", None), ("POST", "/api/v1/tasks", {"title": "T"})
    threads = [threading.Thread(target=client, args=load) for load in (read, read, write)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(1.5)
        stack.docker("kill", "--signal", "HUP", stack.container("web"))
    for thread in threads:
        thread.join()
    assert set(outcomes) == {("GET", 200), ("POST", 201)}, outcomes
    assert min(outcomes.values()) > 20, f"that is no load: {outcomes}"


def without_the_service_it_is_503_and_recovers(stack: Stack) -> None:
    with stack.without("web"):
        for method, body in (("GET", None), ("POST", {"title": "T"})):
            reply = stack.call(method, "/api/v1/tasks", body)
            assert reply.problem(503, "service-unavailable").header("Retry-After") == "5"
    stack.recovers("/health/ready", within=30)


def without_redis_requests_succeed(stack: Stack) -> None:
    with stack.without("redis"):
        stack.call("GET", "/api/v1/tasks").expect(200)
        stack.call("POST", "/api/v1/tasks", {"title": "Uncounted"}).expect(201)


def without_the_database_it_is_503_and_recovers(stack: Stack) -> None:
    with stack.without("postgres"):
        reply = stack.call("GET", "/api/v1/tasks").problem(503, "service-unavailable")
        assert int(reply.header("Retry-After")) > 0
        stack.call("GET", "/health/ready").expect(503)
        stack.call("GET", "/health/live").expect(200)
    stack.recovers("/health/ready", within=15)
    stack.call("GET", "/api/v1/tasks").expect(200)


def repeated_wrong_passwords_are_429(stack: Stack) -> None:
    guess = {"email": stack.email, "password": "not the right phrase"}
    for number in range(15):
        address = f"198.51.100.{number}"
        reply = stack.call("POST", "/api/v1/auth/login", guess, X_Forwarded_For=address)
        if reply.status == 429:
            break
        reply.problem(401, "unauthorized")
    assert int(reply.problem(429, "too-many-requests").header("Retry-After")) > 0


CHECKS = [
    health_and_documentation_are_served,
    a_user_registers_and_logs_in,
    an_address_is_confirmed_by_mail,
    a_forgotten_password_is_reset_by_mail,
    tasks_and_products_are_listed,
    errors_are_problem_details,
    a_compressed_etag_is_accepted_in_if_match,
    trace_is_405_with_the_methods_of_the_path,
    bodies_over_a_mebibyte_are_413,
    oversized_heads_are_414_and_431,
    malformed_requests_are_400,
    request_smuggling_is_rejected,
    every_response_has_each_security_header_once,
    a_request_id_is_kept_if_it_is_well_formed,
    forwarded_headers_of_a_client_are_ignored,
    anonymous_reads_are_cached,
    only_nginx_is_published,
    import_and_export_survive_a_killed_worker,
    a_reload_under_load_loses_nothing,
    without_the_service_it_is_503_and_recovers,
    without_redis_requests_succeed,
    without_the_database_it_is_503_and_recovers,
    repeated_wrong_passwords_are_429,
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--project", required=True)
    arguments = parser.parse_args()
    stack = Stack(arguments.port, arguments.project)
    failed = 0
    for check in CHECKS:
        started, verdict = time.monotonic(), "ok"
        try:
            check(stack)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            failed, verdict = failed + 1, "FAILED"
        name = check.__name__.replace("_", " ")
        print(f"{verdict:<6} {time.monotonic() - started:5.1f} s  {name}", flush=True)
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
