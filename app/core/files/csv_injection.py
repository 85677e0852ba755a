"""Text in the cells of a CSV file that is opened in a spreadsheet.

An apostrophe in front of a cell makes it text. Exports add one with `escape_formula`, imports
remove it with `unescape_formula`, so an exported file is imported unchanged.
"""

import re

# A formula could send the other cells to a foreign server (CSV injection; OWASP ASVS 1.2.10):
# docs/decisions.md#37-csv-formula-escaping
# Some spreadsheets accept the full-width forms of the plain characters, and skip a line break.
_FORMULA_START = r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
_FORMULA = re.compile(rf"'*{_FORMULA_START}")
_ESCAPED_FORMULA = re.compile(rf"'+{_FORMULA_START}")


def escape_formula(text: str) -> str:
    """The text as a cell that no spreadsheet calculates: `=1+1` becomes `'=1+1`."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """The text before `escape_formula`; other text is returned unchanged."""
    return text[1:] if text[:1] == "'" and _ESCAPED_FORMULA.match(text) else text
