"""Gunicorn's server hooks, with the names of its settings and in the order of their calls.

`server` is the Arbiter of the master; a worker process has a forked copy of it.
"""

import os

from gunicorn.arbiter import Arbiter

from . import shared_state
from .signals import install_handlers
from .worker import Worker


def on_starting(server: Arbiter) -> None:
    """Create the directory that the master shares with its workers."""
    shared_state.create(server.cfg.worker_tmp_dir)


def when_ready(server: Arbiter) -> None:
    """Install the master's signal handlers; gunicorn has installed its own by now."""
    install_handlers(server)


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Assign the lowest free number to the worker, so that there are few metrics files."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = min(set(range(len(taken) + 1)) - taken)
    shared_state.add_booting_worker(worker.age)


def post_fork(_server: Arbiter, worker: Worker) -> None:
    """Publish the number in the worker's environment; app/telemetry/metrics.py reads it."""
    os.environ["METRICS_SLOT"] = str(worker.slot)


def post_worker_init(worker: Worker) -> None:
    """Start the job backend of the worker, and watch its clients."""
    worker.jobs = worker.wsgi.extensions.get("jobs")
    worker.wsgi = worker.slow_clients.watch(worker.wsgi)
    if worker.jobs:
        worker.jobs.start()


def worker_exit(_server: Arbiter, worker: Worker) -> None:
    """Stop the worker's jobs between two transactions; another process resumes them."""
    # A worker that failed to boot is still recorded as booting; others would wait for it.
    shared_state.remove_booting_worker(worker.age)
    if worker.jobs:
        worker.jobs.stop()


def child_exit(_server: Arbiter, worker: Worker) -> None:
    """Remove the live gauges of a worker, even if it was killed; its counters remain."""
    # Imported here: a module that the master has imported is not reloaded in new workers.
    from prometheus_client.multiprocess import mark_process_dead

    shared_state.remove_booting_worker(worker.age)
    mark_process_dead(worker.slot)  # type: ignore[no-untyped-call]


def on_exit(_server: Arbiter) -> None:
    """Remove the shared directory."""
    shared_state.remove()
