"""Import: a file of products, each line as `POST /products` would take it.

The file is gone through in batches, each one transaction with its effect, its problems, its audit
events and how far the job is: begun again after a crash, the job goes on where it was. A product
with the same SKU is changed; members that a line does not have stay as they are.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ForeignKey,
    Row,
    Text,
    Uuid,
    bindparam,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.jobs.models import JobProblem
from app.jobs.service import JobError, Run, job
from app.kit import database, json, records, rows, uploads
from app.kit.changes import record, together
from app.kit.fields import Boolean, Choice
from app.kit.model import Base, now, uuid7
from app.kit.problems import MOST_PLACES, Place, Problem
from app.kit.records import Record
from app.kit.schema import Schema, load_object
from app.products.models import Product
from app.products.schemas import ProductSchema
from app.products.service import forget_summary

BATCH = 2_000  # lines
MOST_PROBLEMS = 10_000  # kept of one job; all are counted

SCHEMA = ProductSchema()
TABLE: Any = Product.__table__
COLUMNS = SCHEMA.columns(Product)
WRITABLE = tuple(SCHEMA.load_fields)


class ImportQuery(Schema):
    """What to do with the file."""

    dry_run = Boolean(
        load_default=False,
        metadata={"description": "Only check the lines and count what they would do."},
    )
    on_error = Choice(
        ["skip", "abort"],
        load_default="skip",
        metadata={
            "description": "What a line that is not valid does: it is left out, or keeps the whole "
            "file out, which is then checked before anything is written."
        },
    )


class ImportKey(Base):
    """An SKU that a file has had already, so that a second line with it is told."""

    __tablename__ = "import_keys"

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(Text, primary_key=True)


class Line(NamedTuple):
    """A line that is valid by itself."""

    number: int
    members: dict[str, Any]
    key: str  # of its SKU, as the database compares it


@job("products.import")
def import_products(run: Run) -> dict[str, Any]:
    """Import the file that was uploaded under the job's id; the result counts what was done."""
    dry_run, check_first = run.arguments["dry_run"], run.arguments["on_error"] == "abort"
    if run.total is None:
        run.advance(total=_count_lines(run))
    if not run.position:
        run.position = _beginning(writing=not (dry_run or check_first))
    if not run.position["writing"]:
        _go_through(run, first=True)
        if not dry_run:
            if run.failed:
                raise JobError("Some lines are not valid, so nothing was imported.")
            run.processed, run.position = 0, _beginning(writing=True)
    if run.position["writing"]:
        _go_through(run, first=not check_first)
    rows.purge(ImportKey, ImportKey.job_id == run.id)
    run.advance(total=run.processed)
    return {name: run.position[name] for name in ("created", "updated", "unchanged")}


def _beginning(*, writing: bool) -> dict[str, Any]:
    return {"writing": writing, "line": 0, "created": 0, "updated": 0, "unchanged": 0}


def _count_lines(run: Run) -> int:
    """Roughly how many records there are, to show progress by; cells may contain line breaks."""
    lines = 0
    with uploads.read(run.id, run.arguments["coding"]) as stream:
        while part := stream.read(uploads.CHUNK):
            lines += part.count(b"\n")
    header = run.arguments["media_type"] == "text/csv"
    return max(0, lines - int(header))


def _go_through(run: Run, *, first: bool) -> None:
    """Check the lines from where the job is, and write them if it is at that."""
    with uploads.read(run.id, run.arguments["coding"]) as stream:
        found = records.read(stream, run.arguments["media_type"], SCHEMA)
        rest = (record for record in found if record.line > run.position["line"])
        while batch := list(islice(rest, BATCH)):
            _do_batch(run, batch, first=first)
            run.processed += len(batch)
            run.position["line"] = batch[-1].line
            run.advance(processed=run.processed, failed=run.failed, position=run.position)
            forget_summary()


def _do_batch(run: Run, batch: Sequence[Record], *, first: bool) -> None:
    writing = run.position["writing"]
    lines, problems = _validate(batch)
    if first:
        lines = _without_repeated(run, lines, problems)
    existing = _existing([line.key for line in lines], lock=writing)
    new = [line.members for line in lines if line.key not in existing]
    changed = []
    for row, members in ((existing[n.key], n.members) for n in lines if n.key in existing):
        if differing := {k: v for k, v in members.items() if getattr(row, k) != v}:
            changed.append((row, differing))
    run.position["created"] += len(new)
    run.position["updated"] += len(changed)
    run.position["unchanged"] += len(lines) - len(new) - len(changed)
    if first:
        _keep_problems(run, problems)
    if writing:
        with together():
            _insert(new)
            _update(changed)


