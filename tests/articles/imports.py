# begin jobs
"""The import of articles."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from app.core.files import uploads
from app.core.files.record_lines import Record
from app.core.files.record_reader import count_lines, read_records
from app.core.files.uploads import Upload
from app.core.resources.audit_log import batch_changes
from app.core.resources.bulk_write import bulk_create
from app.core.schemas.base import Schema
from app.core.schemas.fields import Boolean
from app.core.schemas.loading import load
from app.core.security.authorization import current_caller, permission
from app.jobs.job_run import JobRun
from app.jobs.models import Job
from app.jobs.prefetch import CheckStopped, prefetch_batches
from app.jobs.runner import create_job, job
from app.jobs.schemas import JobSchema
from tests.articles.models import Article
from tests.articles.routes import articles
from tests.articles.schemas import ArticleSchema

BATCH_LINES = 5_000
SCHEMA = ArticleSchema()
FILE_EXAMPLES = {
    "text/csv": "sku,name,category,price,currency\r\nMUG-0001,Enamel mug,kitchen,12.50,EUR\r\n",
    "application/x-ndjson": '{"sku": "MUG-0001", "name": "Enamel mug", "category": "kitchen", '
    '"price": "12.50", "currency": "EUR"}\n',
}


class ImportQuery(Schema):
    """Options of an import."""

    dry_run = Boolean(load_default=False)


@articles.post("/imports", access=permission("articles:write"), rate_limit="BULK_RATE_LIMIT")
@articles.accepts_file(FILE_EXAMPLES, "MAX_UPLOAD_LENGTH", query=ImportQuery)
@articles.creates(JobSchema, location_prefix="/api/v1/jobs")
def import_articles(file: Upload, options: dict[str, Any]) -> Job:
    """Import articles from a file."""
    options |= {"media_type": file.media_type, "coding": file.coding}
    return create_job("articles.import", options, owner_id=current_caller.id, job_id=file.id)


@job("articles.import", permission="articles:write")
def run_import(run: JobRun) -> dict[str, Any]:
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


# end jobs
