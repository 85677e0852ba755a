"""Content negotiation (RFC 9110 section 12). deploy/nginx/cache.conf has the same rule."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from flask import Request
from werkzeug.http import parse_list_header, parse_options_header

from app.core.web.problems import Problem

PROBLEM_TYPE = "application/problem+json"

_RANGE = re.compile(r"\*/\*|[^\s/*]+/(?:\*|[^\s/*]+)")
_WEIGHT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}")


def accepted_media_type(request: Request, media_types: Sequence[str]) -> str:
    """The media type that the caller prefers; the first of those that it prefers equally.

    Errors are problem details: a caller that names those and excludes nothing gets the first type.

    Args:
        media_types: those of the successful response, in lower case.

    Raises:
        Problem: 406, it accepts nothing that the operation can answer (RFC 9110 section 12.5.1).
    """
    accept = request.headers.get("Accept", "*/*")
    if accept in ("*/*", media_types[0]):
        return media_types[0]
    weights = _parse_accept(accept)
    weight_of = {media_type: _weight(weights, media_type) for media_type in media_types}
    best = max(media_types, key=lambda media_type: weight_of[media_type] or 0.0)
    if weight_of[best] or (weight_of[best] is None and weights.get(PROBLEM_TYPE)):
        return best
    detail = f"The response is available as {' or '.join(media_types)}."
    raise Problem("not-acceptable", detail, headers={"Vary": "Accept"})


@lru_cache(maxsize=256)
def _parse_accept(accept: str) -> Mapping[str, float]:
    """The weight of each media range. Parameters other than `q` are ignored.

    Malformed ranges are ignored, and so is the whole field where nothing else remains. A malformed
    weight is 1.
    """
    # Lenient: clients send `*` for `*/*`, `q=.2` and `charset=utf-8`, and mean JSON.
    weights: dict[str, float] = {}
    for element in parse_list_header(accept):
        media_range, parameters = parse_options_header(element)
        name = "*/*" if media_range == "*" else media_range.lower()
        if _RANGE.fullmatch(name):
            text = parameters.get("q", "1")
            weight = min(float(text), 1.0) if _WEIGHT.fullmatch(text) else 1.0
            weights[name] = max(weights.get(name, 0.0), weight)
    return weights or {"*/*": 1.0}


def _weight(weights: Mapping[str, float], media_type: str) -> float | None:
    """The weight of the most specific range that matches a media type; None if none does."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((weights[name] for name in ranges if name in weights), None)
