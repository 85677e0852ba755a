"""Column types."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from flask import Flask

from app.users.models import User
from tests import rows
from tests.articles.models import Article
from tests.errands.models import Errand


def test_datetime_is_read_in_utc(app: Flask) -> None:
    plus_two = timezone(timedelta(hours=2))
    owner = rows.add(app, User, email="ada@example.com", name="Ada", password_hash="x")
    given = datetime(2030, 1, 1, 1, 30, 0, 123456, plus_two)
    errand = rows.add(app, Errand, owner_id=owner, title="Tea", due_at=given)
    [kept] = rows.read(app, Errand.due_at, id=errand)
    assert kept == given
    assert kept.astimezone(UTC).replace(tzinfo=None) == kept.replace(tzinfo=None)


@pytest.mark.parametrize(
    "amount", ["0", "0.0001", "0.1", "0.3", "4.35", "1.005", "99999999999.9999", "12345.6789"]
)
def test_money_amount_is_stored_exactly(app: Flask, amount: str) -> None:
    article = {"sku": "S", "name": "Mug", "category": "all", "currency": "CLF"}
    row = rows.add(app, Article, price=Decimal(amount), **article)
    assert rows.read(app, Article.price, id=row) == [Decimal(amount)]
