"""UUIDs of version 7 (RFC 9562)."""

import itertools
import time
from uuid import RFC_4122

import pytest

from app.core.database.ids import uuid7


def test_id_is_a_uuid_of_version_7() -> None:
    assert (uuid7().version, uuid7().variant) == (7, RFC_4122)


def test_id_begins_with_its_time_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_645_557_742_000_999_999)
    assert uuid7().hex[:12] == "017f22e279b0"  # RFC 9562 appendix A.6


def test_ids_are_ordered_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    microseconds = itertools.count(1_645_557_742_000_000_000, 1000)
    monkeypatch.setattr(time, "time_ns", lambda: next(microseconds))
    ids = [uuid7() for _ in range(3000)]  # in several milliseconds
    assert ids == sorted(ids)


def test_ids_of_one_instant_are_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_645_557_742_000_000_000)
    assert len({uuid7() for _ in range(10_000)}) == 10_000
