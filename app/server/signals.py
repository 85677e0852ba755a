"""Signal handlers of the master for SIGHUP and SIGTERM, which precede gunicorn's own."""

import os
import signal
import subprocess
import sys
from types import FrameType

from gunicorn.arbiter import Arbiter

from . import settings, shared_state


def install_handlers(server: Arbiter) -> None:
    """Install the handlers in front of those of gunicorn."""
    drain_on_sigterm(server)
    preflight_reload(server)


def drain_on_sigterm(server: Arbiter) -> None:
    """Announce the shutdown DRAIN_SECONDS before it; a second SIGTERM does not wait."""
    drain_seconds: int = settings.read(os.environ)["drain_seconds"]

    def drain(number: int, frame: FrameType | None) -> None:
        if os.getpid() != server.pid:  # a worker that has not installed its own handlers yet
            server.signal(number, frame)
        elif drain_seconds and not shared_state.is_draining():
            shared_state.start_draining()
            signal.alarm(drain_seconds)
        else:
            shared_state.start_draining()
            server.signal(number, frame)

    signal.signal(signal.SIGALRM, lambda _number, frame: server.signal(signal.SIGTERM, frame))
    signal.signal(signal.SIGTERM, drain)


def preflight_reload(server: Arbiter) -> None:
    """Before a reload, load configuration and code in a subprocess.

    If new workers cannot boot, the master exits, and with it the workers that still serve.
    """

    def reload(number: int, frame: FrameType | None) -> None:
        # A second SIGHUP must wait: each reload needs its own check of the code.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            if os.getpid() != server.pid or shared_state.is_draining():
                return
            if error := _load_error():
                server.log.error("Not reloaded, code or settings do not load: %s", error)
            else:
                server.signal(number, frame)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    signal.signal(signal.SIGHUP, reload)


def _load_error() -> str | None:
    """Return the last line of the error if the code does not load, else None."""
    command = [sys.executable, "-m", "gunicorn", *sys.argv[1:], "--check-config"]
    # Without this directory the check leaves no metrics of its own.
    environ = {k: v for k, v in os.environ.items() if k != "PROMETHEUS_MULTIPROC_DIR"}
    check = subprocess.run(command, env=environ, capture_output=True, text=True)  # noqa: S603
    if check.returncode == 0:
        return None
    return (check.stderr.strip().splitlines() or ["the check was killed"])[-1]
