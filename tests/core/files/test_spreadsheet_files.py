"""Files as spreadsheets and data frames write them, read as records of articles."""

import codecs
import io
from typing import Any

import pytest

from app.core.files.record_lines import Record
from app.core.files.record_reader import count_lines, read_records
from app.core.files.uploads import UploadError
from tests.articles.schemas import ArticleSchema

SCHEMA = ArticleSchema()
HEADER = "sku,name,description,category,price,currency,stock,is_active"
LINE = "A-1,Blå mugg 🫖,,kitchen,12.50,EUR,3,true"
MEMBERS = {
    "sku": "A-1",
    "name": "Blå mugg 🫖",
    "description": None,
    "category": "kitchen",
    "price": "12.5",
    "currency": "EUR",
    "stock": 3,
    "is_active": True,
}


def read(file: bytes | str, media_type: str = "text/csv") -> list[Record]:
    data = file.encode() if isinstance(file, str) else file
    records = read_records(io.BytesIO(data), media_type, SCHEMA)
    return [record for record in records if record.members is not None or record.error]


def members(*lines: str, header: str = HEADER) -> list[dict[str, Any] | None]:
    return [record.members for record in read("\n".join((header, *lines)))]


FILE = f"{HEADER}\r\n{LINE}\r\n"
QUOTED = "\r\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in (HEADER, LINE))


@pytest.mark.parametrize(
    "file",
    [
        FILE.encode(),
        codecs.BOM_UTF8 + FILE.encode(),
        codecs.BOM_UTF8 + QUOTED.encode(),
        codecs.BOM_UTF16_LE + FILE.replace(",", "\t").encode("utf-16-le"),  # Excel: Unicode text
        codecs.BOM_UTF16_BE + FILE.encode("utf-16-be"),
        FILE.encode("utf-16-le"),
        FILE.encode("utf-16-be"),
        FILE.replace(",", ";").replace("12.50", "12,50").encode(),
        QUOTED.replace(",", ";").encode(),
        FILE.replace(",", "\t").encode(),
        f"sep=;\r\n{FILE}".replace(",", ";").encode(),
        f'"sep=\t"\r\n{FILE}'.replace(",", "\t").encode(),
        codecs.BOM_UTF8 + f"SEP=,\n{FILE}".encode(),
        codecs.BOM_UTF16_LE + f"sep=;\r\n{FILE}".replace(",", ";").encode("utf-16-le"),
        FILE.replace("\r\n", "\n").encode(),
        FILE.replace("\r\n", "\r").encode(),
        FILE.replace("\r\n", "\r\r\n").encode(),
        FILE.removesuffix("\r\n").encode(),
        FILE.replace("true", "TRUE").encode(),
        FILE.replace("true", "True").encode(),
        FILE.replace("12.50", "12.5").replace(",3,", ",3.0,").encode(),
        FILE.replace("12.50", " 12.500 ").replace(",3,", ", 3 ,").encode(),
        FILE.replace("EUR", " EUR\N{NO-BREAK SPACE}").replace(",true", ", TRUE ").encode(),
        FILE.replace("\r\n", ",,\r\n").encode(),
        f"{FILE},,,,,,,\r\n\r\n,\r\n".encode(),
        f"{FILE} ,,\N{NO-BREAK SPACE},,,,,\r\n  \r\n\t\r\n".encode(),
        FILE.replace("true", "true, ,").encode(),
        f",{HEADER}\n0,{LINE}\n".encode(),  # pandas writes the numbers of the rows
        f" {HEADER.replace(',', ' , ')} \n{LINE}\n".encode(),
        f",,,\r\n\r\n{FILE}".encode(),  # a sheet whose first rows are empty
        f'sep=;\n"";""\n \n{FILE}'.replace(",", ";").encode(),
        FILE.replace("12.50", '"12,50"').encode(),  # Google, in a language with decimal commas
        FILE.replace(",", "\t").replace("12.50", "12,5").replace("3\t", "3,0\t").encode("utf-16"),
    ],
)  # fmt: skip
def test_file_of_a_spreadsheet_is_the_same_record(file: bytes) -> None:
    [record] = read(file)
    assert (record.error, record.members) == ("", MEMBERS)


def test_cell_of_blanks_is_empty_unless_its_column_is_text() -> None:
    [record] = members("A, , ,", header="sku,stock,name,is_active")
    assert record == {"sku": "A", "name": " "}


