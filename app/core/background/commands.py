"""`flask maintenance`: periodic tasks, run once."""

import click
from flask.cli import AppGroup

from app.core.background.periodic import PERIODIC_TASKS

maintenance = AppGroup("maintenance", help="Run periodic tasks.")


@maintenance.command("run")
@click.argument("tasks", nargs=-1)
def run_tasks(tasks: tuple[str, ...]) -> None:
    """Run TASKS, by default all: delete expired rows, dispatch lost jobs."""
    names = sorted(PERIODIC_TASKS)
    if unknown := [name for name in tasks if name not in names]:
        raise click.BadParameter(f"{unknown[0]} is not one of {', '.join(names)}.")
    for name in tasks or names:
        click.echo(f"{name}: {PERIODIC_TASKS[name].func()}")
