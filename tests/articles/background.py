"""The import of articles, and the demo articles."""

import random
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import click
from sqlalchemy import func, insert, select

from app.cli import seeder
from app.core.files import uploads
from app.core.files.record_lines import Record
from app.core.files.record_reader import count_lines, read_records
from app.core.resources.audit_log import batch_changes
from app.core.resources.bulk_write import bulk_create
from app.core.schemas.loading import load
from app.extensions import db
from app.jobs.job_run import JobRun
from app.jobs.prefetch import CheckStopped, prefetch_batches
from app.jobs.runner import job
from tests.articles.models import Article
from tests.articles.schemas import ArticleSchema

BATCH_LINES = 5_000
SCHEMA = ArticleSchema()


@job("articles.import", permission="articles:write")
def import_articles(run: JobRun) -> dict[str, Any]:
    """Create the articles of a file, all of whose lines are new and valid."""
    coding, media_type = run.arguments["coding"], run.arguments["media_type"]
    if run.total is None:
        with uploads.open_upload(run.id, coding, run.heartbeat) as stream:
            run.checkpoint(total=count_lines(stream) - int(media_type == "text/csv"))
    start = run.position.get("line", 0)

    def read(check_stopped: CheckStopped) -> Iterator[list[Record]]:
        with uploads.open_upload(run.id, coding, check_stopped) as stream:
            records = read_records(stream, media_type, SCHEMA)
            remaining = (record for record in records if record.line > start)
            while batch := list(islice(remaining, BATCH_LINES)):
                yield batch

    with prefetch_batches(run, read) as batches:
        for batch in batches:
            if not run.arguments["dry_run"]:
                new = [load(SCHEMA, record.members) for record in batch if record.members]
                with batch_changes():
                    bulk_create(Article, new, SCHEMA)
            run.processed_count += len(batch)
            run.checkpoint(processed_count=run.processed_count, checkpoint={"line": batch[-1].line})
    return {"created": run.processed_count}


@seeder(click.Option(["--articles"], default=0, help="The number of articles."))
def seed_articles(*, demo: bool, articles: int) -> None:
    """Add the missing ones of so many articles; at least fifty with `--demo`."""
    existing = db.session.scalar(select(func.count()).select_from(Article)) or 0
    missing = range(existing, max(articles, 50) if demo else articles)
    if numbered := [sample_article(n) for n in missing]:
        db.session.execute(insert(Article), numbered)
        db.session.commit()


def sample_sku(number: int) -> str:
    """Return the SKU of a sample article."""
    return f"SEED-{number:07d}"


def sample_article(number: int) -> dict[str, Any]:
    """Return the columns of a sample article, which depend only on its number."""
    rng = random.Random(number)
    category, thing = rng.choice(
        [("kitchen", "mug"), ("kitchen", "kettle"), ("garden", "spade"), ("office", "lamp")]
    )
    colour = rng.choice(["blue", "green", "red", "white", "yellow"])
    return {
        "sku": sample_sku(number),
        "name": f"{colour.capitalize()} {thing} {number}",
        "description": f"A {colour} {thing} for the {category}.",
        "category": category,
        "price": Decimal(rng.randrange(100, 20_000)) / 100,
        "currency": rng.choice(["EUR", "USD"]),
        "stock": rng.randrange(100),
    }
