"""Requests and responses that the cache of nginx must not mix or keep."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests import services
from tests.deploy.cached_service import HIT, MISS, STALE, CachedService, cached_service
from tests.live import Live
from tests.nginx import in_front_of

pytestmark = pytest.mark.slow


def credentials(site: CachedService) -> dict[str, dict[str, str]]:
    """Header fields of callers with credentials or cookies, by kind."""
    bearer = site.live.log_in()
    body = {"name": "Nightly", "scopes": ["articles:read"]}
    made = site.live.call("POST", "auth/api-keys", body, bearer)
    login = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
    cookie = site.call("auth/cookies", "POST", login).headers["Set-Cookie"].partition(";")[0]
    return {
        "bearer": bearer,
        "key": {"Authorization": f"Bearer {made.json['secret']}"},
        "cookie": {"Cookie": cookie},
        "unknown cookie": {"Cookie": "theme=dark"},
    }


def test_request_with_credentials_bypasses_the_cache(site: CachedService) -> None:
    article = site.article()
    for number, (kind, fields) in enumerate(credentials(site).items()):
        fresh = f"articles?limit=5&price_min=1.{number:04}"
        for path in (fresh, article):
            personal = site.call(path, **fields)
            assert personal.status == 200
            assert "Cache-Status" not in personal.headers
            if kind != "unknown cookie":
                assert personal.headers["Cache-Control"] == "private, no-cache"
            assert personal.headers["RateLimit"]  # the service has counted the request
            tag = personal.headers["ETag"]
            assert site.call(path, If_None_Match=tag, **fields).status == 304
        assert f"/api/v1/{fresh}" not in site.cached_keys()
        site.fill(fresh)
        assert "Cache-Status" not in site.call(fresh, **fields).headers


@pytest.mark.parametrize("authorization", ["Bearer no.no.no", "Basic YTpi", "Nonsense"])
def test_request_with_invalid_credentials_bypasses_the_cache(
    site: CachedService, path: str, authorization: str
) -> None:
    site.fill(path)
    directly = site.live.call("GET", path, headers={"Authorization": authorization})
    assert site.call(path, Authorization=authorization).status == directly.status


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Cache_Control", "no-cache"),
        ("Range", "bytes=0-9"),
        ("If_Match", '"nothing"'),
        ("If_Modified_Since", "Fri, 01 Jan 2038 00:00:00 GMT"),
        ("If_Unmodified_Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Content_Length", "0"),
        ("Accept", "text/html"),
        ("Accept", "application/json;q=0"),
        ("Accept", "application/json; charset=utf-8; Q=0.000"),
        ("Accept", "*/*, application/json;q=0."),
        ("Accept", "application/*;q=0, */*"),
        ("Accept", 'text/html; profile="a, */*"'),
        ("Accept", "application/problem+json"),
        ("Accept", "application/jsonx"),
        ("Accept", "application/json x"),
        ("Accept", "application/json;q*0=0"),
        ("Accept", "text/*, application/xml;q=0.9"),
    ],
)
def test_request_with_special_header_bypasses_the_cache(
    site: CachedService, path: str, name: str, value: str
) -> None:
    directly = site.live.call("GET", path, headers={name.replace("_", "-"): value})

    def ask() -> None:
        special = site.call(path, **{name: value})
        assert "Cache-Status" not in special.headers
        for field in ("Content-Type", "Cache-Control"):
            assert special.headers[field] == directly.headers[field]
        assert special.status == directly.status

    ask()
    site.fill(path)  # the response above was not cached
    ask()


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/JSON;charset=utf-8;q=0.5, text/html",
        "text/html, */*;q=0.8",
        "text/html, *; q=.2, */*; q=.2",
        "application/*",
        "application/xml, application/json",
        "text/html;q=0.001,application/json ; q=1.000",
    ],
)
def test_request_that_accepts_json_is_answered_from_the_cache(
    site: CachedService, path: str, accept: str
) -> None:
    directly = site.live.call("GET", path, headers={"Accept": accept})
    assert directly.headers["Content-Type"] == "application/json"
    site.fill(path)
    assert site.call(path, Accept=accept).headers["Cache-Status"] == HIT


def test_cache_keeps_an_entry_for_each_host(site: CachedService, path: str) -> None:
    own = site.fill(path)
    shop = site.fill(path, Host="shop.example")
    assert "http://shop.example/" in shop.headers["Link"]
    assert "shop.example" not in own.headers["Link"]
    assert site.call(path).headers["Link"] == own.headers["Link"]
    for _ in range(2):
        evil = site.call(path, Host="evil.example")
        assert evil.status == 400
        assert evil.headers["Content-Type"] == "application/problem+json"


def test_forwarded_headers_of_a_client_are_not_in_the_cached_response(
    site: CachedService, path: str
) -> None:
    claims = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "gopher",
              "X_Forwarded_Prefix": "/evil", "Forwarded": "host=evil.example"}  # fmt: skip
    first = site.fill(path, **claims)
    assert "evil" not in first.headers["Link"]
    assert "gopher" not in first.headers["Link"]
    assert site.call(path).headers["Link"] == first.headers["Link"]


def test_cache_keeps_an_entry_for_each_origin(site: CachedService, path: str) -> None:
    assert "Access-Control-Allow-Origin" not in site.fill(path).headers
    for origin in ("https://one.example", "https://two.example"):
        site.fill(path, Origin=origin)
        answer = site.call(path, Origin=origin)
        assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Origin" not in site.call(path).headers


def test_cache_keeps_only_public_lists_and_items(site: CachedService) -> None:
    before = site.cached_keys()
    bearer = site.live.log_in()
    for path, status in {
        "articles?colour=red": 422,
        "articles?cursor=nonsense": 400,
        f"articles/{uuid4()}": 404,
        "articles/": 404,
        "articles/summary": 200,
        "errands": 401,
        "errands/../articles?limit=7": 404,
        "%61rticles?limit=7": 200,
    }.items():
        for _ in range(2):
            answer = site.call(path)
            assert (path, answer.status) == (path, status)
            assert answer.headers.get("Cache-Status", MISS) == MISS
    site.call("articles/export", **bearer)
    assert site.cached_keys() == before


def test_rate_limited_response_is_not_cached(tmp_path: Path) -> None:
    with cached_service(tmp_path, RATE_LIMIT="3 per hour", WEB_CONCURRENCY="1") as site:
        for _ in range(10):  # one request to the service
            assert site.call("articles").status == 200
        assert site.call("articles?limit=1").status == 200
        assert site.call("articles?limit=2").status == 200
        for _ in range(2):
            refused = site.call("articles?limit=3")
            assert refused.status == 429
            assert refused.headers["Cache-Control"] == "no-store"
        assert site.call("articles").headers["Cache-Status"] == HIT
        assert "/api/v1/articles?limit=3" not in site.cached_keys()


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (404, {"Cache-Control": "public, max-age=60"}),
        (503, {"Cache-Control": "public, max-age=60"}),
        (301, {"Cache-Control": "public, max-age=60"}),
        (200, {"Cache-Control": "max-age=60"}),
        (200, {"Cache-Control": "private, max-age=60"}),
        (200, {"Expires": "Fri, 01 Jan 2038 00:00:00 GMT"}),
        (200, {"X-Accel-Expires": "60"}),
        (200, {"Cache-Control": "public, max-age=60", "Set-Cookie": "a=b"}),
        (200, {"Cache-Control": "public, max-age=60", "Vary": "*"}),
    ],
)
def test_response_without_public_cache_control_is_not_cached(
    tmp_path: Path, status: int, fields: dict[str, str]
) -> None:
    """Another service answers here, with header fields that ours does not send."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": "0", **fields}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        other = Live(f"http://127.0.0.1:{server.server_port}", None, None)  # type: ignore[arg-type]
        with in_front_of(other, tmp_path) as nginx:
            site = CachedService(other, nginx, tmp_path / "cache")
            for _ in range(2):
                answer = site.call("articles")
                assert (answer.status, answer.headers["Cache-Status"]) == (status, MISS)
            assert site.cached_keys() == set()
        server.shutdown()


