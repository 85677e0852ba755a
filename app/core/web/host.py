"""The host of a request: one spelling of it, and which hosts are trusted (TRUSTED_HOSTS)."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from flask import Flask, request

from app.config import ConfigError
from app.core.web.problems import Problem

_AUTHORITY = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)(?:%[^\]]*)?\]|(?P<name>[a-z0-9-]+(?:\.[a-z0-9-]+)*)\.?)"
    r"(?::(?P<port>[0-9]{0,5}))?",
    re.ASCII | re.IGNORECASE,
)


class Host(NamedTuple):
    """A host name in lower case without a final dot, or an IP address; and the port, if any."""

    name: str  # an IPv6 address has brackets
    port: int | None

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


@lru_cache(maxsize=1024)
def canonical_host(text: str) -> Host | None:
    """Return the host of a Host header (RFC 9110 section 7.2) or a setting; None if invalid."""
    match = _AUTHORITY.fullmatch(text)
    if not match:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        return None
    if match["name"]:
        return Host(match["name"].lower(), port)
    try:
        address = IPv6Address(match["ipv6"])
    except ValueError:
        return None
    return Host(str(address.ipv4_mapped) if address.ipv4_mapped else f"[{address}]", port)


def init_app(app: Flask, trusted_hosts: Iterable[str], *, exempt: str) -> None:
    """Refuse requests for other hosts with 400; without `trusted_hosts` only invalid ones.

    Args:
        app: the application.
        trusted_hosts: names or addresses, ports are ignored; a leading dot includes subdomains.
        exempt: a blueprint that answers for any host, because probes send the address.

    Raises:
        ConfigError: one of the trusted hosts is invalid.
    """
    names = frozenset(map(_trusted_name, trusted_hosts))
    suffixes = tuple(name for name in names if name.startswith("."))

    def check_host() -> None:
        text = request.environ.get("HTTP_HOST")
        if request.blueprint == exempt or (text is None and not names):
            return
        host = text and canonical_host(text)
        if not host or (
            names and host.name not in names and not f".{host.name}".endswith(suffixes)
        ):
            raise Problem("bad-request", "The service does not serve this host.")

    app.before_request(check_host)


def _trusted_name(text: str) -> str:
    """Return the canonical name of a trusted host; with a leading dot if subdomains are included.

    Raises:
        ConfigError: it is invalid.
    """
    dot, name = ("." if text.startswith(".") else ""), text.removeprefix(".")
    try:
        ip_address(name)
    except ValueError:
        pass
    else:
        name = f"[{name}]" if ":" in name else name
    try:
        host = canonical_host(name.encode("idna").decode("ascii"))
    except UnicodeError:
        host = None
    if host is None:
        raise ConfigError(["TRUSTED_HOSTS are host names such as api.example.com, without a path"])
    return dot + host.name
