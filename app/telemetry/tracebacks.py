"""Tracebacks for the log, without the values that a database quotes in its errors."""

import traceback
from collections.abc import Iterator

import psycopg
from sqlalchemy.exc import DBAPIError
from structlog.typing import ExcInfo

# Data exceptions, integrity constraint violations and errors that functions raise: PostgreSQL
# quotes values in their texts (appendix A). Others name only tables and columns.
_CLASSES_WITH_VALUES = ("22", "23", "P0")


def format_exception(exc_info: ExcInfo) -> str:
    """The traceback of an exception and its causes, without values of rows."""
    return hide_values("".join(traceback.format_exception(*exc_info)), exc_info[1]).rstrip("\n")


def hide_values(text: str, error: BaseException | None) -> str:
    """The text with what each database error in it says replaced by what quotes no values."""
    for each in _with_causes(error):
        if isinstance(each, DBAPIError):
            safe = f"({type(each.orig).__qualname__}) {_message(each.orig)} [SQL: {each.statement}]"
            text = text.replace(str(each), safe)
        elif isinstance(each, psycopg.Error):
            text = text.replace(str(each), _message(each))
    return text


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _message(error: BaseException | None) -> str:
    """What an error of the driver says, without details and values."""
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return str(error)  # SQLite quotes no values
    if error.sqlstate.startswith(_CLASSES_WITH_VALUES):
        return f"SQLSTATE {error.sqlstate}, constraint {error.diag.constraint_name}"
    return f"SQLSTATE {error.sqlstate}, {error.diag.message_primary}"
