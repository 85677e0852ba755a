"""Fields of schemas: what each accepts, and what it loads."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import marshmallow as ma
import pytest

from app.core.schemas.fields import (
    UUID,
    Boolean,
    Date,
    DateTime,
    Email,
    Enum,
    Integer,
    String,
)

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("value", ["", "x", "ab\tc\n", "🔑" * 5, "\u202e", "x" * 5])
def test_string_up_to_max_length_is_accepted(value: str) -> None:
    assert String(max_length=5).deserialize(value) == value


@pytest.mark.parametrize("value", ["x" * 6, "🔑" * 6, "a\0b", "\0", 7, True, b"x", ["x"], None])
def test_string_refuses_longer_text_nul_and_other_types(value: Any) -> None:
    with pytest.raises(ma.ValidationError):
        String(max_length=5).deserialize(value)


def test_string_below_min_length_is_refused() -> None:
    with pytest.raises(ma.ValidationError, match="between 1 and 5"):
        String(min_length=1, max_length=5).deserialize("")


def test_enum_accepts_its_choices_only() -> None:
    colour = Enum(["red", "green"])
    assert colour.deserialize("red") == "red"
    for other in ("RED", "blue", "", "red ", 0, None, ["red"]):
        with pytest.raises(ma.ValidationError):
            colour.deserialize(other)


INTEGER = Integer(min=-5, max=5)


@pytest.mark.parametrize(("value", "taken"), [(0, 0), (5, 5), (-5, -5), (3.0, 3), (-0.0, 0)])
def test_integer_loads_numbers_without_fraction_as_int(value: float, taken: int) -> None:
    loaded = INTEGER.deserialize(value)
    assert (loaded, type(loaded)) == (taken, int)


@pytest.mark.parametrize(
    "value", [6, -6, 1.5, 10**40, 1e300, True, False, "1", "", None, [1], NAN, INFINITY]
)
def test_integer_refuses_other_numbers_and_types(value: Any) -> None:
    with pytest.raises(ma.ValidationError):
        INTEGER.deserialize(value)


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("-1", -1), ("007", 7), ("0", 0)])
def test_integer_query_value_of_digits_is_parsed(text: str, value: int) -> None:
    assert INTEGER.parse_query_value(text) == value


@pytest.mark.parametrize(
    "text", ["1_0", " 1", "1 ", "1\n", "+1", "--1", "1.0", "1e3", "0x1", "\u0661", "", "9" * 19]
)
def test_integer_query_value_of_other_text_is_returned_unchanged(text: str) -> None:
    assert INTEGER.parse_query_value(text) == text


BOOLEAN = Boolean()


@pytest.mark.parametrize("value", [True, False])
def test_boolean_accepts_true_and_false(value: bool) -> None:
    assert BOOLEAN.deserialize(value) is value


@pytest.mark.parametrize("value", [0, 1, "true", "false", "yes", "", None, [], 1.0])
def test_boolean_refuses_truthy_and_falsy_values(value: Any) -> None:
    with pytest.raises(ma.ValidationError):
        BOOLEAN.deserialize(value)


@pytest.mark.parametrize("text", ["1", "0", "True", "FALSE", "yes", "on", ""])
def test_boolean_query_value_is_true_or_false_only(text: str) -> None:
    assert (BOOLEAN.parse_query_value("true"), BOOLEAN.parse_query_value("false")) == (
        True,
        False,
    )
    assert BOOLEAN.parse_query_value(text) == text


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "2030-01-02T03:04:05Z"),
        (datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2030-01-02T03:04:05.000006Z"),
        (
            datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
            "2030-01-02T01:04:05Z",
        ),
        (None, None),
    ],
)
def test_datetime_is_dumped_in_utc_with_z(instant: datetime | None, text: str | None) -> None:
    assert DateTime().serialize("at", {"at": instant}) == text


def test_datetime_is_loaded_in_utc() -> None:
    taken = DateTime().deserialize("2030-01-02T03:04:05+02:00")
    assert taken.isoformat() == "2030-01-02T01:04:05+00:00"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada+tag.x_y@mail.example.co.uk", "ada+tag.x_y@mail.example.co.uk"),
        ("o'hara@example.com", "o'hara@example.com"),
        ("ÄDA@example.com", "äda@example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_email_is_loaded_in_lower_case(given: str, kept: str) -> None:
    assert Email().deserialize(given) == kept


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jos\u00e9@example.com", "jose\u0301@example.com"),
        ("JOS\u00c9@example.com", "jose\u0301@EXAMPLE.com"),
        ("ada@b\u00fccher.example", "ada@B\u00dcCHER.example"),
        ("ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ADA@XN--BCHER-KVA.example"),
        ("ada@example\u3002com", "ada@example.com"),
        ("\uac00@example.com", "\u1100\u1161@example.com"),
    ],
)
def test_spellings_of_one_email_address_load_to_one(one: str, other: str) -> None:
    assert Email().deserialize(one) == Email().deserialize(other)


@pytest.mark.parametrize(
    "text",
    [
        "\u0130" * 50 + "@example.com",  # its lower case is twice as long
        "\u0130" * 33 + "@example.com",
        "a@" + "\u00fc" * 60 + ".example",  # its ASCII form is longer than a label may be
        "a@" + ".".join(["\u00fc" * 20] * 10) + ".de",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".de",
        "a\u200b@example.com",
        "a@exam\u200bple.com",
        "\u0301a@example.com",
        "a\u202e@example.com",
        "a@@example.com",
        "a@localhost",
        "a@example..com",
        "a@-example.com",
        "a@[127.0.0.1]",
        '"a b"@example.com',
        "a\ud800@example.com",
        "@",
        "a" * 100_000 + "@example.com",
    ],
)
def test_text_that_is_no_email_address_is_refused(text: str) -> None:
    with pytest.raises(ma.ValidationError, match="Not an e-mail address: "):
        Email().deserialize(text)


def test_loaded_email_address_meets_its_own_schema_and_loads_to_itself() -> None:
    changing = [c for c in map(chr, range(0x11_0000)) if c.lower() != c]
    texts = [f"{c * 30}@example.com" for c in changing] + [f"a@{c}.example" for c in changing]
    kept = 0
    for text in texts:
        try:
            loaded = Email().deserialize(text)
        except ma.ValidationError:
            continue
        kept += 1
        assert Email().deserialize(loaded) == loaded
        assert re.fullmatch(Email.PATTERN, loaded)
        assert loaded.index("@") <= 64
    assert kept > len(changing)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (Date(), "20300131"),
        (Date(), "2030-W05-4"),
        (Date(), "2030-1-31"),
        (Date(), "2030-02-30"),
        (Date(), "0000-01-01"),
        (Date(), 20300131),
        (UUID(), "{019b7e5a-0000-7000-8000-000000000000}"),
        (UUID(), "urn:uuid:019b7e5a-0000-7000-8000-000000000000"),
        (UUID(), "019b7e5a000070008000000000000000"),
        (UUID(), "0" * 36),
        (UUID(), 7),
    ],
)
def test_other_spelling_of_a_date_or_uuid_is_refused(
    field: ma.fields.Field[Any], text: Any
) -> None:
    with pytest.raises(ma.ValidationError):
        field.deserialize(text)


@pytest.mark.parametrize("text", ["31.01.2030", "2030-02-30"])
def test_error_of_a_date_says_which_form_is_expected(text: str) -> None:
    with pytest.raises(ma.ValidationError, match=r'^Not an ISO 8601 date such as "2026-11-29"\.$'):
        Date().deserialize(text)


def test_date_and_uuid_load_as_python_values() -> None:
    assert Date().deserialize("2030-01-31") == date(2030, 1, 31)
    text = "019b7e5a-0000-7000-8000-000000000000"
    assert str(UUID().deserialize(text.upper())) == text
