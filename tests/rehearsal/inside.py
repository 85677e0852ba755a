"""Runs in a clone: `fill` adds rows, `rows` prints them, `models` reads them with the models."""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))

from flask.testing import FlaskClient
from sqlalchemy import func, inspect, select, text

from app import create_app
from app.extensions import Base, db

PASSWORD = "correct horse battery staple"
INVOICE = {"number": "2026-1", "total": "12.50", "due_on": "2030-01-31"}


def fill(client: FlaskClient) -> None:
    """Add users, sessions, an API key, invoices, and what they leave in tables of the core."""
    for number in range(5):
        user = {"email": f"user{number}@example.com", "name": "Üser", "password": PASSWORD}
        sent(client, "users", user)
        login = {"email": user["email"], "password": PASSWORD}
        by = {"Authorization": f"Bearer {sent(client, 'auth/login', login)['access_token']}"}
        # begin jobs
        sent(client, "auth/api-keys", {"name": "key", "scopes": ["jobs:own"]}, by)
        # end jobs
        for each in range(20):
            key = {"Idempotency-Key": f'"{number}-{each}"'} if each < 2 else {}
            sent(client, "invoices", {**INVOICE, "number": f"{number}-{each}"}, {**by, **key})
    wrong = {"email": "user0@example.com", "password": "a wrong password, of course"}
    sent(client, "auth/login", wrong, expected=(401,))


def sent(
    client: FlaskClient,
    path: str,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
    expected: tuple[int, ...] = (200, 201),
) -> Any:
    """The body of the response to a POST."""
    response = client.post(f"/api/v1/{path}", json=body, headers=headers)
    assert response.status_code in expected, (path, response.status_code, response.json)
    return response.json


def rows() -> dict[str, list[dict[str, str]]]:
    """All rows of all tables, as the database has them."""
    found = {}
    for table in sorted(set(inspect(db.engine).get_table_names()) - {"alembic_version"}):
        result = db.session.execute(text(f'SELECT * FROM "{table}"')).mappings()
        found[table] = [{name: str(value) for name, value in row.items()} for row in result]
    return found


def models() -> dict[str, int]:
    """The number of rows of each table, all read through its model."""
    found = {}
    for mapper in Base.registry.mappers:
        read = db.session.scalars(select(mapper.class_)).all()
        stored = db.session.scalar(select(func.count()).select_from(mapper.local_table))
        assert len(read) == stored, mapper
        found[str(mapper.local_table)] = len(read)
    return found


if __name__ == "__main__":
    app = create_app()
    if sys.argv[1] == "fill":  # each request has a context of its own
        fill(app.test_client())
        sys.exit()
    with app.app_context():
        print(json.dumps({"rows": rows, "models": models}[sys.argv[1]]()))
