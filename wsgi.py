"""The entry points: `gunicorn wsgi:app` and, where there is a broker, `celery --app wsgi:celery`.

The `flask` command finds the application here by its name.
"""

from app import create_app

app = create_app()
celery = app.extensions.get("celery")
