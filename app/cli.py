"""Commands for people: `flask seed`, `upkeep`, `users`, `signing-keys` and `products`."""

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from marshmallow import ValidationError
from sqlalchemy import func, insert, select

from app.auth.commands import signing_keys
from app.core.database.types import now
from app.core.resources import repository
from app.core.schemas.fields import Email
from app.extensions import db
from app.jobs.periodic import PERIODIC_TASKS
from app.products.commands import products
from app.products.models import Product
from app.products.service import invalidate_summary
from app.tasks.models import PRIORITIES, Task
from app.users.models import User
from app.users.passwords import hash_password
from app.users.roles import ROLES
from app.users.schemas import RegistrationSchema, UserSchema

DEMO_EMAIL = "demo@example.com"
DEMO_PASSWORD = "demo password for trying out"  # noqa: S105 - printed, and refused in production
BATCH = 2_000

users = AppGroup("users", help="Manage accounts.")


def init_app(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(users)
    app.cli.add_command(signing_keys)
    app.cli.add_command(products)
    app.cli.add_command(seed)
    app.cli.add_command(upkeep)


@click.command("seed")
@click.option("--products", "number", default=0, metavar="N", help="Have the first N products.")
@click.option("--demo", is_flag=True, help="Have a demo login with a few tasks and products.")
@with_appcontext
def seed(number: int, demo: bool) -> None:
    """Fill the database; the same rows every time, those that exist are left alone."""
    if demo:
        _seed_demo()
        number = max(number, 50)
    sku = func.upper(Product.sku)
    existing = set(db.session.scalars(select(sku).where(sku.like("SEED-%"))))
    missing = [n for n in range(number) if _sku(n) not in existing]
    with click.progressbar(length=len(missing), label="Products") as bar:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            db.session.connection().execute(insert(Product), [_product(n) for n in batch])
            db.session.commit()
            bar.update(len(batch))
    invalidate_summary()


def _sku(number: int) -> str:
    return f"SEED-{number:07d}"


def _product(number: int) -> dict[str, Any]:
    dice = random.Random(number)  # noqa: S311 - the same catalogue every time is the point
    category, thing = dice.choice(
        [("kitchen", "mug"), ("kitchen", "kettle"), ("garden", "spade"), ("office", "lamp")]
    )
    colour = dice.choice(["blue", "green", "red", "white", "yellow"])
    return {
        "sku": _sku(number),
        "name": f"{colour.capitalize()} {thing} {number}",
        "description": f"A {colour} {thing} for the {category}.",
        "category": category,
        "price": Decimal(dice.randrange(100, 20_000)) / 100,
        "currency": dice.choice(["EUR", "USD"]),
        "stock": dice.randrange(100),
    }


def _seed_demo() -> None:
    if current_app.config["APP_ENV"] == "production":
        raise click.ClickException("There is no demo login in production.")
    if db.session.scalar(select(User.id).where(User.email == DEMO_EMAIL)) is None:
        user = User(email=DEMO_EMAIL, name="Demo", password_hash=hash_password(DEMO_PASSWORD))
        user.role = "editor"
        db.session.add(user)
        db.session.flush()
        for n, title in enumerate(("Read the README", "Call the API", "Add a resource")):
            due = now() + timedelta(days=n)
            db.session.add(Task(owner_id=user.id, title=title, priority=PRIORITIES[n], due_at=due))
        db.session.commit()
    click.echo(f"Demo login: {DEMO_EMAIL} / {DEMO_PASSWORD}")


@click.command("upkeep")
@click.argument("what", nargs=-1)
@with_appcontext
def upkeep(what: tuple[str, ...]) -> None:
    """Do what recurs, all of it or WHAT: delete what is over, send jobs again."""
    names = sorted(PERIODIC_TASKS)
    if unknown := [name for name in what if name not in names]:
        raise click.BadParameter(f"{unknown[0]} is none of {', '.join(names)}.")
    for name in what or names:
        click.echo(f"{name}: {PERIODIC_TASKS[name].func()}")


@users.command("create-admin")
@click.argument("email")
@click.option("--name", default="Admin", show_default=True)
@click.password_option(envvar="ADMIN_PASSWORD", help="Asked for, or taken from ADMIN_PASSWORD.")
def create_admin(email: str, name: str, password: str) -> None:
    """Create an admin account."""
    try:
        data = RegistrationSchema().load({"email": email, "name": name, "password": password})
    except ValidationError as error:
        reasons = [f"{name}: {' '.join(found)}" for name, found in error.messages_dict.items()]
        raise click.ClickException("; ".join(reasons)) from error
    email, password_hash = data["email"], hash_password(data["password"])
    if _find(email):
        raise click.ClickException(f"{email} is registered already; see `flask users set-role`.")
    user = User(email=email, name=data["name"], password_hash=password_hash, role="admin")
    repository.create_many([user], UserSchema())
    db.session.commit()
    click.echo(f"{email} is an admin.")


@users.command("set-role")
@click.argument("email")
@click.argument("role", type=click.Choice(list(ROLES)))
def set_role(email: str, role: str) -> None:
    """Give a user another role."""
    user = _find(_normalised(email), lock=True)
    if user is None:
        raise click.ClickException(f"{email} is not registered.")
    repository.update_locked(User, user, {"role": role}, UserSchema())
    db.session.commit()
    click.echo(f"{user.email} has the role {role}.")


def _find(email: str, *, lock: bool = False) -> User | None:
    found = select(User).where(User.email == email)
    return db.session.scalar(found.with_for_update() if lock else found)


def _normalised(email: str) -> str:
    try:
        return Email().deserialize(email)
    except ValidationError as error:
        raise click.ClickException("Not an e-mail address.") from error
