"""Which tests count for coverage, and which are slow on SQLite."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from coverage import Coverage

# Parts with code of their own for SQLite.
COUNTED = ("tests/core/database/", "tests/core/files/", "tests/core/resources/")
GENERATED = "tests/contract/"
_is_counted = pytest.StashKey[bool]()


def mark(items: list[pytest.Item]) -> None:
    """Mark tests on SQLite that run on PostgreSQL as well, and the generated tests.

    Neither count for coverage: tracing takes a third of the CPU of a test. Repeated tests of what
    does not depend on the database are slow.
    """
    names = {item.nodeid for item in items}
    for item in items:
        name = item.nodeid
        other = name.replace("[sqlite", "[postgresql", 1)
        is_repeated = other != name and other in names
        is_generated = name.startswith(GENERATED)
        item.stash[_is_counted] = not is_generated and (not is_repeated or name.startswith(COUNTED))
        if is_repeated and item.get_closest_marker("database_independent"):
            item.add_marker(pytest.mark.slow)


@contextmanager
def not_counted() -> Iterator[None]:
    """Count no lines of this block for coverage."""
    measured = Coverage.current()
    if measured is None:
        yield
        return
    measured.stop()
    try:
        yield
    finally:
        measured.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count no lines of such a test and its fixtures; `no_cover` would count the fixtures."""
    if item.stash[_is_counted]:
        return (yield)
    with not_counted():
        return (yield)
