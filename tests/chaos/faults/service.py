"""Faults of the service: reloads, broken releases, killed workers."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.faults.fault import BOOT, THREADS, fault
from tests.chaos.stack import TIMEOUT, Stack, until


def reload(stack: Stack) -> None:
    old = set(stack.live.workers())
    stack.live.process.send_signal(signal.SIGHUP)
    until(lambda: no_longer(stack, old), "new workers")


def no_longer(stack: Stack, old: set[int]) -> bool:
    workers = stack.live.workers()
    return len(workers) == 2 and not old & set(workers)


@contextmanager
def changed(stack: Stack, name: str, pattern: str, replacement: str) -> Iterator[None]:
    """Replace text in a file of the release during a block."""
    file = stack.root / name
    text = file.read_text()
    other, times = re.subn(pattern, replacement, text)
    assert times, f"{pattern} is not in {name}"
    file.write_text(other)
    try:
        yield
    finally:
        file.write_text(text)


@fault("gunicorn reloaded (HUP) three times")
def hup(stack: Stack) -> str:
    for _ in range(3):
        reload(stack)
    return "all workers replaced, three times"


@fault("workers recycled (`max_requests`)", BOOT)
def max_requests(stack: Stack) -> str:
    first, seen = set(stack.live.workers()), set()
    setting = r"(max_requests|max_requests_jitter) = \S+"
    with changed(stack, "gunicorn.conf.py", setting, r"\1 = 100"):
        reload(stack)

        def recycled() -> bool:
            seen.update(stack.live.workers())
            return len(seen - first) >= 6

        until(recycled, "workers recycled")
    reload(stack)
    return "six workers in turn"


@fault("a release that cannot be imported (HUP)")
def broken_release(stack: Stack) -> str:
    old = set(stack.live.workers())
    with changed(stack, "app/__init__.py", r"\A", "import missing_module\n"):
        stack.live.process.send_signal(signal.SIGHUP)
        message = "Not reloaded"
        until(lambda: message in stack.live.log.read_text(), "the release was refused")
        time.sleep(1)
        assert set(stack.live.workers()) == old, "workers were replaced"
    reload(stack)
    return "refused; the old workers stayed, a good release replaced them"


@fault("a worker killed (SIGKILL)", failures=THREADS)
def worker_killed(stack: Stack) -> str:
    victim = stack.live.workers()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: no_longer(stack, {victim}), "another worker")
    return "another one replaced it; only its own requests failed"


@fault("gunicorn ended (TERM), a second one takes over")
def term(stack: Stack) -> str:
    old = stack.live.process
    stack.take_over()
    old.send_signal(signal.SIGTERM)
    assert old.wait(TIMEOUT) == 0
    return "exit status 0"
