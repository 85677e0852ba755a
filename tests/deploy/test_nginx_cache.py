"""Responses from the cache of nginx."""

import gzip
import time

import pytest

from tests.deploy.cached_service import HIT, MISS, OF_ONE_REQUEST, CachedService

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_repeated_list_request_is_answered_from_the_cache(
    site: CachedService, path: str, method: str
) -> None:
    before = site.service_requests()
    first = site.call(path)
    time.sleep(1)  # so that a new response would have another Date
    again = site.call(path, method)
    assert site.service_requests() == before + 1
    assert (first.headers["Cache-Status"], again.headers["Cache-Status"]) == (MISS, HIT)
    assert again.body == (first.body if method == "GET" else b"")
    assert 'rel="next"' in again.headers["Link"]
    for name in OF_ONE_REQUEST:
        first.headers.pop(name)
        again.headers.pop(name, None)
    assert first.headers == again.headers  # Date too, from which clients compute the age


def test_repeated_item_request_is_answered_from_the_cache(site: CachedService) -> None:
    path = site.article()
    assert site.fill(path).body == site.call(path).body == site.live.call("GET", path).body


def test_head_request_fills_the_cache_for_get(site: CachedService, path: str) -> None:
    assert site.call(path, "HEAD").headers["Cache-Status"] == MISS
    read = site.call(path)
    assert read.headers["Cache-Status"] == HIT
    assert len(read.json["items"]) == 5


@pytest.mark.parametrize("weak", ["", "W/"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_matching_if_none_match_is_304_from_the_cache(
    site: CachedService, path: str, weak: str, coding: str
) -> None:
    tag = site.fill(path).headers["ETag"]
    before = site.service_requests()
    for held in (weak + tag, f'"other", {weak}{tag}', "*"):
        same = site.call(path, If_None_Match=held, Accept_Encoding=coding)
        assert (same.status, same.body, same.headers["Cache-Status"]) == (304, b"", HIT)
        assert same.headers["ETag"] == tag
        assert same.headers["Cache-Control"].startswith("public, max-age=")
    assert site.call(path, If_None_Match='"other"').status == 200
    assert site.service_requests() == before


def test_other_if_none_match_fills_the_cache(site: CachedService, path: str) -> None:
    other = site.call(path, If_None_Match='"other"')
    assert (other.status, other.headers["Cache-Status"]) == (200, MISS)
    tag = other.headers["ETag"]
    same = site.call(path, If_None_Match=tag)
    assert (same.status, same.headers["Cache-Status"]) == (304, HIT)


def test_cache_keeps_one_entry_for_all_content_codings(site: CachedService, path: str) -> None:
    first = site.fill(path, Accept_Encoding="gzip")
    plain = site.call(path, Accept_Encoding="identity")
    assert plain.headers["Cache-Status"] == HIT
    assert first.headers["ETag"] == f"W/{plain.headers['ETag']}"
    assert gzip.decompress(first.body) == plain.body


def test_cached_response_has_no_headers_of_the_first_request(
    site: CachedService, path: str
) -> None:
    first = site.call(path, X_Request_ID="of-the-first-0001")
    assert first.headers["X-Request-ID"] == "of-the-first-0001"
    assert first.headers["RateLimit"]
    second = site.call(path, X_Request_ID="of-the-second-0001")
    third = site.call(path)
    assert second.headers["X-Request-ID"] == "of-the-second-0001"
    assert third.headers["X-Request-ID"] not in ("of-the-first-0001", "of-the-second-0001")
    for answer in (second, third):
        assert answer.headers["Cache-Status"] == HIT
        assert not {"RateLimit", "RateLimit-Policy", "Set-Cookie"} & set(answer.headers)
