"""URLs that the service sends."""

from urllib.parse import quote

from flask import has_request_context, request


def below_prefix(path: str) -> str:
    """Return the path as clients of the current request see it: below the prefix, if any."""
    return quote(f"{request.root_path}{path}") if has_request_context() else path
