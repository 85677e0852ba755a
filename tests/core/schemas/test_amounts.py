"""Amounts and currencies."""

from decimal import Decimal
from typing import Any

import marshmallow as ma
import pytest
from flask import Flask
from jsonschema import Draft202012Validator

from app.core.schemas.currencies import CURRENCY_SCALES
from app.core.schemas.fields import (
    Currency,
    MoneyAmount,
)
from tests.conftest import on_sqlite
from tests.contract.document import document_of


def test_amount_is_loaded_as_exact_decimal() -> None:
    ten, twenty = (MoneyAmount().deserialize(text) for text in ("0.10", "0.20"))
    assert ten + twenty == Decimal("0.30")


def test_amount_without_currency_has_up_to_four_decimals() -> None:
    assert MoneyAmount().deserialize("1.2345") == Decimal("1.2345")
    assert MoneyAmount().serialize("price", {"price": Decimal(1)}) == "1.0000"


@pytest.mark.parametrize(
    ("stored", "code", "text"),
    [
        (Decimal("12.5000"), "EUR", "12.50"),
        (Decimal("12.5"), "BGN", "12.50"),
        (12.5, "EUR", "12.50"),
        (7, "KWD", "7.000"),
        ("7", "JPY", "7"),
        (Decimal("1.5"), None, "1.5000"),
        (Decimal("1.5"), ma.missing, "1.5000"),
    ],
)
def test_amount_of_any_stored_type_is_written_with_the_decimals_of_its_currency(
    stored: Any, code: Any, text: str
) -> None:
    """A withdrawn currency has two; a JSON column holds numbers and strings."""
    assert MoneyAmount.to_text(stored, code) == text


@pytest.mark.parametrize("code", sorted(CURRENCY_SCALES))
def test_dumped_amount_has_the_decimals_of_its_currency(code: str) -> None:
    row = {"price": Decimal(7), "currency": code}
    text = MoneyAmount(currency="currency").serialize("price", row)
    assert len(text.partition(".")[2]) == CURRENCY_SCALES[code]
    assert MoneyAmount(currency="currency").deserialize(text, "price", row) == 7


@pytest.mark.parametrize("code", ["JPY", "EUR", "KWD"])
def test_amount_with_one_decimal_more_is_refused(code: str) -> None:
    text = "7." + "1" * (CURRENCY_SCALES[code] + 1)
    with pytest.raises(ma.ValidationError, match=code):
        MoneyAmount(currency="currency").deserialize(text, "price", {"currency": code})


@on_sqlite
@pytest.mark.parametrize("code", sorted(CURRENCY_SCALES))
def test_openapi_schema_has_the_decimals_of_each_currency(app: Flask, code: str) -> None:
    documented = Draft202012Validator(document_of(app)["components"]["schemas"]["ArticleChange"])
    for decimals in range(6):
        price = "7" + ("." + "1" * decimals if decimals else "")
        valid = documented.is_valid({"price": price, "currency": code})
        assert valid == (decimals <= CURRENCY_SCALES[code])
        assert documented.is_valid({"price": price}) == (decimals <= 4)


@pytest.mark.parametrize("siblings", [None, {}, {"currency": "XXX"}, {"currency": ["EUR"]}])
def test_amount_with_invalid_currency_is_left_to_the_field_of_the_currency(siblings: Any) -> None:
    amount = MoneyAmount(currency="currency").deserialize("1.2345", "price", siblings)
    assert amount == Decimal("1.2345")


def test_currency_is_an_iso_4217_code_in_capitals() -> None:
    assert Currency().deserialize("EUR") == "EUR"
    for wrong in ("eur", "XXX", "EU", "EURO", "", None, 978):
        with pytest.raises(ma.ValidationError):
            Currency().deserialize(wrong)
