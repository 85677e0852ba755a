"""How gunicorn serves the application; .env.example tells what the environment can change."""

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

from gunicorn import glogging, util
from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

wsgi_app = "wsgi:app"
bind = [os.environ.get("BIND") or "127.0.0.1:8000"]
# The application answers there with metrics and nothing else; it tells the two by their ports.
if metrics_bind := os.environ.get("METRICS_BIND"):
    bind.append(metrics_bind)
    if bind[0].rpartition(":")[2] == metrics_bind.rpartition(":")[2]:
        sys.exit("METRICS_BIND and BIND must differ in their ports")

# One process per core; more of them only cost memory and database connections (each keeps its own
# pool), so a large machine starts at 4 until WEB_CONCURRENCY says that the database can take more.
workers = int(os.environ.get("WEB_CONCURRENCY") or min(os.cpu_count() or 1, 4))
# Threads wait for the database; keep them at or below POOL_SIZE.
threads = int(os.environ.get("WEB_THREADS") or 4)

# Left as they are, on purpose: preload_app (HUP would no longer load new code) and reuse_port (HUP
# would reset connections).
timeout = 30  # of a worker's heartbeat; what bounds a request is the database's statement timeout
graceful_timeout = 25  # shorter than stop_grace_period in docker-compose.yml
keepalive = 5
max_requests = 20_000  # bounds what a slow leak can cost
max_requests_jitter = 2_000  # workers must not all end at the same moment
control_socket_disable = True  # signals do all we need; no file whose writer can stop the service
# The heartbeat file must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108

# nginx has slightly narrower limits, these hold without it.
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
# Only the peers named here may tell the scheme of the client's connection, and only in one header.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}

# How long readiness says 503, before connections are refused: longer than it takes whoever sends
# requests here to ask twice. 0 where nobody asks, as with the shipped nginx.
drain_seconds = int(os.environ.get("DRAIN_SECONDS") or 0)

# --- logs ------------------------------------------------------------------------------------

accesslog = None  # the application logs its requests itself, as JSON on standard output
errorlog = "-"
loglevel = (os.environ.get("LOG_LEVEL") or "info").lower()


class Lines(logging.Formatter):
    """One JSON object a line, with the names that the application's lines have."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; `fields` are added where a record has them."""
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            "pid": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Logger(glogging.Logger):
    """Logs as JSON, but on a terminal as gunicorn does. Nowhere what a client sent."""

    def setup(self, cfg: Any) -> None:
        """Set the format; called at the start and at each HUP."""
        super().setup(cfg)
        if not sys.stderr.isatty():
            for handler in self.error_log.handlers:
                handler.setFormatter(Lines())

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Warn; that a request was refused is told by `write_problem`, which quotes nothing."""
        if not msg.startswith("Invalid request from"):
            super().warning(msg, *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Tell an error and its cause; of the request that met it, the path without the query."""
        if msg.startswith("Error handling request") and args:
            args = (*args[:-1], str(args[-1]).partition("?")[0])
        super().exception(msg, *args, **kwargs)


logger_class = Logger

# --- refusals --------------------------------------------------------------------------------

REFUSALS = {
    400: ("/problems/bad-request", "Bad Request", "The request is not well-formed HTTP."),
    403: ("/problems/forbidden", "Forbidden", "This connection is not allowed."),
    414: ("/problems/uri-too-long", "URI Too Long", "The request line is too long."),
    417: ("about:blank", "Expectation Failed", "The expectation of this request cannot be met."),
    431: ("/problems/header-fields-too-large", "Request Header Fields Too Large",
          "The header fields of the request are too many or too long."),
    501: ("/problems/not-implemented", "Not Implemented", "The transfer coding is not supported."),
}  # fmt: skip
FAILURE = ("/problems/internal-error", "Internal Server Error", "The request could not be handled.")


def write_problem(sock: socket.socket, status: int, _reason: str, _message: str) -> None:
    """Answer what never reached the application as a problem (RFC 9457) and not as HTML.

    Gunicorn's own message quotes the request, so it is nowhere.
    """
    request_id = str(uuid4())
    cause = type(sys.exception()).__name__
    logging.getLogger("gunicorn.error").warning(
        "Answered %d for %s", status, cause, extra={"fields": {"request_id": request_id}}
    )
    kind, title, detail = REFUSALS.get(status, FAILURE)
    problem = {"type": kind, "title": title, "status": status, "detail": detail,
               "instance": f"urn:uuid:{request_id}", "request_id": request_id}  # fmt: skip
    body = json.dumps(problem)
    head = [
        f"HTTP/1.1 {status} {title}",
        "Connection: close",
        f"Date: {util.http_date()}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        f"X-Request-ID: {request_id}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy: no-referrer",
        "Strict-Transport-Security: max-age=31536000; includeSubDomains",
        "X-Content-Type-Options: nosniff",
    ]
    util.write_nonblock(sock, "\r\n".join([*head, "", body]).encode("latin-1"))


# Gunicorn has no setting for this; its workers look the function up here at each error.
util.write_error = write_problem


# --- answers ---------------------------------------------------------------------------------


