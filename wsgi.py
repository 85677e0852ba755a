"""Entry points: `gunicorn wsgi:app`, `flask`, and with a broker `celery --app wsgi:celery`."""

import gc

gc.disable()  # the imports leave almost no garbage; looking for it takes a fifth of the start

from app import create_app  # noqa: E402

app = create_app()
celery = app.extensions.get("celery")

gc.freeze()  # collections skip the objects that exist by now: a full one took 90 ms
gc.enable()
