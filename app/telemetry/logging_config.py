"""Logging to standard output: one JSON object per line, on a terminal lines for people."""

import json
import logging
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.telemetry.tracebacks import format_exception, hide_values


def configure(level: str) -> None:
    """Log events of this service from `level` on, and those of libraries from WARNING on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(format_exception),
            *(_CONSOLE if sys.stdout.isatty() else _JSON),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
    )
    # The root logger stays at WARNING: below it, libraries log values of requests and rows.
    # docs/decisions.md#57-logs-without-client-data
    if not any(isinstance(handler, _StructlogHandler) for handler in logging.root.handlers):
        logging.root.addHandler(_StructlogHandler())


class _StructlogHandler(logging.Handler):
    """Passes the records of standard library loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        error = record.exc_info[1] if record.exc_info else None
        message = hide_values(record.getMessage(), error)
        log.log(record.levelno, message, logger=record.name, exc_info=record.exc_info)


def _to_json(event: EventDict, **_: Any) -> str:
    """Return one line of ASCII, in which no input can forge a line or control a terminal."""
    try:
        line = orjson.dumps(event, default=repr)
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits
        return json.dumps(event, default=repr)
    return line.decode() if line.isascii() else json.dumps(event, default=repr)


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters in tracebacks, which may quote a client's input."""
    if text := event.get("exception"):
        event["exception"] = "".join(c if c == "\n" or c.isprintable() else ascii(c) for c in text)
    return event


_JSON: list[Processor] = [structlog.processors.JSONRenderer(_to_json)]
_CONSOLE: list[Processor] = [
    _escape,
    structlog.dev.ConsoleRenderer(
        exception_formatter=structlog.dev.plain_traceback, repr_native_str=True
    ),
]
