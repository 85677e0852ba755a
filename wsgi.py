"""Entry points: `gunicorn wsgi:app`, `flask`, and with a broker `celery --app wsgi:celery`."""

import gc

# Imports leave almost no garbage, and collections take a fifth of the start:
# docs/decisions.md#65-garbage-collection-at-the-start
gc.disable()

from app import create_app  # noqa: E402

app = create_app()
celery = app.extensions.get("celery")

gc.freeze()  # collections skip the existing objects; a full one took 90 ms
gc.enable()
