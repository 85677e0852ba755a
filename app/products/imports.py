"""Import: a file of products, each line as `POST /products` would take it.

The file is gone through in batches, each one transaction with its effect, its problems, its audit
events and how far the job is: begun again after a crash, the job goes on where it was. A product
with the same SKU is changed; members that a line does not have stay as they are.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from flask import current_app
from marshmallow import ValidationError
from sqlalchemy import (
    Text,
    exists,
    func,
    insert,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import bulk
from app.core.database.ids import uuid7
from app.core.files import uploads
from app.core.files.record_lines import Record
from app.core.files.record_reader import read_records
from app.core.resources import repository
from app.core.resources.audit_log import batch_changes
from app.core.resources.bulk_write import bulk_create, bulk_update
from app.core.schemas.base import Schema
from app.core.schemas.fields import Boolean, Enum
from app.core.schemas.loading import errors_as_json_pointers, load
from app.core.web import strict_json
from app.core.web.problems import MAX_ERRORS, ErrorDetail
from app.extensions import Base, db
from app.jobs.models import Job, JobProblem
from app.jobs.periodic import HOUR, periodic_task
from app.jobs.runner import JobError, JobRun, job
from app.products.models import Product
from app.products.schemas import ProductSchema
from app.products.service import invalidate_summary

BATCH_LINES = 5_000  # lines
MAX_PROBLEMS = 10_000  # kept of one job; all are counted

SCHEMA = ProductSchema()
COLUMNS = SCHEMA.columns(Product)

FILE_EXAMPLES = {
    "text/csv": "sku,name,category,price,currency\r\nMUG-0001,Enamel mug,kitchen,12.50,EUR\r\n",
    "application/x-ndjson": '{"sku": "MUG-0001", "name": "Enamel mug", "category": "kitchen", '
    '"price": "12.50", "currency": "EUR"}\n',
}


class ImportQuery(Schema):
    """What to do with the file."""

    dry_run = Boolean(
        load_default=False,
        metadata={"description": "Only check the lines and count what they would do."},
    )
    on_error = Enum(
        ["skip", "abort"],
        load_default="skip",
        metadata={
            "description": "What a line that is not valid does: it is left out, or keeps the whole "
            "file out, which is then checked before anything is written."
        },
    )


class ImportSeenSku(Base):
    """An SKU that a file has had already, so that a second line with it is told.

    It refers to its job without a foreign key, which PostgreSQL would look up for each.
    """

    __tablename__ = "import_keys"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)


@periodic_task("import-keys", interval=HOUR)
def purge_seen_skus() -> int:
    """Delete the keys of imports that are over."""
    goes_on = exists().where(Job.id == ImportSeenSku.job_id, Job.finished_at.is_(None))
    return repository.delete_in_batches(ImportSeenSku, ~goes_on)


class Batch(NamedTuple):
    """Lines by their numbers: the members of those that are valid, what is wrong with others."""

    valid: dict[int, dict[str, Any]]
    problems: dict[int, Sequence[ErrorDetail]]


@job("products.import")
def import_products(run: JobRun) -> dict[str, Any]:
    """Import the file that was uploaded under the job's id; the result counts what was done."""
    dry_run, check_first = run.arguments["dry_run"], run.arguments["on_error"] == "abort"
    if run.total is None:
        run.checkpoint(total=_count_lines(run))
    if not run.position:
        run.position = initial_position(writing=not (dry_run or check_first))
    if not run.position["writing"]:
        process_file(run, first=True)
        if not dry_run:
            if run.failed:
                raise JobError("Some lines are not valid, so nothing was imported.")
            run.processed, run.position = 0, initial_position(writing=True)
    if run.position["writing"]:
        process_file(run, first=not check_first)
    run.checkpoint(total=run.processed)
    return {name: run.position[name] for name in ("created", "updated", "unchanged")}


def initial_position(*, writing: bool) -> dict[str, Any]:
    """Where an import begins."""
    return {"writing": writing, "line": 0, "created": 0, "updated": 0, "unchanged": 0}


def _count_lines(run: JobRun) -> int:
    """Roughly how many records there are, to show progress by; cells may contain line breaks."""
    lines = 0
    with uploads.open_upload(run.id, run.arguments["coding"]) as stream:
        while part := stream.read(uploads.CHUNK_BYTES):
            lines += part.count(b"\n")
    header = run.arguments["media_type"] == "text/csv"
    return max(0, lines - int(header))


