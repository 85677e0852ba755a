"""ISO 4217 currencies and the number of decimals of their minor unit, from the list of iso4217.

Withdrawn codes are not in its list, and a release of the package may add and remove codes:
`tests/core/schemas/test_currencies.py` fails where that concerns the constraints of tables.
"""

from iso4217 import Currency, raw_xml

# Funds codes and units of account are no money that a price is paid in. ISO 4217 marks the first
# with IsFund. CLF and UYI are marked as well, but contracts and rents are priced in them.
_FUNDS = {
    str(entry.findtext("Ccy"))
    for entry in raw_xml.iter("CcyNtry")
    if (name := entry.find("CcyNm")) is not None and name.get("IsFund") == "true"
} - {"CLF", "UYI"}
_UNITS_OF_ACCOUNT = {"XAD"}  # others, as XDR, and metals, as XAU, have no minor unit

CURRENCY_SCALES: dict[str, int] = {
    currency.code: currency.exponent
    for currency in sorted(Currency, key=lambda currency: currency.code)
    if currency.exponent is not None and currency.code not in _FUNDS | _UNITS_OF_ACCOUNT
}
"""Decimals of the minor unit by code, in the order of the codes: `{"AED": 2, …}`."""
