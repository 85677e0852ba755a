"""The service behind the shipped nginx, with its cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from tests.live import Answer, Live, serve
from tests.nginx import Nginx, in_front_of

MISS, HIT, STALE = "nginx; fwd=miss", "nginx; hit", "nginx; hit; detail=stale"

OF_ONE_REQUEST = ("X-Request-ID", "RateLimit", "RateLimit-Policy", "Cache-Status")

SETTINGS = {
    "AUTH_COOKIES": "true",
    "CORS_ORIGINS": "https://one.example,https://two.example",
    "PUBLIC_MAX_AGE": "3600",
    "RATE_LIMIT": "100000 per minute",
    "TRUSTED_HOSTS": "127.0.0.1,shop.example",
    "TRUSTED_PROXIES": "1",
}

# Independent of the speed and the number of processors of this machine.
CHANGES = {
    "proxy_cache_lock_timeout 1s": "proxy_cache_lock_timeout 60s; proxy_cache_lock_age 60s",
    "worker_processes auto": "worker_processes 2",
}

_numbers = count(1)


@dataclass(frozen=True)
class CachedService:
    """The service behind its nginx."""

    live: Live
    nginx: Nginx
    cache: Path

    def call(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        """The answer to a request; a header's name is written with underscores."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        proxied = replace(self.live, url=f"http://127.0.0.1:{self.nginx.port}")
        return proxied.call(method, path, body, fields)

    def fill(self, path: str, **headers: str) -> Answer:
        """The first response, which fills the cache; the next request must hit it."""
        first = self.call(path, **headers)
        assert (first.status, first.headers["Cache-Status"]) == (200, MISS)
        # nginx may still be writing the file of a response that it has sent.
        while (second := self.call(path, **headers)).headers["Cache-Status"] == MISS:
            assert second.status == 200
        assert second.headers["Cache-Status"] == HIT
        return first

    def cached_keys(self) -> set[str]:
        """The keys of all cache entries, without scheme and host."""
        files = [file.read_bytes() for file in self.cache.rglob("*") if file.is_file()]
        keys = [file.partition(b"\nKEY: ")[2].partition(b"\n")[0].decode() for file in files]
        return {"/" + key.split("/", 3)[3] for key in keys}

    def service_requests(self) -> int:
        """The number of requests for articles that reached the service."""
        lines = self.live.log_lines()
        return sum('"route":"/api/v1/articles' in line for line in lines)

    def article(self) -> str:
        """The path of an article."""
        return f"articles/{self.live.call('GET', 'articles?limit=1').json['items'][0]['id']}"


@contextmanager
def cached_service(folder: Path, **settings: str) -> Iterator[CachedService]:
    """Yield the service behind its nginx."""
    settings = SETTINGS | {"CACHE_DIR": str(folder / "summary")} | settings
    with serve(f"sqlite:///{folder}/live.db", **settings) as live:
        (folder / "nginx").mkdir()
        with in_front_of(live, folder / "nginx", **CHANGES) as nginx:
            yield CachedService(live, nginx, folder / "nginx" / "cache")
