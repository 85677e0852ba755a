"""Full text search: PostgreSQL's own, and a plain substring on SQLite."""

from typing import Any

from sqlalchemy import Boolean, Index, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class matches(FunctionElement[bool]):  # noqa: N801 - reads as a condition
    """`matches(words, column, ...)`: whether the columns together contain the words."""

    type = Boolean()
    inherit_cache = True


def search_index(name: str, *columns: str) -> Index:
    """Return the GIN index that `matches` over these columns uses; it exists on PostgreSQL only.

    Its `info` is for `migrations/env.py`, which otherwise would miss the index on SQLite.
    """
    info = {"dialect": "postgresql"}
    index = Index(name, text(_vector(columns)), postgresql_using="gin", info=info)
    return index.ddl_if(dialect="postgresql")


def _vector(columns: Any) -> str:
    joined = " || ' ' || ".join(f"coalesce({column}, '')" for column in columns)
    return f"to_tsvector('simple'::regconfig, {joined})"


@compiles(matches, "postgresql")
def _full_text(element: matches, compiler: SQLCompiler, **kwargs: Any) -> str:
    words, *columns = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"{_vector(columns)} @@ websearch_to_tsquery('simple'::regconfig, {words})"


@compiles(matches)
def _substring(element: matches, compiler: SQLCompiler, **kwargs: Any) -> str:
    words, *columns = (compiler.process(clause, **kwargs) for clause in element.clauses)
    joined = " || ' ' || ".join(f"coalesce({column}, '')" for column in columns)
    return f"instr(lower({joined}), lower({words})) > 0"
