"""Gunicorn's server hooks, under the names of its settings and in the order of their calls.

`server` is the master's Arbiter; a worker process has a copy of it, made when it was forked.
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
    """Give the worker the lowest free number, so that there are few metrics files."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = min(set(range(len(taken) + 1)) - taken)
    shared_state.add_booting_worker(worker.age)


def post_fork(_server: Arbiter, worker: Worker) -> None:
    """Publish the number in the worker's environment; app/telemetry/metrics.py reads it."""
    os.environ["METRICS_SLOT"] = str(worker.slot)


def post_worker_init(worker: Worker) -> None:
    """Without a broker, start to run jobs in the worker."""
    worker.jobs = worker.wsgi.extensions.get("jobs")
    if worker.jobs:
        worker.jobs.start()


def worker_exit(_server: Arbiter, worker: Worker) -> None:
    """Stop the worker's jobs between two transactions; another process resumes them."""
    # A worker that failed to boot is still recorded as booting, and others would wait for it.
    shared_state.remove_booting_worker(worker.age)
    if worker.jobs:
        worker.jobs.stop()


def child_exit(_server: Arbiter, worker: Worker) -> None:
    """Drop the worker's live gauges, also when it was killed; its counters stay."""
    # Not at the top: modules that the master has imported stay the old ones in reloaded workers.
    from prometheus_client.multiprocess import mark_process_dead

    shared_state.remove_booting_worker(worker.age)
    mark_process_dead(worker.slot)  # type: ignore[no-untyped-call]


def on_exit(_server: Arbiter) -> None:
    """Remove the shared directory."""
    shared_state.remove()
