"""`flask seed`: sample rows, which features contribute for their own tables."""

from collections.abc import Callable
from typing import Any, NamedTuple

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

SeedFunction = Callable[..., None]


class Seeder(NamedTuple):
    """A function that adds rows, and the names of its own options."""

    func: SeedFunction
    options: tuple[str, ...]


_seeders: list[Seeder] = []


def init_app(app: Flask) -> None:
    """Add the command to `flask`."""
    app.cli.add_command(seed)


def seeder(*options: click.Option) -> Callable[[SeedFunction], SeedFunction]:
    """Register a function that `flask seed` calls, in the order in which features are initialised.

    It is called with `demo`, whether `--demo` was given, and with the values of its `options` by
    name. It leaves rows alone that exist.
    """

    def register(func: SeedFunction) -> SeedFunction:
        _seeders.append(Seeder(func, tuple(option.name or "" for option in options)))
        seed.params.extend(options)
        return func

    return register


@click.command("seed")
@click.option("--demo", is_flag=True, help="Add a demo login and sample rows.")
@with_appcontext
def seed(demo: bool, **values: Any) -> None:
    """Fill the database; the same rows every time, existing rows are left alone."""
    if demo and current_app.config["APP_ENV"] == "production":
        raise click.ClickException("There is no demo login in production.")
    for func, options in _seeders:
        func(demo=demo, **{name: values[name] for name in options})
