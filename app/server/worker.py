"""The worker class."""

import signal
import socket
import sys
from types import FrameType
from typing import Any
from uuid import uuid4

from gunicorn.arbiter import Arbiter
from gunicorn.http.message import Request
from gunicorn.workers.gthread import TConn, ThreadWorker

from . import shared_state
from .error_responses import status_of, write_problem_response
from .slow_clients import SlowClients, linger
from .unread_body import close_unless_read


class Worker(ThreadWorker):
    """A threaded worker that exits without losing a connection; its errors are problem details."""

    slot: int  # the lowest number that no other worker has; names its metrics files
    jobs: Any = None  # the job backend, where this process runs jobs
    wait_for_new_workers = False

    def init_process(self) -> None:
        """Prepare the process and serve; called in the new process."""
        self.slow_clients = SlowClients(self.cfg.threads)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application; if `wsgi.py` exits with a message, so does the master."""
        try:
            super().load_wsgi()
        except SystemExit as refusal:
            if not isinstance(refusal.code, str):
                raise
            if not shared_state.is_first_refusal():
                sys.exit()  # the master, which is stopping, would log a second error's traceback
            print(refusal, file=sys.stderr, flush=True)  # noqa: T201
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def run(self) -> None:
        """Serve until the worker exits; called when the code has been loaded."""
        shared_state.remove_booting_worker(self.age)
        super().run()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on SIGTERM; during a reload only when the new workers serve.

        Gunicorn stops the old workers as soon as it has forked the new ones, and requests would
        wait while these load the code. A second SIGTERM does not wait.
        """
        if self.wait_for_new_workers or not self.booted or _may_stop():
            super().handle_exit(sig, frame)
        else:
            self.wait_for_new_workers = True

    def notify(self) -> None:
        """Send the heartbeat, at least once a second; stop if the new workers serve."""
        super().notify()
        self.slow_clients.disconnect_slowest()
        if self.wait_for_new_workers and _may_stop():
            super().handle_exit(signal.SIGTERM, None)

    def handle(self, conn: TConn) -> Any:
        """Handle a request in a thread; return whether the connection stays open."""
        with self.slow_clients.serving(conn.sock):
            stays_open = super().handle(conn)
            if not stays_open:
                linger(conn.sock)
            return stays_open

    def set_accept_enabled(self, enabled: bool) -> None:
        """Enable or disable accepting connections; a worker that stops closes its listeners.

        Gunicorn closes them after the last request; until then the kernel accepts connections that
        no thread handles. With closed listeners, connections go to the other workers; without
        others they are refused, and a proxy tries another server.
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

    def handle_request(self, req: Request, conn: Any) -> bool:
        """Handle a request; return whether the connection can be reused."""
        close_unless_read(req)
        return bool(super().handle_request(req, conn))

    def handle_error(
        self, req: Request | None, client: socket.socket, addr: Any, exc: BaseException
    ) -> None:
        """Respond with a problem if gunicorn cannot parse the request or the response failed.

        The log does not quote the request, as gunicorn's own messages do, including credentials.
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


def _may_stop() -> bool:
    return shared_state.is_draining() or not shared_state.is_any_worker_booting()