def test_cells_that_are_missing_at_the_end_of_a_line_are_empty() -> None:
    header = "sku,name,description"
    assert members("A,B", header=header) == [{"sku": "A", "name": "B", "description": None}]
    assert members("A", header=header) == [{"sku": "A", "description": None}]


@pytest.mark.parametrize("text", ["two\nlines", "two\r\nlines", "a\rb", 'say "=1"', "a;b,c\td"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_quoted_cell_keeps_line_breaks_and_separators(
    text: str, line_end: str, separator: str
) -> None:
    cell = '"' + text.replace('"', '""') + '"'
    lines = (separator.join(("sku", "name")), separator.join(("A", cell)), f"B{separator}C")
    records = read(line_end.join(lines))
    assert [record.members for record in records] == [
        {"sku": "A", "name": text},
        {"sku": "B", "name": "C"},
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_characters_across_the_parts_of_a_large_file_are_kept(encoding: str) -> None:
    lines = [f"A{number},Tölz 🫖 {number}" for number in range(40_000)]
    data = "\r\n".join(("sku,name", *lines)).encode(encoding)
    records = read(data)
    assert [f"{r.members['sku']},{r.members['name']}" for r in records if r.members] == lines
    assert count_lines(io.BytesIO(data)) == 40_000


@pytest.mark.parametrize("yen", ["700", "700.0", "700.00"])
def test_amount_with_zeros_of_a_float_is_the_amount(yen: str) -> None:
    [record] = members(f"{yen},JPY", header="price,currency")
    assert record == {"price": "700", "currency": "JPY"}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1,500", "1,500"), ("1,50,000", "1,50,000"), (",50", ",50"), ("1.", "1."),
        ("1.05", "1.05"), ("10", "10"), ("0.0", "0"), (".0", ""),
        ("1,234.50", "1,234.5"),
    ],
)  # fmt: skip
def test_amount_that_is_no_decimal_string_is_left_to_the_field(cell: str, value: str) -> None:
    assert members(f"A\t{cell}", header="sku\tprice") == [{"sku": "A", "price": value}]


@pytest.mark.parametrize("cell", ["WAHR", "vrai", "1", "yes", "t"])
def test_other_words_are_no_booleans(cell: str) -> None:
    assert members(f"A,{cell}", header="sku,is_active") == [{"sku": "A", "is_active": cell}]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("A,B,,C", "The line has a value in column 4, which has no name."),
        ("A,B,,,C", "The line has 5 cells; the first line names 4 columns."),
        ("Käse".encode("cp1252"), "is not UTF-8. Save the file as UTF-8"),
    ],
)
def test_line_with_an_error_says_what_is_wrong(line: str | bytes, error: str) -> None:
    data = line.encode() if isinstance(line, str) else line
    [record] = read(b"sku,name,description,\r\n" + data + b"\r\n")
    assert error in record.error


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"PK\x03\x04rest", "document of a spreadsheet program, not text. Export it as CSV."),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "document of a spreadsheet program"),
        (b"\x1f\x8b\x08rest", "Content-Encoding: gzip"),
        ("sku,name".encode("utf-32"), "UTF-32"),
        ("sku,größe".encode("cp1252"), "is not UTF-8. Save the file as UTF-8"),
        (b"sku|name\nA|B\n", "separated by commas, semicolons or tabs"),
        (b"sku," + b"x" * 1000, "not known"),
        (b",,\n" * 101 + b"sku,name\n", "does not name the columns"),
        (b"sep=;\n", "does not name the columns"),
        (b"", "does not name the columns"),
        (b"sku,name,sku\n", "more than once"),
    ],
)
def test_file_that_cannot_be_read_is_refused_with_a_sentence(file: bytes, reason: str) -> None:
    with pytest.raises(UploadError) as refused:
        read(file)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_ndjson_is_read_in_the_encodings_of_programs(encoding: str, line_end: str) -> None:
    data = f'{{"sku": "Ä"}}{line_end}{line_end}{{"sku": "B"}}'.encode(encoding)
    records = read(data, "application/x-ndjson")
    assert [(record.line, record.members) for record in records] == [
        (1, {"sku": "Ä"}),
        (3, {"sku": "B"}),
    ]
