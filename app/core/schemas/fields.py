"""Marshmallow fields that accept what the OpenAPI document says, and nothing close to it.

What apispec does not see of a field - a pattern, a format - the field tells with `described`,
beside the code that enforces it. Patterns are written for Python and ECMA-262 alike.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import marshmallow as ma
from marshmallow import validate
from marshmallow.utils import get_value

from app.core.schemas.currencies import CURRENCY_SCALES

_FORMATS: dict[str | None, str] = {
    code: f".{decimals}f" for code, decimals in [*CURRENCY_SCALES.items(), (None, 4)]
}


class String(ma.fields.String):
    """A string without NUL, which PostgreSQL cannot store. `max_length` bounds its code points."""

    default_error_messages = {"nul": "Must not contain the character U+0000."}

    def __init__(self, *, min_length: int = 0, max_length: int, **kwargs: Any) -> None:
        checks = kwargs.pop("validate", ())
        length = validate.Length(min=min_length or None, max=max_length)
        super().__init__(validate=[length, *checks], **kwargs)

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"pattern": r"^[^\x00]*$"}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if "\x00" in value:
            raise self.make_error("nul")
        return value


class Enum(String):
    """One of a fixed set of strings, which `error` describes where it is too long to be told."""

    def __init__(self, choices: Sequence[str], *, error: str | None = None, **kwargs: Any) -> None:
        one_of = validate.OneOf(choices, error=error)
        super().__init__(max_length=max(map(len, choices)), validate=[one_of], **kwargs)

    def openapi_properties(self) -> dict[str, Any]:
        """Nothing that the enumeration does not say."""
        return {}


class Integer(ma.fields.Integer):
    """A JSON number without fraction, in a closed range; in a query, ASCII digits."""

    def __init__(self, *, min: int, max: int, **kwargs: Any) -> None:
        super().__init__(validate=[validate.Range(min=min, max=max)], **kwargs)
        self.max = max

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"format": "int32" if self.max < 2**31 else "int64"}

    def parse_query_value(self, text: str) -> Any:
        """The value of a query parameter; anything but plain digits is left to be refused."""
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise self.make_error("invalid")
        return int(value)


class Boolean(ma.fields.Boolean):
    """`true` or `false`, never 0, 1, "yes" or null."""

    def parse_query_value(self, text: str) -> Any:
        """The value of a query parameter: the words true and false."""
        return {"true": True, "false": False}.get(text, text)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class DateTime(ma.fields.AwareDateTime):
    """An instant of RFC 3339, offset required; given out in UTC with `Z`, to the microsecond."""

    default_error_messages = {"invalid": "Not an RFC 3339 date-time with an offset."}
    MAX_LENGTH = 63  # characters
    PATTERN = re.compile(
        r"((?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]"
        r"((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:(\.[0-9]{1,6})[0-9]*)?"
        r"([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    )

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"pattern": f"^{self.PATTERN.pattern}$", "maxLength": self.MAX_LENGTH}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime:
        plausible = isinstance(value, str) and len(value) <= self.MAX_LENGTH
        found = self.PATTERN.fullmatch(value) if plausible else None
        if found is None:
            raise self.make_error("invalid")
        date, time, fraction, offset = found.groups(default="")
        text = f"{date}T{time}{fraction}{offset.upper()}"
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise self.make_error("invalid") from error

    def _serialize(self, value: datetime | None, *args: Any, **kwargs: Any) -> str | None:
        if value is None:
            return None
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Email(String):
    """An e-mail address, kept in lower case. Whether it exists only a mail can tell.

    Its local part is a dot-string (RFC 5321 section 4.1.2) of any script (RFC 6531): no quotes.
    """

    _ATOM = r"[^\x00-\x20\x7f\s\"(),.:;<>@[\\\]]{1,64}"
    _LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    PATTERN = rf"^{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})+$"
    default_error_messages = {"email": "Not an e-mail address."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=3, max_length=254, **kwargs)

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"format": "idn-email", "pattern": self.PATTERN}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        if not re.fullmatch(self.PATTERN, text) or text.index("@") > 64:
            raise self.make_error("email")
        return text.lower()


class Currency(Enum):
    """An ISO 4217 code in capitals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(sorted(CURRENCY_SCALES), error="Not an ISO 4217 code.", **kwargs)


class MoneyAmount(ma.fields.String):
    """Money as a decimal string, never a float; `currency` is the sibling that gives its scale.

    Loads to a `Decimal` of at most 11 digits before and 4 after the point.
    """

    default_error_messages = {
        "invalid": 'Not a decimal string such as "19.99".',
        "scale": "Has more decimals than {currency} allows.",
    }
    DEFAULT_SCALE, MAX_SCALE = 2, 4  # decimals

    def __init__(self, *, currency: str | None = None, **kwargs: Any) -> None:
        super().__init__(validate=[validate.Length(min=1, max=16)], **kwargs)
        self.currency = currency

    @staticmethod
    def regex_for_scale(decimals: int) -> str:
        """What an amount with at most so many decimals looks like."""
        return r"^(0|[1-9][0-9]{0,10})" + (rf"(\.[0-9]{{1,{decimals}}})?" if decimals else "") + "$"

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document, and for the object that the amount is in."""
        rules = [self._scale_rule(decimals) for decimals in (0, 2, 3)] if self.currency else []
        return {
            "pattern": self.regex_for_scale(self.MAX_SCALE),
            **({"x-rules": rules} if rules else {}),
        }

    def _scale_rule(self, decimals: int) -> dict[str, Any]:
        """JSON Schema for: with a currency of so many decimals, the amount has no more of them."""
        codes = sorted(code for code, n in CURRENCY_SCALES.items() if n == decimals)
        others = sorted(code for code, n in CURRENCY_SCALES.items() if n != self.DEFAULT_SCALE)
        which = {"not": {"enum": others}} if decimals == self.DEFAULT_SCALE else {"enum": codes}
        return {
            "if": {"properties": {self.currency: which}, "required": [self.currency]},
            "then": {"properties": {self.name: {"pattern": self.regex_for_scale(decimals)}}},
        }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        if not isinstance(value, str) or not re.fullmatch(
            self.regex_for_scale(self.MAX_SCALE), value
        ):
            raise self.make_error("invalid")
        amount = Decimal(value)
        code = (data or {}).get(self.currency) if self.currency else None
        decimals = CURRENCY_SCALES.get(code) if isinstance(code, str) else None
        if decimals is not None and -amount.as_tuple().exponent > decimals:  # type: ignore[operator]
            raise self.make_error("scale", currency=code)
        return amount

    def _validate(self, value: Any) -> None:
        """The pattern has bounded the length already; the value is no string any more."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        code = get_value(obj, self.currency) if self.currency else None
        return None if value is None else self.to_text(value, code)

    @staticmethod
    def to_text(value: Decimal, code: str | None) -> str:
        """An amount of that currency, with as many decimals as it has; 4 where it is not known."""
        return format(value, _FORMATS[code])
