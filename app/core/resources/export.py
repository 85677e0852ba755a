"""Exports: all rows of a list, as one stream of CSV (RFC 4180) or NDJSON.

One statement reads them through a server-side cursor, so a million rows take no more memory than a
page. A stream that fails ends without the final chunk (RFC 9112 section 8), so that clients notice.
"""

import csv
import io
from collections.abc import Callable, Generator, Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

import structlog
from flask import request
from sqlalchemy import Connection, Select

from app.core.database.engine import autocommit_connection
from app.core.files.csv_injection import escape_formula
from app.core.resources.filters import PageQuery, filter_values
from app.core.resources.list_statements import build_list_query
from app.core.resources.scoped_query import ScopedSelect, scope_params
from app.core.resources.statements import model_of
from app.core.schemas.base import Schema
from app.core.web import strict_json
from app.core.web.flask_app import Response
from app.core.web.query_string import load_query
from app.extensions import db

log = structlog.get_logger()

CHUNK_ROWS = 100
NDJSON, CSV = "application/x-ndjson", "text/csv"
MEDIA_TYPES = (NDJSON, CSV)  # the first where a client accepts both equally

Members = Mapping[str, Any]


def stream_response(
    scoped: ScopedSelect, schema: Schema, query: PageQuery, media_type: str
) -> Response:
    """The rows of a scoped query that the request's parameters select, as a stream.

    Raises:
        Problem: 422 for the parameters, 403 for a filter that the caller may not use.
    """
    parameters = load_query(query)
    filters = tuple(sorted(name for name in request.args if name != "sort"))
    binds = {**scope_params(), **filter_values(query, parameters, filters)}
    statement = build_list_query(scoped, schema, query, filters, parameters["sort"])
    format_ = _FORMATS[media_type]
    response = Response(content_type=format_.content_type)
    response.response = iter(())
    if request.method != "HEAD":
        stream = iter_chunks(statement, binds, schema, media_type)
        # The first chunk is read before the status is sent, so that an error of the database is a
        # 5xx: docs/decisions.md#36-exports
        response.response = chain([next(stream, b"")], stream)
        response.call_on_close(stream.close)
    name = f"{model_of(scoped).__tablename__}.{format_.suffix}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Vary"] = "Accept, Authorization"
    return response


def iter_chunks(
    statement: Select[Any], binds: Members, schema: Schema, media_type: str
) -> Generator[bytes, None, None]:
    """The rows of a SELECT of `schema.columns`, in chunks of whole lines.

    The first step needs an application context, no step needs a request. The connection is in use
    until the generator ends or is closed.
    """
    format_ = _FORMATS[media_type]
    options = {"yield_per": CHUNK_ROWS}  # on PostgreSQL a cursor on the server's side
    written, complete = 0, False
    try:
        with (
            _connect() as connection,
            connection.execute(statement, binds, execution_options=options) as result,
        ):
            head = format_.header(schema.column_names)
            for rows in result.partitions():
                yield head + format_.lines([schema.row_to_dict(row) for row in rows])
                head = b""
                written += len(rows)
            if head:
                yield head
            complete = True
    finally:
        log.info("export_finished", rows=written, complete=complete)


def _connect() -> Connection:
    """A connection on which a long read blocks no writer."""
    # On PostgreSQL a cursor needs a transaction. On SQLite a transaction takes the write lock, and
    # a single statement reads a snapshot without one.
    if db.engine.dialect.name == "postgresql":
        return db.engine.connect().execution_options(postgresql_readonly=True)
    return autocommit_connection()


class _Format(NamedTuple):
    """How rows are written in a media type."""

    content_type: str
    suffix: str  # of the file name
    header: Callable[[Iterable[str]], bytes]  # of the member names
    lines: Callable[[Iterable[Members]], bytes]  # of rows


def _csv(records: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(records)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    """A value as text: as in JSON, but without quotes, and empty for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return escape_formula(value)
    return strict_json.dumps(value).decode().strip('"')


_FORMATS = {
    NDJSON: _Format(
        NDJSON,
        "ndjson",
        header=lambda _: b"",
        lines=lambda items: b"".join(strict_json.dumps(item) + b"\n" for item in items),
    ),
    CSV: _Format(
        "text/csv; charset=utf-8; header=present",
        "csv",
        header=lambda names: _csv([names]),
        lines=lambda items: _csv(map(_cell, item.values()) for item in items),
    ),
}


def example(media_type: str, item: Members) -> str:
    """The export of one item, for the OpenAPI document."""
    format_ = _FORMATS[media_type]
    return (format_.header(item) + format_.lines([item])).decode()
