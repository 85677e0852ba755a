"""The host of a request: which hosts are trusted (TRUSTED_HOSTS)."""

from collections.abc import Iterable

from flask import Flask, request

from app.core.web.problems import Problem
from app.core.web.request_state import current_request
from app.host_names import canonical_host, trusted_name


def init_app(app: Flask, trusted_hosts: Iterable[str], *, exempt: str) -> None:
    """Refuse requests for other hosts with 400; without `trusted_hosts` only invalid ones.

    Args:
        app: the application.
        trusted_hosts: as `trusted_name` reads them.
        exempt: a blueprint that answers for any host, because probes send the address.
    """
    names = frozenset(map(trusted_name, trusted_hosts))
    suffixes = tuple(name for name in names if name and name.startswith("."))

    def check_host() -> None:
        text = current_request().environ.get("HTTP_HOST")
        if text is None and not names:
            return
        host = canonical_host(text or "")
        if host and (not names or host.name in names or f".{host.name}".endswith(suffixes)):
            return
        if request.blueprint != exempt:
            raise Problem("bad-request", "The service does not serve this host.")

    app.before_request(check_host)