def _validate(batch: Sequence[Record]) -> tuple[list[Line], dict[int, Sequence[Place]]]:
    """The lines that are valid by themselves, and by number what is wrong with the others."""
    problems: dict[int, Sequence[Place]] = {}
    valid: list[tuple[int, dict[str, Any]]] = []
    for line, members, flaw in batch:
        try:
            if members is None:
                raise Problem("validation-error", errors=[{"detail": flaw, "pointer": "#"}])
            valid.append((line, load_object(SCHEMA, members)))
        except Problem as problem:
            problems[line] = problem.errors[:MOST_PLACES]
    keys = _keys([members["sku"] for _, members in valid])
    return [Line(number, members, keys[members["sku"]]) for number, members in valid], problems


def _keys(skus: list[str]) -> dict[str, str]:
    """Each SKU as the unique index has it: which letters have a lower case, the database knows."""
    given = database.listed(db.engine.dialect.name)
    found = db.session.execute(
        select(given, func.lower(given)), {"listed": json.dumps(skus).decode()}
    )
    return dict(found.all())


def _without_repeated(
    run: Run, lines: Sequence[Line], problems: dict[int, Sequence[Place]]
) -> list[Line]:
    """The lines whose SKU no earlier line has; the others are added to the problems."""
    first = {line.key: line for line in reversed(lines)}
    dialect = db.engine.dialect.name
    given = database.listed(dialect)
    keys = select(literal(run.id, Uuid()), given).where(true())  # SQLite asks for a WHERE here
    unseen = {"postgresql": postgresql, "sqlite": sqlite}[dialect].insert(ImportKey)
    unseen = unseen.from_select(["job_id", "key"], keys).on_conflict_do_nothing()
    values = {"listed": json.dumps(list(first)).decode()}
    unseen = unseen.returning(ImportKey.key)
    new = set(db.session.connection().execute(unseen, values).scalars())
    kept = []
    for line in lines:
        if line.key in new and first[line.key] is line:
            kept.append(line)
        else:
            place = {"detail": "An earlier line has this SKU.", "pointer": "#/sku"}
            problems[line.number] = [place]
    return kept


def _existing(keys: list[str], *, lock: bool) -> dict[str, Any]:
    """The products with these SKUs, locked in an order that no two imports can cross."""
    given = database.listed(db.engine.dialect.name)
    key = func.lower(Product.sku)
    statement = select(*COLUMNS, key.label("key")).where(key.in_(select(given)))
    statement = statement.order_by(Product.id)
    if lock:
        statement = statement.with_for_update(of=Product)
    values = {"listed": json.dumps(keys).decode()}
    return {row.key: row for row in db.session.execute(statement, values)}


def _insert(new: Sequence[dict[str, Any]]) -> None:
    moment = now()
    made = [
        {
            "id": uuid7(),
            "version": 1,
            "created_at": moment,
            "updated_at": moment,
            "description": None,
            "stock": 0,
            "is_active": True,
            **members,
        }
        for members in new
    ]
    database.insert_many(TABLE, made)
    for values in made:
        record("create", TABLE.name, values["id"], after=_dump(values))


def _update(changed: Sequence[tuple[Row[Any], dict[str, Any]]]) -> None:
    values = []
    for row, differing in changed:
        is_now = {**row._mapping, **differing}
        values.append({f"new_{k}": is_now[k] for k in WRITABLE} | {"that": row.id, "at": now()})
        record("change", TABLE.name, row.id, before=_dump(row._mapping), after=_dump(is_now))
    if values:
        db.session.connection().execute(_UPDATE, values)


_UPDATE = (
    update(TABLE)
    .where(TABLE.c.id == bindparam("that"))
    .values({name: bindparam(f"new_{name}") for name in WRITABLE})
    .values(version=TABLE.c.version + 1, updated_at=bindparam("at"))
)


def _dump(values: Any) -> dict[str, Any]:
    return SCHEMA.dump_row([values[name] for name in SCHEMA.names])


def _keep_problems(run: Run, problems: dict[int, Sequence[Place]]) -> None:
    room = max(0, MOST_PROBLEMS - run.failed)
    kept = [
        {"id": uuid7(), "job_id": run.id, "line": line, "errors": problems[line]}
        for line in sorted(problems)[:room]
    ]
    if kept:
        db.session.connection().execute(insert(JobProblem), kept)
    run.failed += len(problems)