def process_file(run: JobRun, *, first: bool) -> None:
    """Check the lines from where the job is, and write them if it is at that."""
    begin = run.position["line"]
    with uploads.open_upload(run.id, run.arguments["coding"]) as stream:
        found = read_records(stream, run.arguments["media_type"], SCHEMA)
        rest = (record for record in found if record.line > begin)
        for batch in prefetch_batches(lambda: _validate(islice(rest, BATCH_LINES))):
            run.processed += len(batch.valid) + len(batch.problems)
            run.position["line"] = max([*batch.valid, *batch.problems])
            _do_batch(run, batch, first=first)
            run.checkpoint(processed=run.processed, failed=run.failed, position=run.position)
            invalidate_summary()


def _validate(lines: Iterable[Record]) -> Batch:
    batch = Batch({}, {})
    for line, members, error in lines:
        if members is None:
            batch.problems[line] = [{"detail": error, "pointer": "#"}]
            continue
        try:
            batch.valid[line] = load(SCHEMA, members)
        except ValidationError as invalid:
            batch.problems[line] = errors_as_json_pointers(invalid.messages_dict)[:MAX_ERRORS]
    return batch


def prefetch_batches(read: Callable[[], Batch]) -> Iterator[Batch]:
    """All batches: the next is read in a thread while the database is busy with this one."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def read_in_context() -> Batch:
        with app.app_context():
            return read()

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(read_in_context)
        while any(batch := coming.result()):
            coming = thread.submit(read_in_context)
            yield batch


def _do_batch(run: JobRun, batch: Batch, *, first: bool) -> None:
    writing = run.position["writing"]
    keys = _keys([members["sku"] for members in batch.valid.values()])
    lines = {line: keys[members["sku"]] for line, members in batch.valid.items()}
    if first:
        for line in _repeated(run, lines):
            del batch.valid[line]
            place = {"detail": "An earlier line has this SKU.", "pointer": "#/sku"}
            batch.problems[line] = [place]
        _store_problems(run, batch.problems)
    existing = _existing([lines[line] for line in batch.valid], lock=writing)
    new, changed = [], []
    for line, members in batch.valid.items():
        if (row := existing.get(lines[line])) is None:
            new.append(members)
        elif differing := {k: v for k, v in members.items() if getattr(row, k) != v}:
            changed.append((row, differing))
    run.position["created"] += len(new)
    run.position["updated"] += len(changed)
    run.position["unchanged"] += len(batch.valid) - len(new) - len(changed)
    if writing:
        with batch_changes():
            bulk_create(Product, new, SCHEMA)
            bulk_update(Product, changed, SCHEMA)


def _keys(skus: Collection[str]) -> dict[str, str]:
    """Each SKU as the unique index has it: which letters have a lower case, the database knows."""
    keys = _lower(["I", *(sku for sku in skus if not sku.isascii())])
    if keys["I"] != "i":  # a Turkish database
        keys = _lower(skus)
    return {sku: keys.get(sku) or sku.lower() for sku in skus}


def _lower(skus: Collection[str]) -> dict[str, str]:
    given = bulk.json_array_param()
    statement = select(given, func.lower(given))
    return dict(db.session.execute(statement, _json_array(skus)).all())


def _json_array(texts: Collection[str]) -> dict[str, str]:
    return {"listed": strict_json.dumps(list(texts)).decode()}


def _repeated(run: JobRun, lines: Mapping[int, str]) -> list[int]:
    """The lines whose SKU an earlier line has, in this batch or before it."""
    first = {key: line for line, key in reversed(list(lines.items()))}
    before = select(ImportSeenSku.key).where(
        ImportSeenSku.job_id == run.id, ImportSeenSku.key.in_(select(bulk.json_array_param()))
    )
    seen = set(db.session.scalars(before, _json_array(first)))
    new = [{"job_id": run.id, "key": key} for key in first if key not in seen]
    bulk.insert_rows(ImportSeenSku.__table__, new)  # type: ignore[arg-type]
    return [line for line, key in lines.items() if key in seen or first[key] != line]


def _existing(keys: list[str], *, lock: bool) -> dict[str, Any]:
    """The products with these SKUs, locked in an order that no two imports can cross."""
    given = bulk.json_array_param()
    key = func.lower(Product.sku)
    statement = select(*COLUMNS, key.label("key")).where(key.in_(select(given)))
    statement = statement.order_by(Product.id)
    if lock:
        statement = statement.with_for_update(of=Product)
    return {row.key: row for row in db.session.execute(statement, _json_array(keys))}


def _store_problems(run: JobRun, problems: Mapping[int, Sequence[ErrorDetail]]) -> None:
    room = max(0, MAX_PROBLEMS - run.failed)
    kept = [
        {"id": uuid7(), "job_id": run.id, "line": line, "errors": problems[line]}
        for line in sorted(problems)[:room]
    ]
    if kept:
        db.session.connection().execute(insert(JobProblem), kept)
    run.failed += len(problems)
