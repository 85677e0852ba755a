"""Fields for texts that people read or compare: names, titles and identifiers."""

import re
import unicodedata
from typing import Any

from app.core.schemas.fields import String

# Written as ranges, because JSON Schema knows no Unicode categories: spaces and line breaks, and
# characters without a glyph, most of them of the category Cf.
_SPACES = r"\t-\r\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NO_GLYPH = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
)
_NOT_IN_IDENTIFIERS = (
    r"\x00-\x1f\x7f-\xa0\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u1680\u2000-\u200a\u2028\u2029"
    r"\u202f\u205f\u3000" + _NO_GLYPH
)
_CATEGORIES = ("Cc", "Cf", "Zs", "Zl", "Zp")
_NO_TEXT = "Must contain a visible character."


def _is_invisible(char: str) -> bool:
    """Whether a character that the patterns admit has no glyph.

    Beyond U+FFFF patterns need another syntax. The two ranges are ignorable by default in Unicode,
    whatever the category of a character.
    """
    is_ignorable = "\ufff0" <= char <= "\ufff8" or "\U000e0000" <= char <= "\U000e0fff"
    return is_ignorable or (char > "\uffff" and unicodedata.category(char) in _CATEGORIES)


class Name(String):
    """A name or title: a string with at least one visible character; it is stored as sent."""

    PATTERN = rf"^[^\x00]*[^\x00{_SPACES}{_NO_GLYPH}][^\x00]*$"
    default_error_messages = {"blank": _NO_TEXT}

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(min_length=1, max_length=max_length, **kwargs)

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"pattern": self.PATTERN}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        if text and all(_is_invisible(found[0]) for found in _NAME.finditer(text)):
            raise self.make_error("blank")
        return text


class Identifier(String):
    """A string that tells items apart: without characters that people do not see.

    It is loaded in Unicode's form NFC, and without blanks (U+0020) at its ends. Control characters,
    other spaces and characters without a glyph are refused.
    """

    # Two texts that look alike must not be two identifiers:
    # docs/decisions.md#75-identifiers
    PATTERN = rf"^\x20*[^\x20{_NOT_IN_IDENTIFIERS}][^{_NOT_IN_IDENTIFIERS}]*$"
    default_error_messages = {
        "blank": _NO_TEXT,
        "invisible": "Must not contain control characters, invisible characters or other spaces "
        "than blanks.",
    }

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(min_length=1, max_length=max_length, **kwargs)
        self.max_length = max_length

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"pattern": self.PATTERN}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        if _PLAIN.fullmatch(text) or not text or len(text) > self.max_length:
            return text  # the validator refuses the length as it was sent
        if not text.strip(" "):
            raise self.make_error("blank")
        if not _IDENTIFIER.fullmatch(text) or any(map(_is_invisible, text)):
            raise self.make_error("invisible")
        return unicodedata.normalize("NFC", text.strip(" "))


_NAME = re.compile(rf"[^\x00{_SPACES}{_NO_GLYPH}]")
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_IDENTIFIER = re.compile(Identifier.PATTERN)
