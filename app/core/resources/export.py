"""Exports: all rows of a list, as one stream of CSV (RFC 4180) or NDJSON.

One statement reads them through a server-side cursor, a hundred at a time, so a million cost no
more memory than a page. The stream waits for its reader: whoever takes none of it for as long as a
transaction may be idle is given up. One that breaks off has no end, so nobody takes it for whole.
"""

import csv
import io
from collections.abc import Callable, Generator, Iterable, Mapping
from itertools import chain
from typing import Any

import structlog
from flask import current_app, request
from sqlalchemy import Engine, Select

from app.core.files.csv_injection import escape_formula
from app.core.resources.filters import PageQuery, check_filter_permissions
from app.core.resources.list_statements import build_list_query
from app.core.resources.repository import ScopedSelect, model_of
from app.core.schemas.base import Schema
from app.core.schemas.loading import load_query
from app.core.security import authorization
from app.core.web import strict_json
from app.core.web.flask_app import Response
from app.extensions import db

log = structlog.get_logger()

CHUNK_ROWS = 100
NDJSON, CSV = "application/x-ndjson", "text/csv"
MEDIA_TYPES = (NDJSON, CSV)  # the first is given to those who take both
_CONTENT_TYPES = {NDJSON: NDJSON, CSV: "text/csv; charset=utf-8; header=present"}
_SUFFIXES = {NDJSON: "ndjson", CSV: "csv"}

Members = Mapping[str, Any]


def stream_response(
    visible: ScopedSelect, schema: Schema, query: PageQuery, media_type: str
) -> Response:
    """The rows of the visible select that the request's parameters ask for, as a stream.

    Raises:
        Problem: 422 for the parameters, 403 for one that the caller may not use.
    """
    given = load_query(query)
    filters = tuple(sorted(name for name in request.args if name != "sort"))
    check_filter_permissions(query, filters)
    statement = build_list_query(visible, schema, query, filters, given["sort"])
    binds = {**authorization.caller_params(), **{f"filter_{name}": given[name] for name in filters}}
    response = Response(content_type=_CONTENT_TYPES[media_type])
    response.response = iter(())
    if request.method != "HEAD":
        _set_client_timeout()
        stream = iter_chunks(statement, binds, schema, media_type)
        # The first chunk is read here, where a database that fails is still a proper problem.
        response.response = chain([next(stream, b"")], stream)
        response.call_on_close(stream.close)
    name = f"{model_of(visible).__tablename__}.{_SUFFIXES[media_type]}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Vary"] = "Accept, Authorization"
    return response


def _set_client_timeout() -> None:
    """But not for ever: without this a reader who is just gone would hold the thread."""
    if wire := request.environ.get("gunicorn.socket"):
        wire.settimeout(current_app.config["STATEMENT_TIMEOUT_MS"] * 2 / 1000)


def iter_chunks(
    statement: Select[Any], binds: Members, schema: Schema, media_type: str
) -> Generator[bytes, None, None]:
    """The rows of a SELECT of `schema.columns`, in chunks of whole lines; needs no request.

    Its first step needs an application's context, the others do not. The connection is in use until
    the generator ends or is closed.
    """
    begin, encode = _ENCODERS[media_type]
    options = {"yield_per": CHUNK_ROWS}  # on PostgreSQL a cursor on the server's side
    written, whole = 0, False
    try:
        with (
            _engine().connect() as connection,
            connection.execute(statement, binds, execution_options=options) as result,
        ):
            head = begin(schema.column_names)
            for rows in result.partitions():
                yield head + encode([schema.row_to_dict(row) for row in rows])
                head = b""
                written += len(rows)
            if head:
                yield head
            whole = True
    finally:
        log.info("exported", rows=written, whole=whole)


def _engine() -> Engine:
    """Where a long read holds nobody up.

    On PostgreSQL a cursor lives in a transaction, which may only read; on SQLite ours would keep
    writers waiting, and a statement is a snapshot by itself.
    """
    if db.engine.dialect.name == "postgresql":
        return db.engine.execution_options(postgresql_readonly=True)
    reader: Engine = current_app.extensions["reader"]
    return reader


def _no_header(_: Iterable[str]) -> bytes:
    return b""


def _json_lines(items: Iterable[Members]) -> bytes:
    return b"".join(strict_json.dumps(item) + b"\n" for item in items)


def _csv_header(names: Iterable[str]) -> bytes:
    return _csv([names])


def _csv_lines(items: Iterable[Members]) -> bytes:
    return _csv([_cell(value) for value in item.values()] for item in items)


def _csv(records: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(records)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    """A value as text: like in JSON, but without quotes, and nothing for null."""
    if value is None:
        return ""
    return (
        escape_formula(value)
        if isinstance(value, str)
        else strict_json.dumps(value).decode().strip('"')
    )


_Begin = Callable[[Iterable[str]], bytes]
_Encode = Callable[[Iterable[Members]], bytes]
_ENCODERS: dict[str, tuple[_Begin, _Encode]] = {
    NDJSON: (_no_header, _json_lines),
    CSV: (_csv_header, _csv_lines),
}


def example(media_type: str, item: Members) -> str:
    """What an export of one item is, for the document."""
    begin, encode = _ENCODERS[media_type]
    return (begin(item) + encode([item])).decode()
