"""Currencies: those in use, with the decimals that constraints of tables rely on."""

import pytest

from app.core.schemas.currencies import CURRENCY_SCALES


@pytest.mark.parametrize("code", ["EUR", "USD", "XCG", "ZWG", "VED", "SLE", "CLF", "UYI", "UYW"])
def test_currency_in_use_is_accepted(code: str) -> None:
    assert code in CURRENCY_SCALES


@pytest.mark.parametrize("code", ["BGN", "HRK", "ZWL", "ANG", "CUC", "SLL", "MRO", "VEF", "DEM"])
def test_withdrawn_currency_is_refused(code: str) -> None:
    assert code not in CURRENCY_SCALES


@pytest.mark.parametrize(
    "code",
    ["BOV", "CHE", "CHW", "COU", "MXV", "USN", "XAD", "XDR", "XSU", "XUA", "XAU", "XAG", "XPT",
     "XPD", "XBA", "XBB", "XBC", "XBD", "XTS", "XXX"],
)  # fmt: skip
def test_fund_metal_and_reserved_code_is_refused(code: str) -> None:
    assert code not in CURRENCY_SCALES


def test_codes_are_sorted_and_in_shape() -> None:
    assert list(CURRENCY_SCALES) == sorted(CURRENCY_SCALES)
    assert all(len(code) == 3 and code.isupper() for code in CURRENCY_SCALES)


@pytest.mark.parametrize(
    ("decimals", "codes"),
    [
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    ],
)
def test_decimals_are_those_of_the_check_constraint_of_prices(decimals: int, codes: str) -> None:
    """When a release of iso4217 changes them, `ck_articles_price_scale` needs a migration."""
    assert [code for code, n in CURRENCY_SCALES.items() if n == decimals] == codes.split()
    assert set(CURRENCY_SCALES.values()) == {0, 2, 3, 4}
