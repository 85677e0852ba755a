"""The columns that every resource shares."""

import itertools
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import RFC_4122

import pytest
from flask import Flask

from app.core.database.ids import uuid7
from app.products.models import Product
from app.tasks.models import Task
from app.users.models import User
from tests import rows


class TestAnId:
    def test_is_a_uuid_of_version_7(self) -> None:
        assert (uuid7().version, uuid7().variant) == (7, RFC_4122)

    def test_begins_with_the_milliseconds_of_its_making(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: 1_645_557_742_000_999_999)

        assert uuid7().hex[:12] == "017f22e279b0"  # RFC 9562 appendix A.6

    def test_comes_after_those_made_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        microseconds = itertools.count(1_645_557_742_000_000_000, 1000)
        monkeypatch.setattr(time, "time_ns", lambda: next(microseconds))
        ids = [uuid7() for _ in range(3000)]  # over the seam between milliseconds

        assert ids == sorted(ids)

    def test_is_another_one_even_in_the_same_instant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: 1_645_557_742_000_000_000)

        assert len({uuid7() for _ in range(10_000)}) == 10_000


class TestAStoredInstant:
    def test_comes_back_aware_and_in_utc(self, app: Flask) -> None:
        plus_two = timezone(timedelta(hours=2))
        owner = rows.add(app, User, email="ada@example.com", name="Ada", password_hash="x")
        given = datetime(2030, 1, 1, 1, 30, 0, 123456, plus_two)
        task = rows.add(app, Task, owner_id=owner, title="Tea", due_at=given)

        [kept] = rows.read(app, Task.due_at, id=task)
        assert kept == given
        assert kept.astimezone(UTC).replace(tzinfo=None) == kept.replace(tzinfo=None)

    def test_of_the_last_change_begins_as_that_of_the_making(self, app: Flask) -> None:
        user = rows.add(app, User, email="ada@example.com", name="Ada", password_hash="x")

        assert rows.read(app, User.updated_at, id=user) == rows.read(app, User.created_at, id=user)


class TestStoredMoney:
    @pytest.mark.parametrize(
        "amount", ["0", "0.0001", "0.1", "0.3", "4.35", "1.005", "99999999999.9999", "12345.6789"]
    )
    def test_comes_back_exactly(self, app: Flask, amount: str) -> None:
        product = {"sku": "S", "name": "Mug", "category": "all", "currency": "CLF"}
        row = rows.add(app, Product, price=Decimal(amount), **product)

        assert rows.read(app, Product.price, id=row) == [Decimal(amount)]
