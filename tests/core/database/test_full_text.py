"""Full text search has the same results on SQLite and PostgreSQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from app.core.database import full_text
from tests.api import Api, Caller
from tests.conftest import on_sqlite, server_url

DOCUMENTS = [
    "", "Blue kettle", "kettle", "Äpfel und Birnen", "äpfel", "Kettle, blue; it's 12.5 litres",
    "ada@example.com", "Blue-green kettle", "foo_bar baz", "example.com for more", "Straße",
    "version 1.2.3", "file.txt", "end.Next", "-5 °C", "+49 89 1234", "Käse 日本 語", "10% off",
    "A&B", "blue or red", "12″ pipe", "C++ code", "well-known thing", "O'Neil", "2026-11-28",
    "1e10", "price:12.50 EUR", "ΣΑΣ σας", "ЁЛКА", "red blue kettle blue",
    "İstanbul",
]  # fmt: skip
QUERIES = [
    "äpfel", "ÄPFEL", "Birnen äpfel", "kettle blue", "blue kettle", '"blue kettle"', "blue -kettle",
    '"kettle blue"', "-blue", "blue or äpfel", "or", "or blue", "blue or", "kettle OR red foo",
    "example.com", "ada", "ada@example.com", "example", "blue-green", "green", "foo_bar", "foo",
    "12.5", "12", "5", "-5", "it's", "s", "neil", "'", "%", "", "  ", '"', '"blue', "a", "b",
    "next", "1.2.3", "well-known", "well", "C++", "c", "a&b", "11", "2026-11-28", "28", "price",
    "straße", "STRASSE", "日本", "-kettle blue", '-"blue kettle" kettle', "+49", "49", "1234", "x",
    "σας", "ёлка", "blue & kettle", "blue | red", "kett", "kett*", "!blue", "blue blue",
    "istanbul", "İSTANBUL",
]  # fmt: skip


@pytest.fixture
def postgresql(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """A database whose locale knows the case of all letters, as in production."""
    server = server_url(request, "postgresql")
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_CTYPE 'C.UTF-8'"
            " LC_COLLATE 'C'"
        )
        with psycopg.connect(f"{server.rpartition('/')[0]}/{name}") as database:
            yield database
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_search_has_the_same_results_on_both_databases(postgresql: psycopg.Connection) -> None:
    expected = postgresql.execute(
        "SELECT query, document FROM unnest(%s::text[]) AS query, unnest(%s::text[]) AS document"
        " WHERE to_tsvector('simple'::regconfig, document)"
        " @@ websearch_to_tsquery('simple'::regconfig, query)",
        [QUERIES, DOCUMENTS],
    ).fetchall()
    with closing(sqlite3.connect(":memory:")) as sqlite:
        full_text.add_function(sqlite)
        found = [
            (query, document)
            for query in QUERIES
            for document in DOCUMENTS
            if sqlite.execute("SELECT matches_words(?, ?)", [document, query]).fetchone()[0]
        ]
    assert sorted(found) == sorted(expected)


def test_search_index_quotes_names_that_sql_reserves() -> None:
    (vector,) = full_text.search_index("ix_lines_search", "order", "name").expressions
    assert "coalesce(\"order\", '') || ' ' || coalesce(name, '')" in str(vector)


def test_search_condition_is_compiled_for_both_databases() -> None:
    condition = full_text.matches(text(":q"), text("name"))
    assert "matches_words(coalesce(name, ''), :q)" in str(condition)


@on_sqlite
@pytest.mark.parametrize("q", ["äpfel", "ÄPFEL", "birnen äpfel", '"Äpfel und"', "quitten or äpfel"])
def test_search_finds_words_without_case_in_any_order(api: Api, editor: Caller, q: str) -> None:
    article = {"sku": "A", "name": "Äpfel", "description": "und Birnen", "category": "obst"}
    api.post("articles", {**article, "price": "1", "currency": "EUR"}, by=editor, status=201)
    found = api.get(f"articles?q={quote(q)}", status=200).json["items"]
    assert [each["name"] for each in found] == ["Äpfel"]
    assert api.get("articles?q=apfel", status=200).json["items"] == []


@pytest.mark.parametrize("q", ["kettle blue", "BLUE", "tin -red", "red or blue"])
def test_search_finds_all_words_on_both_databases(api: Api, editor: Caller, q: str) -> None:
    article = {"sku": "A", "name": "Blue kettle", "description": "Tin.", "category": "kitchen"}
    api.post("articles", {**article, "price": "1", "currency": "EUR"}, by=editor, status=201)
    found = api.get(f"articles?q={quote(q)}", status=200).json["items"]
    assert [each["name"] for each in found] == ["Blue kettle"]
    assert api.get("articles?q=kett", status=200).json["items"] == []
