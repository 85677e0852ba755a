"""Marshmallow fields that accept exactly what the OpenAPI document says.

Two optional methods extend a field: `openapi_properties` returns the JSON Schema keywords that
apispec cannot derive, such as a pattern, and `parse_query_value` reads the text of a query
parameter. Patterns are valid in Python and in ECMA-262, the syntax of JSON Schema.
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
from app.core.schemas.email_address import MAX_LENGTH, canonical_email


class String(ma.fields.String):
    """A string of `min_length` to `max_length` code points, without U+0000.

    PostgreSQL cannot store U+0000 in text.
    """

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
    """One of the given strings. `error` replaces the message that lists them all."""

    def __init__(self, choices: Sequence[str], *, error: str | None = None, **kwargs: Any) -> None:
        one_of = validate.OneOf(choices, error=error)
        longest = max((len(each) for each in choices if isinstance(each, str)), default=0)
        super().__init__(max_length=longest, validate=[one_of], **kwargs)
        self.choices = choices

    def declaration_problem(self) -> str:
        """What is wrong with the arguments."""
        are_texts = self.choices and all(isinstance(each, str) for each in self.choices)
        wrong = isinstance(self.choices, str) or not are_texts
        return f"its choices {self.choices!r} are no list of strings" if wrong else ""

    def openapi_properties(self) -> dict[str, Any]:
        """No keywords: apispec derives `enum`."""
        return {}


class Integer(ma.fields.Integer):
    """A JSON number without fraction from `min` to `max`, both included: 3 and 3.0, not "3".

    In a query: a minus sign, if negative, and at most 18 ASCII digits.
    """

    def __init__(self, *, min: int, max: int, **kwargs: Any) -> None:
        super().__init__(validate=[validate.Range(min=min, max=max)], **kwargs)
        self.max = max

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"format": "int32" if self.max < 2**31 else "int64"}

    def parse_query_value(self, text: str) -> Any:
        """The number that the text stands for; other text is returned as it is, and refused."""
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise self.make_error("invalid")
        return int(value)


class Boolean(ma.fields.Boolean):
    """`true` or `false`, in JSON and in a query; not 0, 1, "yes" or null."""

    def parse_query_value(self, text: str) -> Any:
        """The value that the text stands for; other text is returned as it is, and refused."""
        return {"true": True, "false": False}.get(text, text)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class DateTime(ma.fields.AwareDateTime):
    """An instant as RFC 3339 section 5.6 writes it, with an offset: "2030-01-31T18:00:00+01:00".

    Loads to an aware `datetime` in UTC; digits beyond the microsecond are cut off. Dumps in UTC
    with `Z`: "2030-01-31T17:00:00Z", and six digits where the second has a fraction.
    """

    default_error_messages = {"invalid": "Not an RFC 3339 date-time with an offset."}
    MAX_LENGTH = 63  # characters
    PATTERN = re.compile(
        r"((?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]"
        r"((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:(\.[0-9]{1,6})[0-9]*)?"
        r"([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    )

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        # No pattern: generated clients apply it to their `datetime`, which is no string.
        return {"maxLength": self.MAX_LENGTH}

    def parse_query_value(self, text: str) -> str:
        """The text with a colon in the offset: openapi-generator's Python client sends "+0100"."""
        return re.sub(r"(:[0-9.]+[+-][0-9]{2})([0-9]{2})\Z", r"\1:\2", text)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime:
        plausible = isinstance(value, str) and len(value) <= self.MAX_LENGTH
        match = self.PATTERN.fullmatch(value) if plausible else None
        if match is None:
            raise self.make_error("invalid")
        date, time, fraction, offset = match.groups(default="")
        text = f"{date}T{time}{fraction}{offset.upper()}"
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise self.make_error("invalid") from error

    def _serialize(self, value: datetime | None, *args: Any, **kwargs: Any) -> str | None:
        if value is None:
            return None
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Date(ma.fields.Date):
    """A day as RFC 3339 section 5.6 writes it: "2030-01-31"; other ISO 8601 forms are refused."""

    default_error_messages = {"invalid": 'Not an ISO 8601 date such as "2026-11-29".'}
    PATTERN = re.compile(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}")

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"minLength": 10, "maxLength": 10}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not self.PATTERN.fullmatch(value):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **kwargs)


class UUID(ma.fields.UUID):
    """A UUID as RFC 9562 section 4 writes it: 36 characters, without braces or `urn:uuid:`."""

    LENGTH = {"minLength": 36, "maxLength": 36}
    PATTERN = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return dict(self.LENGTH)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not self.PATTERN.fullmatch(value):
            raise self.make_error("invalid_uuid")
        return super()._deserialize(value, *args, **kwargs)


