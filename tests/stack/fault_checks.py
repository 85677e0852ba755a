"""Checks of killed workers, reloads under load, stopped services."""

import threading
import time
from collections import Counter

from client import Stack

ME = "/api/v1/users/me"
ANY_VERSION = {"If_Match": "*"}


def a_reload_under_load_loses_nothing(stack: Stack) -> None:
    outcomes: Counter[object] = Counter()
    until = time.monotonic() + 6

    def client(method: str, body: object, **headers: str) -> None:
        while time.monotonic() < until:
            try:
                outcomes[method, stack.call(method, ME, body, **headers).status] += 1
            except OSError as error:
                outcomes[method, repr(error)] += 1

    writer = threading.Thread(target=client, args=("PATCH", {"name": "N"}), kwargs=ANY_VERSION)
    threads = [writer, *(threading.Thread(target=client, args=("GET", None)) for _ in range(2))]
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(1.5)
        stack.docker("kill", "--signal", "HUP", stack.container("web"))
    for thread in threads:
        thread.join()
    assert set(outcomes) == {("GET", 200), ("PATCH", 200)}, outcomes
    assert min(outcomes.values()) > 20, f"that is no load: {outcomes}"


def without_the_service_it_is_503_and_recovers(stack: Stack) -> None:
    with stack.without("web"):
        for method, body in (("GET", None), ("PATCH", {"name": "N"})):
            reply = stack.call(method, ME, body, **ANY_VERSION)
            assert reply.problem(503, "service-unavailable").header("Retry-After") == "5"
    stack.recovers("/health/ready", within=30)


def without_redis_requests_succeed(stack: Stack) -> None:
    with stack.without("redis"):
        stack.call("GET", ME).expect(200)
        stack.call("PATCH", ME, {"name": "Uncounted"}, **ANY_VERSION).expect(200)


def without_the_database_it_is_503_and_recovers(stack: Stack) -> None:
    with stack.without("postgres"):
        reply = stack.call("GET", ME).problem(503, "service-unavailable")
        assert int(reply.header("Retry-After")) > 0
        stack.call("GET", "/health/ready").expect(503)
        stack.call("GET", "/health/live").expect(200)
    stack.recovers("/health/ready", within=15)
    stack.call("GET", ME).expect(200)


def repeated_wrong_passwords_are_429(stack: Stack) -> None:
    guess = {"email": stack.email, "password": "not the right phrase"}
    for number in range(15):
        address = f"198.51.100.{number}"
        reply = stack.call("POST", "/api/v1/auth/login", guess, X_Forwarded_For=address)
        if reply.status == 429:
            break
        reply.problem(401, "unauthorized")
    assert int(reply.problem(429, "too-many-requests").header("Retry-After")) > 0
