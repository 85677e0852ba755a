"""Checks of what nginx refuses, adds, hides and caches."""

import re
import uuid

from client import PASSWORD, Stack

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
}


def trace_is_405_with_the_methods_of_the_path(stack: Stack) -> None:
    reply = stack.call("TRACE", "/api/v1/users").problem(405, "method-not-allowed")
    allowed = {method.strip() for method in reply.header("Allow").split(",")}
    assert allowed == {"GET", "HEAD", "OPTIONS", "POST"}, allowed


def bodies_over_a_mebibyte_are_413(stack: Stack) -> None:
    post = ("POST /api/v1/users HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    stack.raw(*post, "Content-Length: 1048577").problem(413, "content-too-large")
    chunks = b"10000\r\n%s\r\n" % (b" " * 65536) * 17
    reply = stack.raw(*post, "Transfer-Encoding: chunked", body=chunks + b"0\r\n\r\n")
    reply.problem(413, "content-too-large")


def oversized_heads_are_414_and_431(stack: Stack) -> None:
    stack.raw(f"GET /{'a' * 9000} HTTP/1.1", "Host: localhost").problem(414, "uri-too-long")
    get = ("GET /api/v1/users/me HTTP/1.1", "Host: localhost")
    stack.raw(*get, f"X-Long: {'a' * 9000}").problem(431, "header-fields-too-large")
    many = [f"X-Many-{number}: {number}" for number in range(150)]  # gunicorn's limit is 100
    stack.raw(*get, *many).problem(431, "header-fields-too-large")


def malformed_requests_are_400(stack: Stack) -> None:
    get = "GET /api/v1/users/me HTTP/1.1"
    stack.raw(get, "Host: evil.example").problem(400, "bad-request")
    stack.raw(get, "Host: localhost", "Host: evil.example").problem(400, "bad-request")
    stack.raw(get).problem(400, "bad-request")
    stack.raw("GET /\xff HTTP/1.1", "Host: localhost").problem(400, "bad-request")
    coded = ("POST /api/v1/users HTTP/1.1", "Host: localhost", "Transfer-Encoding: gzip")
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
        post = ("POST /api/v1/users HTTP/1.1", "Host: localhost", *lines)
        statuses = stack.statuses(*post, body=hidden)
        assert len(statuses) == 1, (lines, statuses)
        assert statuses[0] in (400, 501), (lines, statuses)


def every_response_has_each_security_header_once(stack: Stack) -> None:
    of_nginx = stack.call("GET", "/metrics").problem(404, "not-found")
    of_gunicorn = stack.raw("GET /\xff HTTP/1.1", "Host: localhost").expect(400)
    of_the_service = [
        stack.call("GET", "/health/live").expect(200),
        stack.call("GET", "/api/v1/users/me").expect(200),
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
    stranger = Stack(stack.port, stack.project)
    account = {"email": stranger.email, "name": "Stranger", "password": PASSWORD}
    made = stranger.call("POST", "/api/v1/users", account, **claims).expect(201)
    assert "evil" not in made.header("Location"), made.headers
    left = []
    for number in range(3):
        address = f"203.0.113.{number}"
        spoofed = {"X_Forwarded_For": address, "X_Real_IP": address, "Forwarded": f"for={address}"}
        reply = stranger.call("GET", "/api/v1/nothing", **spoofed).expect(404)
        left.append(int(re.search(r";r=(\d+)", reply.header("RateLimit"))[1]))
    assert left[0] > left[1] > left[2], f"another address got another quota: {left}"


def only_nginx_is_published(stack: Stack) -> None:
    label = f"label=com.docker.compose.project={stack.project}"
    lines = stack.docker("ps", "--filter", label, "--format", "{{.Names}} {{.Ports}}").splitlines()
    published = [line for line in lines if "->" in line]
    assert len(published) == 1, lines
    assert re.search(rf"-nginx-1 .*127\.0\.0\.1:{stack.port}->8080/tcp$", published[0]), published