class Email(String):
    """An e-mail address, loaded in its canonical spelling: see `canonical_email`."""

    # The quotation mark as \x22, which no generator of clients has to escape. What is ASCII is what
    # the grammar allows; `canonical_email` decides about the rest.
    _ATOM = r"[^\x00-\x20\x22\x7f\s(),.:;<>@[\\\]]{1,64}"
    _LETTER = r"[^\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]"  # or digit
    _LABEL = rf"{_LETTER}((-|{_LETTER}){{0,61}}{_LETTER})?"
    PATTERN = rf"^{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})+$"
    default_error_messages = {"email": "Not an e-mail address: {reason}"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=3, max_length=MAX_LENGTH, **kwargs)

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"format": "idn-email", "pattern": self.PATTERN}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        try:
            return canonical_email(text)
        except ValueError as error:
            raise self.make_error("email", reason=str(error)) from error


class Currency(Enum):
    """An ISO 4217 code of a currency that is in use, in capitals: "EUR"."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(sorted(CURRENCY_SCALES), error="Not an ISO 4217 code.", **kwargs)


class MoneyAmount(ma.fields.String):
    """An amount of money as a decimal string, never a float: "12.50".

    Loads to a `Decimal` of at most 11 digits before the point and at most as many after it as its
    currency has, or 4 where the data do not name the currency. Dumps with exactly that many.

    Args:
        currency: the member of the same object that holds the ISO 4217 code.
    """

    default_error_messages = {
        "invalid": 'Not a decimal string such as "19.99".',
        "scale": "Has more decimals than {currency} allows.",
    }
    DEFAULT_SCALE, MAX_SCALE = 2, 4  # decimals: of most currencies, and of those that have most
    MAX_DIGITS = 11  # before the point

    def __init__(self, *, currency: str | None = None, **kwargs: Any) -> None:
        super().__init__(validate=[validate.Length(min=1, max=16)], **kwargs)
        self.currency = currency

    @staticmethod
    def regex_for_scale(decimals: int) -> str:
        """The pattern of an amount with at most that many decimals."""
        fraction = rf"(\.[0-9]{{1,{decimals}}})?" if decimals else ""
        return rf"^(0|[1-9][0-9]{{0,{MoneyAmount.MAX_DIGITS - 1}}})" + fraction + "$"

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords; `x-currency` is for `decimals_rule`, and not in the document."""
        pattern = self.regex_for_scale(self.MAX_SCALE)
        return {"pattern": pattern, **({"x-currency": self.currency} if self.currency else {})}

    @classmethod
    def decimals_rule(cls, currency: str, amounts: Sequence[str]) -> dict[str, Any]:
        """JSON Schema for: these members have no more decimals than the member `currency` allows.

        Most currencies have the default scale: the document names the exceptions instead.
        """

        def rule(decimals: int) -> dict[str, Any]:
            pattern = {"pattern": cls.regex_for_scale(decimals)}
            return {"properties": dict.fromkeys(amounts, pattern)}

        schema = rule(cls.DEFAULT_SCALE)
        for decimals in sorted({*CURRENCY_SCALES.values()} - {cls.DEFAULT_SCALE}):
            codes = sorted(code for code, n in CURRENCY_SCALES.items() if n == decimals)
            condition = {"properties": {currency: {"enum": codes}}}
            schema = {"if": condition, "then": rule(decimals), "else": schema}
        return schema

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
            raise self.make_error("invalid")
        code = (data or {}).get(self.currency) if self.currency else None
        # A code that is no currency is the error of the currency's own field.
        decimals = CURRENCY_SCALES.get(code) if isinstance(code, str) else None
        if decimals is not None and len(value.partition(".")[2]) > decimals:
            raise self.make_error("scale", currency=code)
        return Decimal(value)

    def _validate(self, value: Any) -> None:
        """The length is for the document: the pattern bounds it, and the value is no string now."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        code = get_value(obj, self.currency) if self.currency else None
        return None if value is None else self.to_text(value, code)

    @staticmethod
    def to_text(value: Decimal | float | str, code: str | None) -> str:
        """The amount with as many decimals as its currency has: "7" for 7 and "JPY".

        Args:
            value: an amount; in a JSON column it is a number or a string.
            code: the currency; with none, the text has 4 decimals, and 2 with a withdrawn one.
        """
        amount = value if isinstance(value, Decimal) else Decimal(str(value))
        return format(amount, _FORMATS.get(code, _DEFAULT_FORMAT))


_AMOUNT = re.compile(MoneyAmount.regex_for_scale(MoneyAmount.MAX_SCALE))
_FORMATS: dict[Any, str] = {
    **{code: f".{decimals}f" for code, decimals in CURRENCY_SCALES.items()},
    **dict.fromkeys((None, ma.missing), f".{MoneyAmount.MAX_SCALE}f"),
}
_DEFAULT_FORMAT = f".{MoneyAmount.DEFAULT_SCALE}f"
