"""The demo account."""

import click
from sqlalchemy import select

from app.cli import seeder
from app.extensions import db
from app.users.models import User
from app.users.passwords import hash_password

DEMO_EMAIL = "demo@example.com"
DEMO_PASSWORD = "demo password for trying out"  # noqa: S105 - printed; not used in production


@seeder()
def seed_users(*, demo: bool) -> None:
    """Add the demo account, an editor, and print its credentials."""
    if not demo:
        return
    if db.session.scalar(select(User.id).where(User.email == DEMO_EMAIL)) is None:
        user = User(email=DEMO_EMAIL, name="Demo", password_hash=hash_password(DEMO_PASSWORD))
        user.role = "editor"
        db.session.add(user)
        db.session.commit()
    click.echo(f"Demo login: {DEMO_EMAIL} / {DEMO_PASSWORD}")
