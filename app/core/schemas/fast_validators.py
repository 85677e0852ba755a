"""The quick way in: most objects are plainly right, and cost a tenth if that is seen at once.

A check gives the value that a field makes of what it is given, or `NotImplemented` where it is not
sure; then marshmallow loads the whole object, and decides and finds the words. So nothing can be
let in here that it would refuse, which `tests/core/schemas/test_fields.py` tries for every schema.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import marshmallow as ma

from app.core.schemas.currencies import CURRENCY_SCALES
from app.core.schemas.fields import Boolean, Currency, DateTime, Enum, Integer, MoneyAmount, String

FastValidator = Callable[[Any, Mapping[str, Any]], Any]  # of the value, and of the object it is in


def fast_validator_for(field: ma.fields.Field[Any]) -> FastValidator:
    """The check for a field; never sure where it is of another class or has more validators.

    A class that only describes more than its base says so with `fast_check_base`.
    """
    kind = getattr(field, "fast_check_base", type(field))
    make, validators = _CHECKS.get(kind, (None, 0))
    if make is None or len(field.validators) != validators:
        return lambda value, _: NotImplemented
    check = make(field)
    if not field.allow_none:
        return check
    return lambda value, data: None if value is None else check(value, data)


def _text(field: Any) -> FastValidator:
    length = field.validators[0]
    least, most = length.min or 0, length.max

    def check(value: Any, _: Mapping[str, Any]) -> Any:
        if type(value) is str and least <= len(value) <= most and "\x00" not in value:
            return value
        return NotImplemented

    return check


def _choice(field: Any) -> FastValidator:
    choices = frozenset(field.validators[1].choices)
    return lambda value, _: value if type(value) is str and value in choices else NotImplemented


def _integer(field: Any) -> FastValidator:
    least, most = field.validators[0].min, field.validators[0].max
    return lambda value, _: (
        value if type(value) is int and least <= value <= most else NotImplemented
    )


def _boolean(_: Any) -> FastValidator:
    return lambda value, _: value if type(value) is bool else NotImplemented


def _amount(field: Any) -> FastValidator:
    pattern, sibling = (
        re.compile(MoneyAmount.regex_for_scale(MoneyAmount.MAX_SCALE)),
        field.currency,
    )

    def check(value: Any, data: Mapping[str, Any]) -> Any:
        if type(value) is not str or not pattern.fullmatch(value):
            return NotImplemented
        if sibling not in data:
            return Decimal(value)
        code = data[sibling]
        decimals = CURRENCY_SCALES.get(code) if type(code) is str else None
        _, point, fraction = value.partition(".")
        if decimals is None or (point and len(fraction) > decimals):
            return NotImplemented
        return Decimal(value)

    return check


def _timestamp(field: Any) -> FastValidator:
    def check(value: Any, _: Mapping[str, Any]) -> Any:
        try:
            return field._deserialize(value)
        except ma.ValidationError:
            return NotImplemented

    return check


# By the class of the field: its check, and how many validators the class itself sets.
_CHECKS: dict[type, tuple[Callable[[Any], FastValidator], int]] = {
    String: (_text, 1),
    Enum: (_choice, 2),
    Currency: (_choice, 2),
    Integer: (_integer, 1),
    Boolean: (_boolean, 0),
    MoneyAmount: (_amount, 1),
    DateTime: (_timestamp, 0),
}
