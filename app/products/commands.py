"""`flask products import FILE` and `flask products export FILE`.

They correspond to the routes of the same names. The suffix of FILE determines its format.
"""

import gzip
import os
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.exc import SQLAlchemyError

from app.core.database import execute
from app.core.database.ids import uuid7
from app.core.database.types import now
from app.core.files import uploads
from app.core.resources import export
from app.extensions import db
from app.jobs.models import Job, JobProblem
from app.jobs.runner import create_job, run_job
from app.products.models import Product
from app.products.schemas import ProductSchema

MEDIA_TYPES = {".csv": export.CSV, ".ndjson": export.NDJSON}

products = AppGroup(
    "products", help="Import and export products: .csv, .ndjson, .csv.gz or .ndjson.gz."
)


def _media_type(path: Path) -> str:
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix not in MEDIA_TYPES:
        raise click.BadParameter("The name must end in .csv, .ndjson, .csv.gz or .ndjson.gz.")
    return MEDIA_TYPES[suffix]


@products.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--dry-run", is_flag=True, help="Validate the lines and count the changes, without writing."
)
@click.option("--on-error", type=click.Choice(["skip", "abort"]), default="skip", show_default=True)
@with_appcontext
def import_file(file: Path, dry_run: bool, on_error: str) -> None:
    """Import FILE. If the command is interrupted, the service resumes the import."""
    media_type, coding = _media_type(file), "gzip" if file.suffix == ".gz" else "identity"
    with file.open("rb") as stream:
        parts = iter(partial(stream.read, uploads.CHUNK_BYTES), b"")
        upload = uploads.store_chunks(parts, media_type, coding, uuid7())
    options = {"dry_run": dry_run, "on_error": on_error}
    options |= {"media_type": media_type, "coding": coding}
    db.session.add(create_job("products.import", options, job_id=upload.id))
    db.session.commit()
    job = _run_until_finished(upload.id)
    _print_problems(job)
    if job.state != "succeeded":
        raise click.ClickException(job.error or f"The job is {job.state}.")
    counts = ", ".join(f"{count} {name}" for name, count in (job.result or {}).items())
    click.echo(("Would be: " if dry_run else "") + counts)


def _print_problems(job: Row[Any]) -> None:
    """Print the first rejected lines and the number of all."""
    problems = select(JobProblem).where(JobProblem.job_id == job.id)
    for problem in db.session.scalars(problems.order_by(JobProblem.line).limit(20)):
        errors = "; ".join(f"{error['pointer']} {error['detail']}" for error in problem.errors)
        click.echo(f"line {problem.line}: {errors}", err=True)
    if job.failed_count:
        click.echo(f"{job.failed_count} lines are not valid.", err=True)


_SELECT_JOB = select(*Job.__table__.c).where(Job.id == bindparam("job_id"))


def _run_until_finished(job_id: UUID) -> Row[Any]:
    """Run a job in a thread and show its progress; return the row of the ended job.

    An attempt that has failed is repeated, as the service does, unless a worker of it is faster.

    Raises:
        ClickException: the job was cancelled.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def run() -> None:
        # Raised where the database is unavailable: the lease expires, and the job is repeated.
        with app.app_context(), suppress(SQLAlchemyError):
            run_job(job_id)

    thread, reported = threading.Thread(target=run, daemon=True), 0
    thread.start()
    with click.progressbar(length=1, label="Lines") as bar:
        while True:
            thread.join(0.2)
            try:
                # Without a transaction, which would lock SQLite's database.
                rows = execute.fetch_autocommit(_SELECT_JOB, {"job_id": job_id})
            except SQLAlchemyError:
                continue
            if not rows:
                raise click.ClickException("The job was cancelled.")
            [job] = rows
            bar.length = max(job.total or 1, job.processed_count)
            bar.update(job.processed_count - bar.pos)
            if job.finished_at:
                return job  # type: ignore[no-any-return]
            if job.state == "queued" and job.attempts > reported:
                reported = job.attempts
                wait = max(0, round((job.retry_at - now()).total_seconds()))
                click.echo(f"Attempt {reported} failed; the next one begins in {wait} s.", err=True)
            if not thread.is_alive() and now() >= job.retry_at:
                thread = threading.Thread(target=run, daemon=True)
                thread.start()


@products.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_appcontext
def export_file(file: Path) -> None:
    """Export all products, including inactive ones, to FILE, which is replaced atomically."""
    media_type = _media_type(file)
    schema = ProductSchema(exclude=("id", "version"))
    statement = select(*schema.columns(Product)).order_by(Product.created_at, Product.id)
    total = db.session.scalar(select(func.count()).select_from(Product)) or 0
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    open_file: Any = gzip.open if file.suffix == ".gz" else open
    try:
        with (
            open_file(draft, "wb") as stream,
            click.progressbar(length=total, label="Products") as bar,
        ):
            for chunk in export.iter_chunks(statement, {}, schema, media_type):
                stream.write(chunk)
                bar.update(export.CHUNK_ROWS)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    click.echo(f"Exported {total} products to {file}.")
