"""Full text search: PostgreSQL's own, and a function with the same rules on SQLite.

`websearch_to_tsquery` defines the syntax: all words, `"a phrase"`, `or`, and `-` for exclusion.
"""

import re
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Boolean, Dialect, Index, column, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
Words = tuple[str, ...]  # a phrase: words that follow each other


class matches(FunctionElement[bool]):  # noqa: N801 - reads as a condition
    """`matches(words, column, ...)`: whether the columns together contain the words."""

    type = Boolean()
    inherit_cache = True


def search_index(name: str, *columns: str) -> Index:
    """Return the GIN index that `matches` over these columns uses; it exists on PostgreSQL only.

    Its `info` is for `migrations/env.py`, which otherwise would miss the index on SQLite.
    """
    info = {"dialect": "postgresql"}
    vector = _vector([str(column(each).compile(dialect=_POSTGRESQL)) for each in columns])
    index = Index(name, text(vector), postgresql_using="gin", info=info)
    return index.ddl_if(dialect="postgresql")


def _joined(columns: Sequence[str]) -> str:
    return " || ' ' || ".join(f"coalesce({column}, '')" for column in columns)


def _vector(columns: Sequence[str]) -> str:
    return f"to_tsvector('simple'::regconfig, {_joined(columns)})"


@compiles(matches, "postgresql")
def _full_text(element: matches, compiler: SQLCompiler, **kwargs: Any) -> str:
    words, *columns = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"{_vector(columns)} @@ websearch_to_tsquery('simple'::regconfig, {words})"


@compiles(matches)
def _function(element: matches, compiler: SQLCompiler, **kwargs: Any) -> str:
    words, *columns = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"matches_words({_joined(columns)}, {words})"


def add_function(connection: sqlite3.Connection) -> None:
    """Add the function that `matches` calls to a connection of SQLite."""
    # SQLite's own `lower` knows ASCII only, and FTS5 has another syntax and needs a second table.
    connection.create_function("matches_words", 2, _matches_words, deterministic=True)


def _matches_words(document: str, query: str) -> bool:
    words = _split(document)
    return any(
        all(_contains(words, phrase) != excluded for phrase, excluded in alternative)
        for alternative in _parse(query)
    )


def _contains(words: Words, phrase: Words) -> bool:
    length = len(phrase)
    return any(words[at : at + length] == phrase for at in range(len(words) - length + 1))


@lru_cache(maxsize=64)  # a query is compared with every row
def _parse(query: str) -> list[list[tuple[Words, bool]]]:
    """The alternatives of a query: phrases that must occur or, if True, must not."""
    alternatives: list[list[tuple[Words, bool]]] = [[]]
    parts = re.findall(r'(-?)(?:"([^"]*)"?|([^\s"]+))', query)
    for number, (minus, quoted, plain) in enumerate(parts, 1):
        is_between = bool(alternatives[-1]) and number < len(parts)
        if plain.lower() == "or" and not minus and is_between:
            alternatives.append([])
        elif phrase := _split(quoted or plain):
            alternatives[-1].append((phrase, bool(minus)))
    return [alternative for alternative in alternatives if alternative]


# As PostgreSQL's parser: an e-mail address, a host name and a number with its sign and decimals are
# one word each.
_WORD = re.compile(
    r"[^\W_]+(?:[.-][^\W_]+)*@[^\W_]+(?:[.-][^\W_]+)+"
    r"|(?<![^\W\d_])[+-][0-9]+(?:\.[0-9]+)?(?![^\W_])"
    r"|[^\W_]+(?:\.[^\W_]+)*"
)


def _split(document: str) -> Words:
    # The lower case of this letter has a dot of its own, which separates words.
    return tuple(_WORD.findall(document.replace("İ", "i").lower()))