class Response(wsgi.Response):
    """Sends the head together with the body: one system call and one packet, not two."""

    head = b""  # that was not sent yet

    def send_headers(self) -> None:
        """Make the head; it is sent with what comes next, or at the end."""
        if not self.headers_sent:
            fields = [f"{name}: {value}\r\n" for name, value in self.headers]
            self.head = "".join([*self.default_headers(), *fields, "\r\n"]).encode("latin-1")
            self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:
            self._send_head()
        else:
            data, self.head = self.head + data, b""
        super()._emit_body(data)

    def sendfile(self, respiter: Any) -> bool:
        """Send a file, if it is one that the kernel can send by itself."""
        self._send_head()
        return bool(super().sendfile(respiter))

    def close(self) -> None:
        """End the answer."""
        self._send_head()
        super().close()

    def _send_head(self) -> None:
        self.send_headers()
        head, self.head = self.head, b""
        if head:
            self.sock.sendall(head)


# Gunicorn has no setting for this either; it looks the class up here at each request.
wsgi.Response = Response

# --- the life of a worker --------------------------------------------------------------------


class Worker(ThreadWorker):
    """Leaves its listeners when it begins to end, and not only when its last request is over.

    Until then the kernel would go on taking connections that nobody answers. Now they come to the
    other workers; when there are none they are refused, so that a proxy may try elsewhere.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections, or no longer; for good once the worker ends."""
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for listener in self.sockets:
            waiting = -1
            while listener.sock and waiting != self.nr_conns:  # those that came before
                waiting = self.nr_conns
                self.accept(listener)
            listener.close()


worker_class = Worker


def on_starting(server: Any) -> None:
    """Make the directory through which this master and its workers share what they count."""
    server.shared = tempfile.mkdtemp(prefix="workers-", dir=worker_tmp_dir)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = server.shared
    os.environ["DRAINING_FILE"] = f"{server.shared}/draining"


def on_exit(server: Any) -> None:
    """Leave nothing behind."""
    shutil.rmtree(server.shared, ignore_errors=True)


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker a number that no other has now; the lowest, so that they stay few."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = min(set(range(len(taken) + 1)) - taken)


def post_fork(_server: Any, worker: Any) -> None:
    """Tell the worker its number."""
    os.environ["METRICS_SLOT"] = str(worker.slot)


def child_exit(server: Any, worker: Any) -> None:
    """Forget what a worker had in use; what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    Path(f"{server.shared}/booted-{worker.pid}").unlink(missing_ok=True)
    mark_process_dead(worker.slot)


def when_ready(server: Any) -> None:
    """Have TERM announce the end before it comes, and HUP look before it leaps."""
    drain_before_the_end(server)
    reload_what_boots(server)
    keep_the_old_until_the_new_have_booted(server)


def reload_what_boots(server: Any) -> None:
    """Have HUP try the new code first.

    A master whose new workers cannot boot ends, and with it the release that still serves.
    """
    reload = server.handle_hup

    def try_and_reload() -> None:
        trial = [sys.executable, "-c", "import wsgi"]
        apart = {k: v for k, v in os.environ.items() if k != "PROMETHEUS_MULTIPROC_DIR"}
        tried = subprocess.run(trial, env=apart, capture_output=True, text=True)  # noqa: S603
        if tried.returncode == 0:
            reload()
        else:
            reason = (tried.stderr.strip().splitlines() or ["it was killed"])[-1]
            server.log.error("Not reloaded, the code or its settings do not load: %s", reason)

    server.handle_hup = try_and_reload


def keep_the_old_until_the_new_have_booted(server: Any) -> None:
    """Have HUP end no worker before there is another; else requests wait while the code loads."""
    manage = server.manage_workers

    def manage_when_booted() -> None:
        by_age = sorted(server.WORKERS.values(), key=lambda worker: worker.age)
        newest = by_age[-server.num_workers :]
        deadline = time.monotonic() + server.timeout
        while len(server.WORKERS) > server.num_workers and not all(map(has_booted, newest)):
            if time.monotonic() > deadline or os.path.exists(os.environ["DRAINING_FILE"]):
                break  # it hangs, or all is to end
            server.reap_workers()  # raises if one of them cannot boot
            time.sleep(0.05)
        manage()

    def has_booted(worker: Any) -> bool:
        is_gone = worker.pid not in server.WORKERS
        return is_gone or os.path.exists(f"{server.shared}/booted-{worker.pid}")

    server.manage_workers = manage_when_booted


def drain_before_the_end(server: Any) -> None:
    """Have TERM announce the end; a second TERM does not wait."""
    end = signal.getsignal(signal.SIGTERM)

    def drain(_signal: int, frame: FrameType | None) -> None:
        announced = Path(os.environ["DRAINING_FILE"])
        if os.getpid() != server.pid:  # a child, before it has handlers of its own
            end(signal.SIGTERM, frame)
        elif drain_seconds and not announced.exists():
            announced.touch()
            signal.alarm(drain_seconds)
        else:
            announced.touch()
            end(signal.SIGTERM, frame)

    signal.signal(signal.SIGALRM, lambda _signal, frame: end(signal.SIGTERM, frame))
    signal.signal(signal.SIGTERM, drain)


def post_worker_init(worker: Any) -> None:
    """Tell the master of it. Without a broker, each worker does jobs and what recurs as well."""
    Path(f"{os.environ['PROMETHEUS_MULTIPROC_DIR']}/booted-{os.getpid()}").touch()
    worker.jobs = worker.wsgi.extensions.get("jobs")
    if worker.jobs:
        worker.jobs.start()


def worker_exit(_server: Any, worker: Any) -> None:
    """Let its jobs stop between two transactions; another process goes on with them."""
    if jobs := getattr(worker, "jobs", None):  # a worker that could not boot has none
        jobs.stop()
