"""The host of a request: one spelling, and which hosts are trusted."""

from itertools import product

import pytest

from app.host_names import canonical_host
from tests.api import Api
from tests.conftest import MakeApp

pytestmark = pytest.mark.database_independent

HOSTS = [
    ("api.example.com", "api.example.com"),
    ("API.Example.COM", "api.example.com"),
    ("api.example.com.", "api.example.com"),
    ("API.example.com.:8443", "api.example.com:8443"),
    ("api.example.com:", "api.example.com"),
    ("api.example.com:0443", "api.example.com:443"),
    ("127.0.0.1:8000", "127.0.0.1:8000"),
    ("[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]"),
    ("[2001:db8::1]:443", "[2001:db8::1]:443"),
    ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
    ("[fe80::1%25eth0]", "[fe80::1]"),
]
INVALID = [
    "", ".", "a..b", "a b", "a/b", "user@a", "a:b", "a:65536", "a:0", "a:1:2", "[::1", "::1", "[1]",
    "[::g]", "a,b", "a\tb", "ä.example", "a.example..", "a\n",
]  # fmt: skip


@pytest.mark.parametrize(("sent", "spelling"), HOSTS)
def test_host_has_one_spelling(sent: str, spelling: str) -> None:
    assert str(canonical_host(sent)) == spelling
    assert str(canonical_host(spelling)) == spelling


@pytest.mark.parametrize("sent", INVALID)
def test_invalid_host_has_no_spelling(sent: str) -> None:
    assert canonical_host(sent) is None


TRUSTED = (
    "API.example.com",
    ".example.org.",
    "2001:db8::1",
    "[2001:db8::2]:8443",
    "bücher.example",
)


@pytest.mark.parametrize(
    "host",
    [
        "api.example.com",
        "Api.Example.Com.:8080",
        "example.org",
        "a.b.EXAMPLE.org",
        "[2001:DB8:0::1]:443",
        "[2001:db8::2]",
        "xn--bcher-kva.example",
    ],
)
def test_trusted_host_is_answered_in_any_spelling(make_app: MakeApp, host: str) -> None:
    api = Api(make_app(trusted_hosts=TRUSTED))
    api.get("articles", headers={"Host": host}, status=200)


OTHER_HOSTS = ("evil.example", "example.com", "xexample.org", "[2001:db8::3]", "", "a b", "[::1")


def test_other_host_is_400(make_app: MakeApp, subtests: pytest.Subtests) -> None:
    api = Api(make_app(trusted_hosts=TRUSTED))
    for host, path in product(OTHER_HOSTS, ("articles", "/nothing", "/.well-known/jwks.json")):
        with subtests.test(host=host, path=path):
            response = api.get(path, headers={"Host": host}, status=400)
            assert response.json["type"] == "/problems/bad-request"
            assert host not in ("evil.example", "xexample.org") or host not in response.text


@pytest.mark.parametrize("host", ["a b", "evil.example/path", "[::1", "a:b"])
def test_invalid_host_is_400_without_trusted_hosts(api: Api, host: str) -> None:
    api.get("articles", headers={"Host": host}, status=400)


@pytest.mark.parametrize("host", ["10.0.3.17:8080", "[fd00::17]:8080", "evil.example", "a b", ""])
@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_probe_is_answered_for_any_host(make_app: MakeApp, path: str, host: str) -> None:
    api = Api(make_app(trusted_hosts=("api.example.com",)))
    assert api.get(path, headers={"Host": host}, status=200).json == {"status": "ok"}


def test_links_have_the_host_in_one_spelling(api: Api) -> None:
    by = api.sign_up("editor")
    for number in range(2):
        body = {"name": "Mug", "category": "a", "price": "1.00", "currency": "EUR"}
        api.post("articles", body | {"sku": f"MUG-{number}"}, by=by, status=201)
    link = api.get("articles?limit=1", headers={"Host": "API.Example.com.:8443"}).headers["Link"]
    assert link.count("<http://api.example.com:8443/api/v1/articles?") == 2
    # A name beyond ASCII stays as it was sent: a header field is ASCII.
    link = api.get("articles?limit=1", headers={"Host": "xn--bcher-kva.example"}).headers["Link"]
    assert link.count("<http://xn--bcher-kva.example/api/v1/articles?") == 2
