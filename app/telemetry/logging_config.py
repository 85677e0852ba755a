"""Logs: one JSON object a line on standard output; on a terminal, lines for people."""

import json
import logging
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure(level: str) -> None:
    """Write what this process logs from `level` on, and what libraries warn of."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *(_FOR_PEOPLE if sys.stdout.isatty() else _FOR_MACHINES),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
    )
    # The level of the root stays at WARNING: below it, libraries tell values of requests and rows.
    if not any(isinstance(handler, _Forward) for handler in logging.root.handlers):
        logging.root.addHandler(_Forward())


class _Forward(logging.Handler):
    """Takes what libraries log the standard way into our lines."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        message = record.getMessage()
        log.log(record.levelno, message, logger=record.name, exc_info=record.exc_info)


def _to_json(event: EventDict, **_: Any) -> str:
    """One line of ASCII, so that no character in it can end the line or move a cursor."""
    try:
        line = orjson.dumps(event, default=repr)
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits
        return json.dumps(event, default=repr)
    return line.decode() if line.isascii() else json.dumps(event, default=repr)


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Show control characters; a traceback may quote what a client sent."""
    if text := event.get("exception"):
        event["exception"] = "".join(c if c == "\n" or c.isprintable() else ascii(c) for c in text)
    return event


_FOR_MACHINES: list[Processor] = [structlog.processors.JSONRenderer(_to_json)]
_FOR_PEOPLE: list[Processor] = [
    _escape,
    structlog.dev.ConsoleRenderer(
        exception_formatter=structlog.dev.plain_traceback, repr_native_str=True
    ),
]
