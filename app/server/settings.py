"""The settings of gunicorn: its master reads them without importing the application.

A check returns what is wrong with a value, or None. It never quotes the value, which may be a
secret in the wrong place.
"""

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

Check = Callable[[Any], str | None]


def between(minimum: int, maximum: int) -> Check:
    """Return the check of a whole number."""

    def check(value: int) -> str | None:
        if value < minimum:
            return f"must be at least {minimum}"
        return f"must be at most {maximum}" if value > maximum else None

    return check


def whole_number(text: str) -> int:
    """Return the number.

    Raises:
        ValueError: the text is something else.
    """
    if not re.fullmatch(r"-?[0-9]{1,18}", text):  # int() takes spaces, _ and digits of all scripts
        raise ValueError
    return int(text)


def address(text: str) -> str | None:
    """Check host:port; an IPv6 address is in brackets."""
    parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})", text)
    try:
        if parts and (parts[1] or re.fullmatch(r"[0-9.]+", parts[2])):
            ip_address(parts[1] or parts[2])
        if parts and int(parts[3]) <= 65535:
            return None
    except ValueError:  # no such address
        pass
    return "is host:port, such as 127.0.0.1:8000"


def listener(text: str) -> str | None:
    """Check host:port, or unix: and the absolute path of a socket."""
    return None if re.fullmatch(r"unix:/[^\s,]+", text) else address(text)


def mount_path(text: str) -> str | None:
    """Check a path prefix, or an empty text."""
    if re.fullmatch(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*", text):
        return None
    return "is a path such as /shop, without / at its end"


SERVER: dict[str, tuple[Any, Check]] = {
    "bind": ("127.0.0.1:8000", listener),
    # One per core, at most 4: each worker needs memory and its own pool of database connections.
    "web_concurrency": (min(os.cpu_count() or 1, 4), between(1, 1000)),
    # At most POOL_SIZE: a thread needs a database connection.
    "web_threads": (4, between(1, 1000)),
    # Seconds for which readiness is 503 before connections are refused: longer than two intervals
    # of the load balancer's probes. 0 without probes, as with the shipped nginx.
    "drain_seconds": (0, between(0, 24 * 60 * 60)),
    # The path below which the service is mounted; a proxy that removes it sends X-Forwarded-Prefix.
    "script_name": ("", mount_path),
}
"""The default and the check of each setting."""


def read(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of gunicorn by their name in small letters.

    Raises:
        ValueError: one is invalid. `app.config` has the message.
    """
    values = {}
    for name, (default, check) in SERVER.items():
        text = environ.get(name.upper()) or str(default)
        values[name] = whole_number(text) if isinstance(default, int) else text
        if check(values[name]):
            raise ValueError
    return values
