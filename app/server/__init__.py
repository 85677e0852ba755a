"""Code that runs in gunicorn's master and workers: worker class, hooks, signals, log format.

Nothing here imports another part of `app`, and imports within the package are relative:
`gunicorn.conf.py` loads it without `app/__init__.py`. Responses of the application do not belong
here. docs/decisions.md#55-graceful-restarts
"""
