"""Names need a visible character; identifiers that look alike are one identifier."""

import unicodedata
from typing import Any

import marshmallow as ma
import pytest
from jsonschema import Draft202012Validator

from app.core.schemas.text_fields import Identifier, Name

SKU = Identifier(max_length=20)
CATEGORIES = ("Cc", "Cf", "Zs", "Zl", "Zp")
INVISIBLE = [
    chr(number)
    for number in range(0x110000)
    if chr(number) != " " and unicodedata.category(chr(number)) in CATEGORIES
]


def error(field: ma.fields.String, value: Any) -> str | None:
    try:
        field.deserialize(value)
    except ma.ValidationError as refused:
        return str(refused.messages[0])
    return None


def documented(field: Identifier | Name, value: str) -> bool:
    return Draft202012Validator({"type": "string", **field.openapi_properties()}).is_valid(value)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("MUG-1", "MUG-1"), (" MUG-1", "MUG-1"), ("MUG-1  ", "MUG-1"), ("a b", "a b"),
        ("e\u0301", "é"), ("\u212b", "Å"), (" É-1 ", "É-1"), ("日本", "日本"), ("🫖", "🫖"),
    ],
)  # fmt: skip
def test_identifier_is_loaded_without_outer_blanks_in_nfc(sent: str, kept: str) -> None:
    assert SKU.deserialize(sent) == kept
    assert documented(SKU, sent)


def test_identifier_refuses_each_invisible_character_anywhere() -> None:
    assert len(INVISIBLE) > 200
    for char in INVISIBLE:
        for text in (f"A{char}", f"{char}A", f"A{char}B", char):
            assert error(SKU, text) is not None, ascii(text)
            if char <= "\uffff" and char != "\n":  # Python's $ matches before a line break
                assert not documented(SKU, text), ascii(text)


@pytest.mark.parametrize(
    "char", "\u034f\u115f\u17b4\u2800\u3164\ufe0f\uffa0\ufff0\U000e0000\U000e0100\U000e0fff"
)
def test_identifier_refuses_letters_and_marks_without_a_glyph(char: str) -> None:
    assert "invisible characters" in str(error(SKU, f"A{char}"))


@pytest.mark.parametrize("value", ["", " ", "   ", "A" * 21, " " * 20 + "A", "\ufb2c" * 8, 7, None])
def test_identifier_refuses_blanks_and_other_lengths(value: Any) -> None:
    assert error(SKU, value) is not None


@pytest.mark.parametrize(
    "text", ["Mug", " Mug", "\tMug\n", "A\u200dB", "'", "\x01", "日本", "\u202eA"]
)
def test_name_with_a_visible_character_is_stored_as_sent(text: str) -> None:
    assert Name(max_length=20).deserialize(text) == text
    assert documented(Name(max_length=20), text)


@pytest.mark.parametrize(
    "text",
    [
        " ", "\t", "\n", " \r\n ", "\xa0", "\u2003", "\u3000", "\u200b", "\ufeff", "\xad",
        "\u2060 ", "\u3164",
    ],
)  # fmt: skip
def test_name_of_blanks_is_refused(text: str) -> None:
    assert error(Name(max_length=20), text) == "Must contain a visible character."
    assert not documented(Name(max_length=20), text)
    assert error(Name(max_length=20), "") is not None


@pytest.mark.parametrize("text", ["\U000e0041", "\U000e0100", " \U0001d173", "\ufff0\u200b"])
def test_name_without_a_glyph_is_refused_beyond_the_pattern(text: str) -> None:
    assert error(Name(max_length=20), text) == "Must contain a visible character."
    assert Name(max_length=20).deserialize(f"{text}🫖") == f"{text}🫖"
