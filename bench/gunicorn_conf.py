"""gunicorn.conf.py for other applications, without the hooks that need our application."""

import runpy

_shipped = runpy.run_path("gunicorn.conf.py")
globals().update(
    {name: _shipped[name] for name in _shipped if name not in ("post_worker_init", "worker_exit")}
)