@pytest.mark.slow
def test_write_is_visible_within_max_age(tmp_path: Path) -> None:
    with cached_service(tmp_path, PUBLIC_MAX_AGE="2") as site:
        path, bearer, seen = site.article(), site.live.log_in(), set()
        read = site.fill(path)
        assert read.headers["Cache-Control"] == "public, max-age=2, stale-while-revalidate=2"
        for version in range(1, 20):  # until hits and stale responses were seen
            body, condition = {"name": f"Name {version}"}, {"If-Match": f'"{version}"'}
            assert site.live.call("PATCH", path, body, bearer | condition).status == 200
            deadline = time.monotonic() + services.SECONDS
            while (answer := site.call(path)).json["version"] != version + 1:
                assert answer.json["version"] == version
                seen.add(answer.headers["Cache-Status"])
                assert time.monotonic() < deadline, "the write is not visible"
                time.sleep(0.05)
            if {HIT, STALE} <= seen:
                break
        assert {HIT, STALE} <= seen


@pytest.mark.slow
def test_stopped_service_is_503_when_the_cached_response_expired(tmp_path: Path) -> None:
    with cached_service(tmp_path, PUBLIC_MAX_AGE="2") as site:
        site.fill("articles")
        site.live.process.terminate()
        site.live.process.wait(services.SECONDS)
        deadline = time.monotonic() + services.SECONDS
        while (answer := site.call("articles")).status == 200:
            assert answer.headers["Cache-Status"] in (HIT, STALE)
            assert time.monotonic() < deadline, "the cached response does not expire"
            time.sleep(0.1)
        for failed in (answer, site.call("articles?limit=1"), site.call("errands")):
            assert failed.status == 503
            assert failed.headers["Content-Type"] == "application/problem+json"
            assert failed.headers["Retry-After"] == "5"
            assert failed.json["request_id"] == failed.headers["X-Request-ID"]


def test_concurrent_requests_cause_one_request_to_the_service(tmp_path: Path) -> None:
    with cached_service(tmp_path) as site, ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(site.call, ["articles?limit=100"] * 40))
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        assert site.service_requests() <= 2  # two nginx workers may miss at the same time
