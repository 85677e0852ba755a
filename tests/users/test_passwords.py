"""Password hashes."""

import itertools
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from flask import Flask

from app.users import passwords
from app.users.models import User
from tests import rows
from tests.api import PASSWORD, Api
from tests.auth.login import log_in
from tests.conftest import on_sqlite
from tests.users.test_password_policy import EMAIL, register


@pytest.mark.usefixtures("shipped_hasher")
def test_password_is_stored_as_argon2id_with_owasp_parameters(api: Api, app: Flask) -> None:
    register(api, PASSWORD, status=201)
    [stored] = rows.read(app, User.password_hash)
    assert stored.startswith("$argon2id$")
    kept = extract_parameters(stored)
    assert (kept.memory_cost, kept.time_cost, kept.parallelism) == (19 * 1024, 2, 1)
    assert PASSWORD not in stored


def test_equal_passwords_of_two_accounts_have_different_hashes(api: Api, app: Flask) -> None:
    for email in ("ada@example.com", "bob@example.com"):
        api.post("users", {"email": email, "password": PASSWORD, "name": "Ada"}, status=201)
    assert len(set(rows.read(app, User.password_hash))) == 2


def test_password_is_compared_in_unicode_normal_form(api: Api) -> None:
    composed, decomposed = "cr\u00e8me br\u00fbl\u00e9e", "cre\u0300me bru\u0302le\u0301e"
    register(api, composed + " and tea", status=201)
    log_in(api, EMAIL, decomposed + " and tea", status=200)
    log_in(api, EMAIL, "creme brulee and tea", status=401)
    log_in(api, EMAIL, composed + " AND TEA", status=401)


@on_sqlite
@pytest.mark.usefixtures("shipped_hasher")
def test_parallel_hashes_are_bounded_by_the_number_of_cores(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = itertools.count(), [0]
    now_running: set[int] = set()

    class Watched(PasswordHasher):
        def verify(self, stored: Any, password: Any) -> Any:
            number = next(running)
            now_running.add(number)
            most[0] = max(most[0], len(now_running))
            try:
                return super().verify(stored, password)
            finally:
                now_running.discard(number)

    monkeypatch.setattr(passwords, "_hasher", Watched(2, 19 * 1024, 1))
    limit = passwords._hash_slots._initial_value
    guesses = [lambda n=n: log_in(api, f"nobody{n}@example.com") for n in range(3 * limit + 3)]
    assert {answer.status_code for answer in rows.in_parallel(*guesses)} == {401}
    assert most[0] == limit
