"""Tests whose lines are not counted for coverage: tracing takes a third of the CPU of a test."""

import pytest

# Parts with code of their own for SQLite.
TRACED = ("tests/core/database/", "tests/core/files/", "tests/core/resources/")
GENERATED = "tests/contract/"


def mark_untraced(items: list[pytest.Item]) -> None:
    """Mark the generated tests, and those on SQLite that run on PostgreSQL as well."""
    names = {item.nodeid for item in items}
    for item in items:
        other = item.nodeid.replace("[sqlite", "[postgresql", 1)
        repeated = other != item.nodeid and other in names and not item.nodeid.startswith(TRACED)
        if repeated or item.nodeid.startswith(GENERATED):
            item.add_marker(pytest.mark.no_cover)
