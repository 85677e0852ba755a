"""Bulk inserts."""

from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy.exc import DataError, IntegrityError

from app.core.database import bulk
from app.extensions import db
from tests import rows
from tests.conftest import on_postgresql
from tests.errands.models import Errand


def errand(errand_id: UUID, **values: object) -> dict[str, object]:
    defaults = {column.name: None for column in Errand.__table__.c}
    return defaults | {"id": errand_id, **values}


@pytest.mark.parametrize("count", [2, bulk.COPY_THRESHOLD])
def test_violated_constraint_of_a_bulk_insert_is_an_integrity_error(app: Flask, count: int) -> None:
    incomplete = (errand(uuid4()) for _ in range(count))
    with app.app_context():
        with pytest.raises(IntegrityError):
            bulk.insert_rows(Errand.__table__, incomplete)
        db.session.rollback()
    assert rows.count(app, Errand) == 0


@on_postgresql
def test_value_out_of_range_in_a_copy_is_a_data_error(app: Flask) -> None:
    broken = (errand(uuid4(), version="secret") for _ in range(bulk.COPY_THRESHOLD))
    with app.app_context():
        with pytest.raises(DataError):
            bulk.insert_rows(Errand.__table__, broken)
        db.session.rollback()
