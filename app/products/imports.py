"""Imports: a file of products, each line validated as the body of `POST /products`.

The file is processed in batches. Each batch is one transaction with its products, rejected lines,
audit events and the checkpoint of the job, from which the job is resumed after a crash. A product
with the same SKU is updated; members that a line does not have are unchanged.
docs/decisions.md#39-imports-in-batches
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from marshmallow import ValidationError
from sqlalchemy import (
    Text,
    Uuid,
    exists,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert  # SQLite has the same words for ON CONFLICT
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import bulk
from app.core.database.errors import ErrorKind, classify
from app.core.database.ids import uuid7
from app.core.files import uploads
from app.core.files.record_lines import Record
from app.core.files.record_reader import count_lines, read_records
from app.core.resources import unaudited
from app.core.resources.audit_log import batch_changes
from app.core.resources.bulk_write import bulk_create, bulk_update
from app.core.schemas.base import Schema
from app.core.schemas.fields import Boolean, Enum
from app.core.schemas.loading import errors_as_json_pointers, load
from app.core.web import strict_json
from app.core.web.problems import MAX_ERRORS, ErrorDetail
from app.extensions import Base, db
from app.jobs.job_run import JobError, JobRun
from app.jobs.models import Job, JobProblem
from app.jobs.periodic import HOUR, periodic_task
from app.jobs.prefetch import CheckStopped, prefetch_batches
from app.jobs.runner import job
from app.products.models import Product
from app.products.schemas import ProductSchema
from app.products.service import invalidate_summary

BATCH_LINES = 5_000
BATCH_ATTEMPTS = 10  # of a batch that meets other transactions
MAX_PROBLEMS = 10_000  # stored per job; the others are only counted

log = structlog.get_logger()

SCHEMA = ProductSchema()
COLUMNS = SCHEMA.columns(Product)

FILE_EXAMPLES = {
    "text/csv": "sku,name,category,price,currency\r\nMUG-0001,Enamel mug,kitchen,12.50,EUR\r\n",
    "application/x-ndjson": '{"sku": "MUG-0001", "name": "Enamel mug", "category": "kitchen", '
    '"price": "12.50", "currency": "EUR"}\n',
}


class ImportQuery(Schema):
    """Options of an import."""

    dry_run = Boolean(
        load_default=False,
        metadata={"description": "Validate the lines and count the changes, without writing."},
    )
    on_error = Enum(
        ["skip", "abort"],
        load_default="skip",
        metadata={
            "description": "Whether an invalid line is skipped or aborts the import. With `abort` "
            "the whole file is validated before anything is written."
        },
    )


class ImportSeenSku(Base):
    """An SKU of an earlier line of a file; a later line with the same SKU is rejected."""

    __tablename__ = "import_seen_skus"

    # No foreign key to the job: PostgreSQL would check it for each row.
    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)


@periodic_task("import-seen-skus", interval=HOUR)
def purge_seen_skus() -> int:
    """Delete the SKUs of imports that have ended."""
    is_running = exists().where(Job.id == ImportSeenSku.job_id, Job.finished_at.is_(None))
    return unaudited.delete_in_batches(ImportSeenSku, ~is_running)


class Batch(NamedTuple):
    """Lines by number: the members of valid lines, and the errors of invalid ones."""

    last_line: int
    valid: dict[int, dict[str, Any]]
    problems: dict[int, Sequence[ErrorDetail]]


@job("products.import", permission="products:write")
def import_products(run: JobRun) -> dict[str, Any]:
    """Import the file with the id of the job; return the numbers of products."""
    dry_run, check_first = run.arguments["dry_run"], run.arguments["on_error"] == "abort"
    if run.total is None:
        run.checkpoint(total=_count_lines(run))
    if not run.position:
        run.position = initial_position(writing=not (dry_run or check_first))
    if not run.position["writing"]:
        process_file(run, first=True)
        if not dry_run:
            if run.failed_count:
                raise JobError("Some lines are not valid, so nothing was imported.")
            run.processed_count, run.position = 0, initial_position(writing=True)
    if run.position["writing"]:
        process_file(run, first=not check_first)
    run.checkpoint(total=run.processed_count)
    return {name: run.position[name] for name in ("created", "updated", "unchanged")}


def initial_position(*, writing: bool) -> dict[str, Any]:
    """Return the checkpoint of an import that has processed no line."""
    return {"writing": writing, "line": 0, "created": 0, "updated": 0, "unchanged": 0}


def _count_lines(run: JobRun) -> int:
    """Return the number of lines: an upper bound of the records, since cells can have breaks."""
    with uploads.open_upload(run.id, run.arguments["coding"], run.heartbeat) as stream:
        lines = count_lines(stream)
    header = run.arguments["media_type"] == "text/csv"
    return max(0, lines - int(header))


def process_file(run: JobRun, *, first: bool) -> None:
    """Validate the lines after the checkpoint, and write them unless this is a dry run."""
    with prefetch_batches(run, partial(_read_batches, run, run.position["line"])) as batches:
        for batch in batches:
            run.position["line"] = batch.last_line
            if batch.valid or batch.problems:
                run.processed_count += len(batch.valid) + len(batch.problems)
                _commit_batch(run, batch, first=first)
                invalidate_summary()
            else:
                run.heartbeat()


def _read_batches(run: JobRun, start: int, check_stopped: CheckStopped) -> Iterator[Batch]:
    """The batches of the lines after the one with the number `start`."""
    coding = run.arguments["coding"]
    with uploads.open_upload(run.id, coding, check_stopped) as stream:
        records = read_records(stream, run.arguments["media_type"], SCHEMA)
        remaining = (record for record in records if record.line > start)
        while lines := list(islice(remaining, BATCH_LINES)):
            yield _validate_lines(lines)


def _validate_lines(lines: Sequence[Record]) -> Batch:
    batch = Batch(lines[-1].line, {}, {})
    for line, members, error in lines:
        if error:
            batch.problems[line] = [{"detail": error, "pointer": "#"}]
        elif members is not None:
            try:
                batch.valid[line] = load(SCHEMA, members)
            except ValidationError as invalid:
                batch.problems[line] = errors_as_json_pointers(invalid.messages_dict)[:MAX_ERRORS]
    return batch


def _commit_batch(run: JobRun, batch: Batch, *, first: bool) -> None:
    """Process a batch and commit it; again, where another transaction was faster.

    Two imports that create the same product meet in the unique index, or wait for each other. In
    the second try the product exists, and is updated.
    """
    before = run.failed_count, run.position
    for attempts_left in reversed(range(BATCH_ATTEMPTS)):
        run.failed_count, run.position = before[0], dict(before[1])
        try:
            _process_batch(run, batch, first=first)
            run.checkpoint(
                processed_count=run.processed_count,
                failed_count=run.failed_count,
                checkpoint=run.position,
            )
            return
        except DBAPIError as error:
            db.session.rollback()
            kind = classify(error, db.metadata).kind
            is_conflict = kind in (ErrorKind.CONSTRAINT, ErrorKind.UNAVAILABLE)
            if not attempts_left or not is_conflict or error.connection_invalidated:
                raise
            log.info("import_batch_repeated", error=type(error).__name__)
            run.heartbeat()


def _process_batch(run: JobRun, batch: Batch, *, first: bool) -> None:
    writing = run.position["writing"]
    keys = _lower_case([members["sku"] for members in batch.valid.values()])
    lines = {line: keys[members["sku"]] for line, members in batch.valid.items()}
    if first:
        for line in _repeated_lines(run, lines):
            del batch.valid[line]
            error = {"detail": "An earlier line has this SKU.", "pointer": "#/sku"}
            batch.problems[line] = [error]
        _store_problems(run, batch.problems)
    existing = _select_by_sku([lines[line] for line in batch.valid], lock=writing)
    new, changed = [], []
    for line, members in batch.valid.items():
        if (row := existing.get(lines[line])) is None:
            new.append(members)
        elif changes := {k: v for k, v in members.items() if getattr(row, k) != v}:
            changed.append((row, changes))
    run.position["created"] += len(new)
    run.position["updated"] += len(changed)
    run.position["unchanged"] += len(batch.valid) - len(new) - len(changed)
    if writing:
        with batch_changes():
            bulk_create(Product, new, SCHEMA)
            bulk_update(Product, changed, SCHEMA)


def _lower_case(skus: Collection[str]) -> dict[str, str]:
    """Return each SKU in lower case, as the unique index has it; the database converts it."""
    keys = _lower_in_database(["I", *(sku for sku in skus if not sku.isascii())])
    if keys["I"] != "i":  # a Turkish database
        keys = _lower_in_database(skus)
    return {sku: keys.get(sku) or sku.lower() for sku in skus}


def _lower_in_database(skus: Collection[str]) -> dict[str, str]:
    skus_param = bulk.json_array_param()
    statement = select(skus_param, func.lower(skus_param))
    return dict(db.session.execute(statement, _json_array(skus)).all())


def _json_array(texts: Collection[str]) -> dict[str, str]:
    return {"listed": strict_json.dumps(list(texts)).decode()}


def _repeated_lines(run: JobRun, lines: Mapping[int, str]) -> list[int]:
    """Return the lines with the SKU of an earlier line, in this batch or an earlier one."""
    first = {key: line for line, key in reversed(list(lines.items()))}
    new = set(db.session.scalars(insert_seen_skus(run.id, first)))
    return [line for line, key in lines.items() if key not in new or first[key] != line]


def insert_seen_skus(job_id: UUID, keys: Collection[str]) -> Any:
    """Return the statement that stores the SKUs of a batch and returns the new ones.

    It has no join with the table: that would be planned by statistics older than the import.
    """
    table: Any = ImportSeenSku.__table__
    batch = select(literal(job_id, Uuid()), bulk.json_array_param()).params(_json_array(keys))
    batch = batch.where(true())  # without it, SQLite parses ON CONFLICT as a join
    new = insert(table).from_select(["job_id", "key"], batch)
    return new.on_conflict_do_nothing().returning(table.c.key)


def _select_by_sku(keys: list[str], *, lock: bool) -> dict[str, Any]:
    """Return the products with these SKUs; locked in the order of ids, against deadlocks."""
    skus_param = bulk.json_array_param()
    key = func.lower(Product.sku)
    statement = select(*COLUMNS, key.label("key")).where(key.in_(select(skus_param)))
    statement = statement.order_by(Product.id)
    if lock:
        statement = statement.with_for_update(of=Product)
    bulk.plan_each_time()
    return {row.key: row for row in db.session.execute(statement, _json_array(keys))}


def _store_problems(run: JobRun, problems: Mapping[int, Sequence[ErrorDetail]]) -> None:
    remaining = max(0, MAX_PROBLEMS - run.failed_count)
    rows = [
        {"id": uuid7(), "job_id": run.id, "line": line, "errors": problems[line]}
        for line in sorted(problems)[:remaining]
    ]
    if rows:
        db.session.connection().execute(insert(JobProblem), rows)
    run.failed_count += len(problems)
