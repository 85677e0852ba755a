"""Signed, opaque cursors of keyset pagination."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hmac import compare_digest
from typing import Any
from uuid import UUID

from flask import request

from app.core.security.signing import sign
from app.core.web import strict_json
from app.core.web.problems import Problem


@dataclass(frozen=True, slots=True)
class PageCursor:
    """The position after which a page begins, with the sort and filters of its list."""

    sort: str
    filters: dict[str, str]
    back: bool
    key: Any
    id: UUID

    def dumps(self) -> str:
        """The signed cursor as text."""
        return sign_for_list(
            strict_json.dumps([self.sort, self.filters, self.back, _pack(self.key), self.id])
        )

    @classmethod
    def loads(cls, text: str) -> "PageCursor":
        """The cursor that the text holds; a `Problem` (400) if it was altered."""
        try:
            told = urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}".encode("ascii"))[
                _SIGNATURE_BYTES:
            ]
        except ValueError as error:
            raise Problem("invalid-cursor") from error
        if not compare_digest(sign_for_list(told), text):
            raise Problem("invalid-cursor")
        sort, filters, back, key, id_ = strict_json.loads(told)
        return cls(sort, filters, back, _unpack(*key), UUID(id_))


_SIGNATURE_BYTES = 16  # bytes


def sign_for_list(told: bytes) -> str:
    """What says this and is ours, of the list at this path and of no other: a cursor, or a tag."""
    seal = sign("cursors", request.path.encode() + b" " + told, size=_SIGNATURE_BYTES)
    return urlsafe_b64encode(seal + told).rstrip(b"=").decode()


_PACKERS: dict[str, tuple[type, Callable[[str], Any]]] = {
    "t": (datetime, datetime.fromisoformat),
    "d": (Decimal, Decimal),
    "i": (int, int),
    "s": (str, str),
}


def _pack(key: Any) -> tuple[str, str]:
    return next((tag, str(key)) for tag, (kind, _) in _PACKERS.items() if isinstance(key, kind))


def _unpack(tag: str, text: str) -> Any:
    return _PACKERS[tag][1](text)
