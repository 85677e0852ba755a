"""Entry points: `gunicorn wsgi:app`, `flask`, and those of features."""

import gc
import sys

gc.disable()  # for a faster start: docs/decisions.md#65-garbage-collection-at-the-start
from app import config, create_app  # noqa: E402

try:
    app = create_app()
except config.StartError as error:
    sys.exit(str(error))
celery = app.extensions.get("celery")  # None without the feature `jobs`
gc.freeze()  # collections skip the existing objects; a full one took 90 ms
gc.enable()
