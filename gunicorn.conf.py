"""Configuration of gunicorn; .env.example describes the environment variables.

The worker class, the log format and the hooks are in app/server.
"""

import os
import sys
from pathlib import Path

# The master must not import `app`: after HUP its workers would inherit the old modules. It imports
# app/server without app/__init__.py, as the package `server`, and again at each HUP.
# docs/decisions.md#55-graceful-restarts
for _name in [name for name in sys.modules if name.partition(".")[0] == "server"]:
    del sys.modules[_name]
sys.path.append(str(Path(__file__).parent / "app"))
from server import hooks, json_log, settings, worker  # noqa: E402

sys.path.pop()
try:
    values = settings.read(os.environ)
except ValueError:
    # Imported where this process ends: it says what is wrong, with all other reasons.
    sys.path.insert(0, str(Path(__file__).parent))
    from app.config import ConfigError, Settings

    try:
        Settings.from_env()
    except ConfigError as error:
        sys.exit(str(error))

wsgi_app = "wsgi:app"
bind = [values["bind"]]
# On this address the application serves only metrics; it recognises it by the connection's port.
if metrics_bind := os.environ.get("METRICS_BIND"):
    bind.append(metrics_bind)

# --- processes -------------------------------------------------------------------------------

worker_class = worker.Worker
workers, threads = values["web_concurrency"], values["web_threads"]
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
