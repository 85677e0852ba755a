"""Names of hosts, in requests and in settings: one spelling of each."""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

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


def trusted_name(text: str) -> str | None:
    """Return the canonical name of a trusted host, without its port; None if it is invalid.

    Args:
        text: a name, also beyond ASCII (IDNA), or an address; a leading dot includes subdomains.
    """
    dot, name = ("." if text.startswith(".") else ""), text.removeprefix(".")
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"
    try:
        host = canonical_host(name.encode("idna").decode("ascii"))
    except UnicodeError:
        return None
    return host and dot + host.name
