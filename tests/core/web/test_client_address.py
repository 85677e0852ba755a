"""The address and network of a client."""

import pytest
from werkzeug.test import EnvironBuilder

from app.core.web.client_address import client_address, client_network

ADDRESSES = [
    ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
    ("192.0.2.1:4711", "192.0.2.1", "192.0.2.1"),
    ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
    ("[::ffff:192.0.2.1]:4711", "192.0.2.1", "192.0.2.1"),
    ("64:ff9b::192.0.2.1", "192.0.2.1", "192.0.2.1"),
    ("64:ff9b::1:c000:201", "64:ff9b::1:c000:201", "64:ff9b::/64"),
    ("2001:db8::1", "2001:db8::1", "2001:db8::/64"),
    ("2001:DB8:0:0:0:0:0:1", "2001:db8::1", "2001:db8::/64"),
    ("[2001:db8::1]", "2001:db8::1", "2001:db8::/64"),
    ("[2001:db8::1]:443", "2001:db8::1", "2001:db8::/64"),
    ("2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
    ('for="[2001:db8::1]:443"', "2001:db8::1", "2001:db8::/64"),
    ("for=192.0.2.1", "192.0.2.1", "192.0.2.1"),
    ("fe80::1%eth0", "fe80::1", "fe80::/64"),
    ("unix:", "unix:", "unix:"),
    ("", "unknown", "unknown"),
    (None, "unknown", "unknown"),
    ("x" * 5000, "x" * 100, "x" * 100),
]


@pytest.mark.parametrize(("remote", "address", "network"), ADDRESSES)
def test_client_address_and_network_of_a_remote_address(
    remote: str | None, address: str, network: str
) -> None:
    request = EnvironBuilder(environ_overrides={"REMOTE_ADDR": remote}).get_request()
    assert client_address(request) == address
    assert client_network(request) == network
