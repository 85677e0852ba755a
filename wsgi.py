"""The entry points: `gunicorn wsgi:app` and, where there is a broker, `celery --app wsgi:celery`.

The `flask` command finds the application here by its name.
"""

import gc

gc.disable()  # next to nothing below becomes garbage, and looking for it is a fifth of the start

from app import create_app  # noqa: E402

app = create_app()
celery = app.extensions.get("celery")

gc.freeze()  # what is there by now stays: no collection needs to pass by it, which takes 90 ms
gc.enable()
