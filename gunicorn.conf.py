"""Configuration of gunicorn; .env.example describes the environment variables.

The worker class, the log format and the hooks are in app/server.
"""

import os
import re
import sys
from pathlib import Path

# The master must not import `app`: after HUP its workers would inherit the old modules. It imports
# app/server without app/__init__.py, as the package `server`, and again at each HUP.
# docs/decisions.md#55-graceful-restarts
for _name in [name for name in sys.modules if name.partition(".")[0] == "server"]:
    del sys.modules[_name]
sys.path.append(str(Path(__file__).parent / "app"))
from server import hooks, json_log, worker  # noqa: E402

sys.path.pop()

wsgi_app = "wsgi:app"
bind = [os.environ.get("BIND") or "127.0.0.1:8000"]
# On this address the application serves only metrics; it recognises it by the connection's port.
if metrics_bind := os.environ.get("METRICS_BIND"):
    bind.append(metrics_bind)
    if bind[0].rpartition(":")[2] == metrics_bind.rpartition(":")[2]:
        sys.exit("METRICS_BIND and BIND must differ in their ports")

# --- processes -------------------------------------------------------------------------------

worker_class = worker.Worker
# One per core, at most 4 by default: each worker needs memory and its own pool of database
# connections.
workers = int(os.environ.get("WEB_CONCURRENCY") or min(os.cpu_count() or 1, 4))
# At most POOL_SIZE: a thread needs a database connection.
threads = int(os.environ.get("WEB_THREADS") or 4)
max_requests = 20_000  # bounds memory leaks
max_requests_jitter = 2_000  # so that workers do not exit at the same time
# The heartbeat file must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
control_socket_disable = True  # signals suffice; the socket could stop the service
# Deliberately not set: preload_app (HUP would not load new code) and reuse_port (HUP would reset
# connections).

# --- timeouts --------------------------------------------------------------------------------

timeout = 30  # of a worker's heartbeat; a request is bounded by the database's statement timeout
graceful_timeout = 25  # shorter than stop_grace_period in docker-compose.yml
keepalive = 5

# --- requests --------------------------------------------------------------------------------

# nginx has slightly lower limits; these hold without it.
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
# No header changes how gunicorn sees a request: the application knows the proxies to trust
# (TRUSTED_PROXIES). Its defaults let clients on the same machine set SCRIPT_NAME and the scheme.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# The path below which the service is mounted; a proxy that removes it sends X-Forwarded-Prefix.
if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", os.environ.get("SCRIPT_NAME", "")):
    sys.exit("SCRIPT_NAME is a path such as /shop, without / at its end")

# --- logs ------------------------------------------------------------------------------------

accesslog = None  # the application logs requests itself, as JSON on standard output
errorlog = "-"
loglevel = (os.environ.get("LOG_LEVEL") or "info").lower()
logger_class = json_log.Logger

# --- hooks -----------------------------------------------------------------------------------

on_starting = hooks.on_starting
when_ready = hooks.when_ready
pre_fork = hooks.pre_fork
post_fork = hooks.post_fork
post_worker_init = hooks.post_worker_init
worker_exit = hooks.worker_exit
child_exit = hooks.child_exit
on_exit = hooks.on_exit
