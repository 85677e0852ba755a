"""The format of gunicorn's own log."""

import json
import logging
import sys
from datetime import UTC, datetime

from gunicorn import glogging
from gunicorn.config import Config


class JsonFormatter(logging.Formatter):
    """One JSON object per line, with the member names of the application's log."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, including the members of the record's `fields`."""
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            "pid": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Logger(glogging.Logger):
    """Logs as JSON; on a terminal in gunicorn's own format."""

    def setup(self, cfg: Config) -> None:
        """Set the format; gunicorn calls this at the start and at each reload."""
        super().setup(cfg)
        if not sys.stderr.isatty():
            for handler in self.error_log.handlers:
                handler.setFormatter(JsonFormatter())
