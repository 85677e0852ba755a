"""State that the master shares with its workers: files in a directory of the master."""

import os
import shutil
import tempfile
from pathlib import Path


def create(parent: str | None) -> None:
    """Create the directory and publish its path to the workers, in their environment.

    Args:
        parent: the directory to create it in; None for the system's temporary directory.
    """
    directory = tempfile.mkdtemp(prefix="workers-", dir=parent)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory  # prometheus_client writes its files there
    os.environ["DRAINING_FILE"] = f"{directory}/draining"  # read by app/telemetry/health.py


def remove() -> None:
    """Remove the directory."""
    shutil.rmtree(_directory(), ignore_errors=True)


def start_draining() -> None:
    """Announce the shutdown: from now on readiness is 503."""
    Path(os.environ["DRAINING_FILE"]).touch()


def is_first_refusal() -> bool:
    """Return whether no other worker has refused the configuration; all have the same reasons."""
    try:
        (_directory() / "refused").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def is_draining() -> bool:
    """Return whether the service is shutting down."""
    return os.path.exists(os.environ["DRAINING_FILE"])


def add_booting_worker(age: int) -> None:
    """Record that the worker with this age (gunicorn's running number) is loading the code."""
    (_directory() / f"booting-{age}").touch()


def remove_booting_worker(age: int) -> None:
    """Record that the worker serves or has exited; may be called more than once."""
    (_directory() / f"booting-{age}").unlink(missing_ok=True)


def is_any_worker_booting() -> bool:
    """Return whether a worker is still loading the code."""
    return any(_directory().glob("booting-*"))


def _directory() -> Path:
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
