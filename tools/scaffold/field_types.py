"""The types of fields on the command line, and how each is written in the files of a feature."""

from typing import NamedTuple


class FieldType(NamedTuple):
    """How a field of the command line is written in each file of a feature."""

    annotation: str
    column: str  # of the model
    field: str  # of the schema, without `required` and the example
    stored: str  # column of the migration
    example: str  # Python literal of a valid value
    optional: bool = False  # whether it may be null, and absent


FIELD_TYPES: dict[str, FieldType] = {
    "string": FieldType(
        "str", "CodepointText", "String(min_length=1, max_length=200, {})",
        'sa.Text(collation="C" if postgresql else None)', '"Example 1"',
    ),
    "text": FieldType(
        "str", "Text", "String(min_length=1, max_length=10_000, {})", "sa.Text()", '"Some text"'
    ),
    "email": FieldType("str", "Text", "Email({})", "sa.Text()", '"ada1@example.com"'),
    "integer": FieldType("int", "BigInteger", "Integer(min=0, max=2**53, {})",
                         "sa.BigInteger()", "3"),
    "boolean": FieldType("bool", "Boolean", "Boolean({})", "sa.Boolean()", "True"),
    "datetime": FieldType("datetime", "Timestamp", "DateTime({})",
                          "sa.DateTime(timezone=True)", '"2030-01-31T12:00:00Z"'),
    "date": FieldType("date", "Date", "Date({})", "sa.Date()", '"2030-01-31"'),
    "uuid": FieldType("UUID", "Uuid", "UUID({})", "sa.Uuid()",
                      '"019b7e5a-0000-7000-8000-000000000000"'),
    "money": FieldType(
        "Decimal", "Money", "MoneyAmount({})",
        "sa.Numeric(15, 4) if postgresql else sa.Float()", '"12.50"',
    ),
}  # fmt: skip
TEXTS = ("string", "text")  # types in which `q` searches
