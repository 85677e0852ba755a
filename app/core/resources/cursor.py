"""Signed, opaque cursors of keyset pagination."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from hmac import compare_digest
from typing import Any
from uuid import UUID

from flask import request

from app.core.security.signing import sign
from app.core.web import strict_json
from app.core.web.problems import Problem

# A cursor is sent in a URL. These leave 1,400 bytes for the sort key: JSON escapes a control
# character with six bytes, and base64 adds a third.
MAX_CURSOR_LENGTH = 6144  # characters
MAX_FILTER_BYTES = 3000  # of all filters, as JSON


@dataclass(frozen=True, slots=True)
class PageCursor:
    """The position after which a page begins, with the sort and filters of its list."""

    sort: str
    filters: dict[str, str]
    backwards: bool  # whether the page lies before the position
    key: Any
    id: UUID

    def dumps(self) -> str:
        """The signed cursor as text."""
        return sign_for_list(
            strict_json.dumps([self.sort, self.filters, self.backwards, _pack(self.key), self.id])
        )

    @classmethod
    def loads(cls, text: str) -> "PageCursor":
        """The cursor of this text.

        Raises:
            Problem: 400, it was not issued by this list.
        """
        try:
            decoded = urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}".encode("ascii"))
        except ValueError as error:
            raise Problem("invalid-cursor") from error
        content = decoded[_SIGNATURE_BYTES:]
        # Compared as text, because several texts decode to the same bytes.
        if not compare_digest(sign_for_list(content), text):
            raise Problem("invalid-cursor")
        sort, filters, backwards, key, id_ = strict_json.loads(content)
        return cls(sort, filters, backwards, _unpack(*key), UUID(id_))


_SIGNATURE_BYTES = 16


def sign_for_list(content: bytes) -> str:
    """The content with a signature that is valid for the list at this path only, as text."""
    # The content becomes part of a query: docs/decisions.md#9-signed-cursors
    signature = sign("cursors", request.path.encode() + b" " + content, size=_SIGNATURE_BYTES)
    return urlsafe_b64encode(signature + content).rstrip(b"=").decode()


_PACKERS: dict[str, tuple[type, Callable[[str], Any]]] = {
    "t": (datetime, datetime.fromisoformat),  # before its base class date
    "D": (date, date.fromisoformat),
    "d": (Decimal, Decimal),
    "b": (bool, "True".__eq__),  # before its base class int
    "i": (int, int),
    "u": (UUID, UUID),
    "s": (str, str),
}
SORTABLE = tuple(kind for kind, _ in _PACKERS.values())  # what a sort key may be


def _pack(key: Any) -> tuple[str, str]:
    return next((tag, str(key)) for tag, (kind, _) in _PACKERS.items() if isinstance(key, kind))


def _unpack(tag: str, text: str) -> Any:
    return _PACKERS[tag][1](text)
