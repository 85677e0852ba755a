# begin products tasks
"""Checks of the sample features: imports and exports, lists, compressed ETags, the cache."""

import contextlib
import gzip
import http.client
import json
import re
import time

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


def tasks_and_products_are_listed(stack: Stack) -> None:
    made = stack.call("POST", "/api/v1/tasks", {"title": "First"}).expect(201)
    stack.call("POST", "/api/v1/tasks", {"title": "Second", "priority": "high"}).expect(201)
    read = stack.call("GET", made.header("Location")).expect(200)
    assert (read.body, read.header("ETag")) == (made.body, made.header("ETag"))
    page = stack.call("GET", "/api/v1/tasks?limit=1").expect(200).json()
    assert len(page["items"]) == 1, page
    assert page["next_cursor"], page
    assert "items" in stack.call("GET", "/api/v1/products").expect(200).json()


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


# end products tasks
