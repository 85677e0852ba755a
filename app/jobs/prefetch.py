"""Reading ahead: a thread reads the next batch of a file while the job writes this one."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

from flask import current_app

from app.jobs.job_run import JobRun, ShutdownRequested

HEARTBEAT = 1.0  # seconds between two looks at the lease and at the end of the process

BatchT = TypeVar("BatchT")
CheckStopped = Callable[[], None]


@contextmanager
def prefetch_batches(
    run: JobRun, read: Callable[[CheckStopped], Iterator[BatchT]]
) -> Iterator[Iterator[BatchT]]:
    """The batches of a generator that runs in a thread, one batch ahead.

    While the next batch is not read yet, the lease is renewed and a shutdown is noticed.

    Args:
        read: returns the batches. It calls its argument, which raises an exception to stop it, at
            least every second.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    stopped = Event()

    def check_stopped() -> None:
        if stopped.is_set():
            raise ShutdownRequested

    batches = read(check_stopped)

    def next_batch() -> BatchT | None:
        with app.app_context():
            return next(batches, None)

    def iterate(thread: ThreadPoolExecutor) -> Iterator[BatchT]:
        future = thread.submit(next_batch)
        while True:
            while wait([future], HEARTBEAT).not_done:
                run.heartbeat()
            batch = future.result()
            if batch is None:
                return
            future = thread.submit(next_batch)
            yield batch

    with ThreadPoolExecutor(1) as thread:
        try:
            yield iterate(thread)
        finally:
            stopped.set()
