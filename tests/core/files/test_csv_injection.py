"""Formulas in CSV cells."""

import pytest

from app.core.files.csv_injection import escape_formula, unescape_formula

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "''-1"]


HARMLESS = ["", "'", "'a", "1-1", "a=1", " =1", "it's", "''"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formula_is_escaped_and_unescaped(text: str) -> None:
    assert escape_formula(text) == f"'{text}"
    assert unescape_formula(escape_formula(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_text_without_formula_is_not_escaped(text: str) -> None:
    assert escape_formula(text) == unescape_formula(text) == text
