"""The settings of gunicorn.conf.py for other applications, whose environments lack our worker."""

import os
from pathlib import Path

worker_class = "gthread"
workers, threads = int(os.environ["WEB_CONCURRENCY"]), int(os.environ["WEB_THREADS"])
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True
timeout, graceful_timeout, keepalive = 30, 25, 5
