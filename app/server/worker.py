"""The worker class."""

import signal
import socket
from types import FrameType
from typing import Any
from uuid import uuid4

from gunicorn.http.message import Request
from gunicorn.workers.gthread import ThreadWorker

from . import shared_state
from .error_responses import status_of, write_problem_response


class Worker(ThreadWorker):
    """A threaded worker that ends without losing a connection, and answers errors as problems."""

    slot: int  # the lowest number that no other worker has; names its metrics files
    jobs: Any = None  # the job backend, where this process runs jobs
    wait_for_new_workers = False

    def run(self) -> None:
        """Serve until the worker ends; called when the code has been loaded."""
        shared_state.remove_booting_worker(self.age)
        super().run()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end on SIGTERM; during a reload only once the new workers serve.

        Gunicorn ends the old workers as soon as it has forked the new ones, and requests would wait
        while these load the code. A second SIGTERM does not wait.
        """
        if self.wait_for_new_workers or not self.booted or _may_end():
            super().handle_exit(sig, frame)
        else:
            self.wait_for_new_workers = True

    def notify(self) -> None:
        """Send the heartbeat, at least once a second; end if the new workers serve."""
        super().notify()
        if self.wait_for_new_workers and _may_end():
            super().handle_exit(signal.SIGTERM, None)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections or not; a worker that ends also closes its listeners.

        Gunicorn closes them after the last request, and until then the kernel accepts connections
        that nobody answers. Closed, these go to the other workers; if there are none they are
        refused, and a proxy tries elsewhere.
        """
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for listener in self.sockets:
            count = -1
            while listener.sock and count != self.nr_conns:  # accept those already in the backlog
                count = self.nr_conns
                self.accept(listener)
            listener.close()

    def handle_error(
        self, req: Request | None, client: socket.socket, addr: Any, exc: BaseException
    ) -> None:
        """Answer a request that gunicorn cannot read, or whose response failed, with a problem.

        The log never quotes the request: gunicorn's own messages would, credentials included.
        """
        status = status_of(exc)
        if status == 500:
            request = f"{req.method} {req.uri.partition('?')[0]}" if req else "(not read)"
            self.log.exception("Error handling request %s", request)
        request_id = str(uuid4())
        fields = {"request_id": request_id}
        self.log.warning("Answered %d for %s", status, type(exc).__name__, extra={"fields": fields})
        try:
            write_problem_response(client, status, request_id)
        except OSError:
            self.log.debug("Failed to send the error response.")


def _may_end() -> bool:
    return shared_state.is_draining() or not shared_state.is_any_worker_booting()
