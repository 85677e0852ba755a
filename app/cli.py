"""`flask seed`: sample rows, to which features contribute."""

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

    It is called with `demo`, which is True with `--demo`, and with the values of its `options` by
    name. It does not change existing rows.
    """

    def register(func: SeedFunction) -> SeedFunction:
        _seeders.append(Seeder(func, tuple(option.name or "" for option in options)))
        seed.params.extend(options)
        return func

    return register


@click.command("seed")
@click.option("--demo", is_flag=True, help="Add a demo account and sample rows.")
@with_appcontext
def seed(demo: bool, **values: Any) -> None:
    """Add sample rows. They are reproducible; existing rows are unchanged."""
    if demo and current_app.config["APP_ENV"] == "production":
        raise click.ClickException("--demo is not available in production.")
    for func, options in _seeders:
        func(demo=demo, **{name: values[name] for name in options})
