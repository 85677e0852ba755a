"""Content negotiation (RFC 9110 section 12)."""

from collections.abc import Sequence

from flask import Request

from app.core.web.problems import Problem


def accepted_media_type(request: Request, media_types: Sequence[str]) -> str:
    """The media type that the caller prefers; the first of those that it prefers equally.

    Raises:
        Problem: 406, it accepts none of them (RFC 9110 section 12.5.1).
    """
    accept = request.headers.get("Accept", "*/*")
    if accept in ("*/*", media_types[0]):
        return media_types[0]
    best = max(media_types, key=request.accept_mimetypes.quality)
    if not request.accept_mimetypes.quality(best):
        detail = f"The response is available as {' or '.join(media_types)}."
        raise Problem("not-acceptable", detail)
    return best
