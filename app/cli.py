"""`flask seed` adds sample rows, `flask endpoints` and `flask config check` list what is served."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from app.config import ROOT
from app.core.security.authorization import internal
from app.extensions import Base, db

SeedFunction = Callable[..., None]


class Seeder(NamedTuple):
    """A function that adds rows, and the names of its own options."""

    func: SeedFunction
    options: tuple[str, ...]


_seeders: list[Seeder] = []


def init_app(app: Flask) -> None:
    """Add the commands to `flask`, and `db` and the models to `flask shell`."""
    app.cli.add_command(seed)
    app.cli.add_command(endpoints)
    app.cli.add_command(config)
    app.shell_context_processor(_shell_context)
    if (ROOT / "tools").is_dir():  # a checkout; the image has only the service
        from tools.scaffold import commands

        app.cli.add_command(commands.new)
        app.cli.add_command(commands.remove)


def _shell_context() -> dict[str, Any]:
    models = {mapper.class_.__name__: mapper.class_ for mapper in Base.registry.mappers}
    return {"db": db, **models}


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


@click.group("config")
def config() -> None:
    """Settings."""


@config.command("check")
@with_appcontext
def check_config() -> None:
    """Print the settings with masked secrets; invalid ones are refused with all reasons."""
    for name, text in current_app.extensions["settings"].printable().items():
        click.echo(f"{name}={text}")


@click.command("endpoints")
@with_appcontext
def endpoints() -> None:
    """List method, path, access rule, rate limit and kind of response of every route."""
    rows = [("METHOD", "PATH", "ACCESS", "RATE LIMIT", "RESPONSE"), *sorted(_endpoints())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def _endpoints() -> Iterator[tuple[str, ...]]:
    for rule in current_app.url_map.iter_rules():
        view: Any = current_app.view_functions[rule.endpoint]
        operation = getattr(view, "operation", None)
        kind = f"{operation.status} {operation.response_kind}" if operation else "Flask response"
        limit = "none" if view.access is internal else view.rate_limit or "RATE_LIMIT"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield method, rule.rule, view.access.name, limit, kind
