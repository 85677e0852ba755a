"""`flask users`: management of accounts."""

import click
from flask.cli import AppGroup
from marshmallow import ValidationError
from sqlalchemy import select

from app.core.resources import repository
from app.core.schemas.fields import Email
from app.extensions import db
from app.users.models import User
from app.users.passwords import hash_password
from app.users.roles import ROLES
from app.users.schemas import RegistrationSchema, UserSchema

users = AppGroup("users", help="Manage accounts.")


@users.command("create-admin")
@click.argument("email")
@click.option("--name", default="Admin", show_default=True)
@click.password_option(
    envvar="ADMIN_PASSWORD", help="[default: the environment variable ADMIN_PASSWORD]"
)
def create_admin(email: str, name: str, password: str) -> None:
    """Create an admin account."""
    try:
        data = RegistrationSchema().load({"email": email, "name": name, "password": password})
    except ValidationError as error:
        errors = [f"{name}: {' '.join(texts)}" for name, texts in error.messages_dict.items()]
        raise click.ClickException("; ".join(errors)) from error
    email, password_hash = data["email"], hash_password(data["password"])
    if find_user(email):
        raise click.ClickException(f"{email} is already registered; see `flask users set-role`.")
    user = User(email=email, name=data["name"], password_hash=password_hash, role="admin")
    repository.create_many([user], UserSchema())
    db.session.commit()
    click.echo(f"{email} is an admin.")


@users.command("set-role")
@click.argument("email")
@click.argument("role", type=click.Choice(list(ROLES)))
def set_role(email: str, role: str) -> None:
    """Change the role of a user."""
    user = find_user(normalised_email(email), lock=True)
    if user is None:
        raise click.ClickException(f"{email} is not registered.")
    repository.update_locked(User, user, {"role": role}, UserSchema())
    db.session.commit()
    click.echo(f"{user.email} has the role {role}.")


def find_user(email: str, *, lock: bool = False) -> User | None:
    """Return the user with this canonical address, locked until the commit if required."""
    statement = select(User).where(User.email == email)
    return db.session.scalar(statement.with_for_update() if lock else statement)


def normalised_email(email: str) -> str:
    """Return an address in its canonical spelling; a ClickException if it is none."""
    try:
        return Email().deserialize(email)
    except ValidationError as error:
        raise click.ClickException("Not an e-mail address.") from error
