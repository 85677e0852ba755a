"""Configuration of gunicorn; .env.example describes the environment variables.

The code that this names (worker class, log format, hooks) is in app/server.
"""

import os
import sys
from pathlib import Path

# The master must not import `app`: after HUP its workers would inherit the old modules. So it
# imports app/server without app/__init__.py, as the package `server`, and again at each HUP.
for _name in [name for name in sys.modules if name.partition(".")[0] == "server"]:
    del sys.modules[_name]
sys.path.append(str(Path(__file__).parent / "app"))
from server import hooks, json_log, worker  # noqa: E402

sys.path.pop()

wsgi_app = "wsgi:app"
bind = [os.environ.get("BIND") or "127.0.0.1:8000"]
# The application serves metrics, and nothing else, on this address; it knows it by its port.
if metrics_bind := os.environ.get("METRICS_BIND"):
    bind.append(metrics_bind)
    if bind[0].rpartition(":")[2] == metrics_bind.rpartition(":")[2]:
        sys.exit("METRICS_BIND and BIND must differ in their ports")

# --- processes -------------------------------------------------------------------------------

worker_class = worker.Worker
# One per core; more only cost memory and database connections (each has its own pool), so a large
# machine starts with 4 until WEB_CONCURRENCY says that the database has room for more.
workers = int(os.environ.get("WEB_CONCURRENCY") or min(os.cpu_count() or 1, 4))
# Threads wait for the database; keep them at or below POOL_SIZE.
threads = int(os.environ.get("WEB_THREADS") or 4)
max_requests = 20_000  # bounds the cost of a slow memory leak
max_requests_jitter = 2_000  # workers must not all end at the same moment
# The heartbeat file must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
control_socket_disable = True  # signals suffice; a writer of that file could stop the service
# Not set, on purpose: preload_app (HUP would not load new code) and reuse_port (HUP would reset
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
# Only these peers may set the scheme of the client's connection, and only with this header.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}

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
