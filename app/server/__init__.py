"""Code that runs in gunicorn's master and workers: worker class, hooks, signals, log format.

Nothing here imports another part of `app`, and imports within the package are relative:
`gunicorn.conf.py` loads it without `app/__init__.py`. What an answer of the application looks like
does not belong here.
"""
