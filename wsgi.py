"""Entry points: `gunicorn wsgi:app`, `flask`, and with a broker `celery --app wsgi:celery`."""

import gc
import sys

# Imports leave almost no garbage, and collections take a fifth of the start:
# docs/decisions.md#65-garbage-collection-at-the-start
gc.disable()

from app import create_app  # noqa: E402
from app.config import StartError  # noqa: E402

try:
    app = create_app()
except StartError as error:
    sys.exit(str(error))
celery = app.extensions.get("celery")

gc.freeze()  # collections skip the existing objects; a full one took 90 ms
gc.enable()
