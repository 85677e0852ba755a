"""What a request says about its client's URL, from the server and trusted proxies, in one spelling.

Every URL that the service sends is built from it: scheme, host, and the prefix of its path.
"""

from collections.abc import Iterable
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.host_names import canonical_host
from app.server.settings import mount_path


def init_app(app: Flask, proxies: int) -> None:
    """Accept X-Forwarded-For, -Proto, -Host and -Prefix from this number of proxies in front."""
    app.wsgi_app = _Canonical(app.wsgi_app)  # type: ignore[method-assign]
    if n := proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n, x_prefix=n)  # type: ignore[method-assign]


class _Canonical:
    """WSGI middleware that gives scheme, host and prefix one spelling."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        original = environ.get("werkzeug.proxy_fix.orig") or environ
        scheme = environ["wsgi.url_scheme"].lower()
        known = scheme in ("http", "https")
        environ["wsgi.url_scheme"] = scheme if known else original["wsgi.url_scheme"]
        if host := canonical_host(environ.get("HTTP_HOST", "")):
            environ["HTTP_HOST"] = str(host)
        mounted = original.get("SCRIPT_NAME") or ""
        if (prefix := environ.get("SCRIPT_NAME") or "") != mounted:
            # A proxy has removed the one, the server the other.
            prefix = prefix.rstrip("/")
            environ["SCRIPT_NAME"] = (prefix if mount_path(prefix) is None else "") + mounted
        path: str = environ["PATH_INFO"]
        if mounted and path and not path.startswith("/"):
            environ["PATH_INFO"] = mounted + path  # /svcx is not below /svc: 404
        return self.app(environ, start_response)  # type: ignore[no-any-return]
