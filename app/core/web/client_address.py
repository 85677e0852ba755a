"""The client's address: one spelling for logs and sessions, one network for everything counted."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from flask import Request

MAX_LENGTH = 100  # characters; it is stored, also in indexes, and part of responses

# As proxies write it: with a port, and as a node of the header Forwarded (RFC 7239 section 6).
_WITH_PORT = re.compile(
    r'(?:for=)?"?(?:\[(?P<ipv6>[^\]]*)\](?::\d+)?|(?P<ipv4>[\d.]+)(?::\d+)?)"?', re.IGNORECASE
)

# IPv4 clients of a service that has IPv6 alone come from this network (RFC 7755).
_TRANSLATED = ip_network("64:ff9b::/96")


def client_address(request: Request) -> str:
    """Return the client's IP address, without port and zone; "unknown" where there is none.

    An IPv4 address inside an IPv6 address (RFC 4291 section 2.5.5.2, RFC 6052 section 2.1) is
    returned as IPv4. A text that is no address, which a trusted proxy may send, is cut to
    `MAX_LENGTH`.
    """
    return _parse(request.remote_addr or "")[0]


def client_network(request: Request) -> str:
    """Return what is counted for the client: its IPv4 address, or the /64 of its IPv6 address."""
    # A subscriber usually has a /64 (RFC 6177), so it could use a new address for each request.
    return _parse(request.remote_addr or "")[1]


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[str, str]:
    """Return the address and the network of a remote address."""
    match = _WITH_PORT.fullmatch(text)
    host = (match["ipv6"] or match["ipv4"] if match else text).partition("%")[0]
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        shown = text[:MAX_LENGTH] or "unknown"
        return shown, shown
    if isinstance(address, IPv6Address):
        is_translated = address in _TRANSLATED
        ipv4 = IPv4Address(address.packed[12:]) if is_translated else address.ipv4_mapped
        if not ipv4:
            return str(address), str(ip_network((address.packed, 64), strict=False))
        address = ipv4
    return str(address), str(address)
