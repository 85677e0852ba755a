"""The signal `changes_committing`."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Table

from app.audit.models import AuditEvent
from app.auth.email_tokens import EmailToken
from app.core.database.types import now
from app.core.resources.audit_log import Change, TableRows, changes_committing
from tests import rows
from tests.api import Api, Caller

Receiver = Callable[[tuple[Change, ...]], TableRows | None]


TOKENS: Table = EmailToken.__table__  # type: ignore[assignment]


def returns_nothing(changes: tuple[Change, ...]) -> None:
    return None


def returns_no_rows(changes: tuple[Change, ...]) -> TableRows:
    return TOKENS, ()


@pytest.fixture
def connect() -> Iterator[Callable[[Receiver], None]]:
    connected: list[Receiver] = []

    def connect(receiver: Receiver) -> None:
        changes_committing.connect(receiver)
        connected.append(receiver)

    yield connect
    for receiver in connected:
        changes_committing.disconnect(receiver)


def write_each_way(api: Api, user: Caller) -> None:
    path = api.post("errands", {"title": "a"}, by=user, status=201).headers["Location"]
    api.patch(path, {"title": "b"}, by=user, status=200)
    api.patch(
        path, {"done": True}, by=user, status=200
    )  # completed_at is an SQL expression: written in a transaction
    api.delete(path, by=user, status=204)
    api.post("errands/batch", {"items": [{"op": "create", "value": {"title": "c"}}]}, by=user)


@pytest.mark.parametrize("receiver", [returns_nothing, returns_no_rows])
def test_receiver_without_rows_does_not_affect_writes_and_other_receivers(
    app: Flask, api: Api, user: Caller, connect: Any, receiver: Receiver
) -> None:
    connect(receiver)
    write_each_way(api, user)
    actions = rows.read(app, AuditEvent.action, resource="errands")
    assert sorted(actions) == ["create", "create", "delete", "update", "update"]
    assert rows.count(app, EmailToken) == 0


def test_rows_of_each_receiver_are_committed_with_the_change(
    app: Flask, api: Api, user: Caller, connect: Any
) -> None:
    made = iter(range(100))

    def returns_two_rows(changes: tuple[Change, ...]) -> TableRows:
        token = {"purpose": "reset", "user_id": user.id, "expires_at": now()}
        names = [column.name for column in TOKENS.c]
        two = [{"hash": bytes([next(made)]), **token} for _ in changes for _ in range(2)]
        return TOKENS, [{name: row[name] for name in names} for row in two]

    connect(returns_two_rows)
    write_each_way(api, user)
    assert rows.count(app, AuditEvent, resource="errands") == 5
    assert rows.count(app, EmailToken) == 10
