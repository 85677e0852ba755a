"""Checks of killed workers, reloads under load, stopped services."""

import contextlib
import gzip
import http.client
import json
import re
import threading
import time
from collections import Counter

from client import PASSWORD, Reply, Stack


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
