"""How gunicorn serves the application; .env.example tells what the environment can change."""

import json
import logging
import os
import socket
from pathlib import Path
from uuid import uuid4

from gunicorn import util

wsgi_app = "wsgi:app"
bind = os.environ.get("BIND") or "127.0.0.1:8000"

# One process per core; more of them only cost memory and database connections (each keeps its own
# pool), so a large machine starts at 4 until WEB_CONCURRENCY says that the database can take more.
workers = int(os.environ.get("WEB_CONCURRENCY") or min(os.cpu_count() or 1, 4))
# Threads wait for the database; keep them at or below POOL_SIZE.
worker_class = "gthread"
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

accesslog = None  # the application logs its requests itself, as JSON on standard output
errorlog = "-"
loglevel = (os.environ.get("LOG_LEVEL") or "info").lower()

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

    Gunicorn's own message quotes the request, so it stays in the log.
    """
    request_id = str(uuid4())
    logging.getLogger("gunicorn.error").warning("Answered %d, request_id %s", status, request_id)
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


def post_worker_init(worker: object) -> None:
    """Without a broker, each worker process does jobs and what recurs as well."""
    if jobs := worker.wsgi.extensions.get("jobs"):
        jobs.start()


def worker_exit(_server: object, worker: object) -> None:
    """Let its jobs stop between two transactions; another process goes on with them."""
    if jobs := worker.wsgi.extensions.get("jobs"):
        jobs.stop()
