"""The WSGI entry point: `gunicorn wsgi:app`; the `flask` command finds it by its name."""

from app import create_app

app = create_app()
