"""Slow and idle clients."""

import resource
import socket
import time
from contextlib import ExitStack, suppress

from tests.chaos.faults.fault import fault
from tests.chaos.stack import Stack


@fault("200 slow clients (slowloris)")
def slow_clients(stack: Stack) -> str:
    raise_open_files_limit()
    with ExitStack() as own:
        head = b"GET /api/v1/articles HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
        post = b"POST /api/v1/articles HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n"
        heads = [own.enter_context(connected(stack, head)) for _ in range(100)]
        bodies = [own.enter_context(connected(stack, post)) for _ in range(100)]
        for _ in range(24):
            for wire in (*heads, *bodies):
                with suppress(OSError):
                    wire.send(b"x")
            time.sleep(0.5)
        cut = sum(map(is_closed, heads))
    assert cut == len(heads), f"{cut} were cut off"
    return "nginx closed those whose headers took 10 s, and buffered the bodies"


@fault("1,000 idle connections")
def idle_clients(stack: Stack) -> str:
    raise_open_files_limit()
    with ExitStack() as own:
        idle = [own.enter_context(connected(stack, b"")) for _ in range(1000)]
        time.sleep(4)
        left = sum(not is_closed(wire) for wire in idle)
        time.sleep(8)
        cut = sum(map(is_closed, idle))
    assert left == len(idle), f"{len(idle) - left} were rejected"
    assert cut == len(idle), f"{cut} were closed"
    return "all were open for 4 s; nginx closed them after 10 s"


def raise_open_files_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))


def connected(stack: Stack, sent: bytes) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", stack.nginx.port), timeout=10)
    wire.sendall(sent)
    wire.setblocking(False)
    return wire


def is_closed(wire: socket.socket) -> bool:
    try:
        return not wire.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True
