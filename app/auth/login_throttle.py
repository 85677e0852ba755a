"""Throttling of logins: failed attempts are counted before the password is verified.

An account has a counter for each IP address and one for all addresses together, with a higher
limit. An address with a successful login is trusted: only its own counter applies, so an attacker
cannot lock the owner of an account out. Unknown accounts are counted as well.

The counters are rows, which are locked while they are updated: they are exact over all workers and
restarts. docs/decisions.md#29-login-throttling
"""

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from flask import current_app, request
from sqlalchemy import CTE, Connection, LargeBinary, Row, Text, bindparam, select, union_all
from sqlalchemy.dialects.postgresql import insert  # SQLite has the same words for ON CONFLICT
from sqlalchemy.orm import Mapped, mapped_column

from app.core.background.periodic import HOUR, periodic_task
from app.core.database import execute
from app.core.database.types import Timestamp, now
from app.core.resources import unaudited
from app.core.security.signing import sign
from app.core.web.client_address import client_network
from app.core.web.problems import Problem
from app.extensions import Base, db
from app.telemetry.metrics import LOGINS

MAX_FAILURES_PER_ADDRESS = 10  # failures from one address without a wait
MAX_FAILURES_PER_ACCOUNT = 100  # from all addresses; the maximum of NIST SP 800-63B
MAX_BACKOFF = timedelta(minutes=15)  # between two attempts
FAILURE_TTL = timedelta(days=1)  # from the end of the last wait until the failures are deleted

PENDING_TTL = timedelta(seconds=30)  # after which an attempt that did not end is a failure
POLL_INTERVAL = 0.1  # seconds

ANY_ADDRESS = ""  # `ip_address` of the counter for all addresses

log = structlog.get_logger()


class LoginAttempts(Base):
    """The failed logins to an account, from one IP address or from all."""

    __tablename__ = "login_attempts"

    account_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    ip_address: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int]
    pending: Mapped[int]  # of the failures: attempts that are being verified
    retry_at: Mapped[datetime] = mapped_column(Timestamp)  # earlier attempts are rejected
    trusted_until: Mapped[datetime] = mapped_column(Timestamp)  # set by a successful login
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


class _ThrottledError(Exception):
    def __init__(self, seconds: int, *, is_pending: bool) -> None:
        super().__init__()
        self.seconds, self.is_pending = seconds, is_pending


def register_attempt(email: str) -> int:
    """Count an attempt as failed; `reset_attempts` undoes it, or `fail_attempt` confirms it.

    Returns the number of attempts that have failed since the last success, from any address.

    Where the limit is reached only together with attempts that are being verified, it waits for
    them: one that succeeds resets the count.

    Raises:
        Problem: 429, too many attempts failed; this one is not counted.
    """
    has_waited = False
    while True:
        try:
            return _register(email, has_waited=has_waited)
        except _ThrottledError as throttled:
            if not throttled.is_pending:
                LOGINS.labels("throttled").inc()
                log.warning("login_throttled", seconds=throttled.seconds)
                headers = {"Retry-After": str(throttled.seconds)}
                raise Problem("too-many-requests", headers=headers) from throttled
        has_waited = True
        time.sleep(POLL_INTERVAL)  # without a connection: others need it to finish


def _register(email: str, *, has_waited: bool) -> int:
    with db.engine.begin() as connection:  # committed even if the login fails
        counters = _lock_counters(email, connection)
        moment = now()  # after the locks, for which it may have waited
        here = next(row for row in counters if row.ip_address != ANY_ADDRESS)
        counted = [here] if here.trusted_until > moment else counters
        # An attempt that has waited is not admitted by the time that has passed meanwhile: no more
        # guesses are admitted than without waiting.
        least = 1 if has_waited else 0
        blocking = [row for row in counted if _seconds_left(row, moment, least) > 0]
        if blocking:
            seconds = max(_seconds_left(row, moment, least) for row in blocking)
            raise _ThrottledError(
                seconds, is_pending=all(_is_pending(row, moment) for row in blocking)
            )
        values = [row._asdict() | _after_failure(row, moment) for row in counters]
        execute.execute_in_transaction(_SET_COUNTERS, _numbered(*values), connection)
    total = next(row for row in counters if row.ip_address == ANY_ADDRESS)
    if moment - total.retry_at > FAILURE_TTL:
        return 0
    return int(total.failures - (total.pending if _is_pending(total, moment) else 0))


def fail_attempt(email: str) -> None:
    """Confirm that a registered attempt has failed; the attempts that wait for it continue."""
    with db.engine.begin() as connection:
        counters = _lock_counters(email, connection)
        values = [row._asdict() | {"pending": max(0, row.pending - 1)} for row in counters]
        execute.execute_in_transaction(_SET_COUNTERS, _numbered(*values), connection)


def withdraw_attempt(email: str) -> None:
    """Undo that an attempt was counted, and nothing else: the login is not complete yet."""
    with db.engine.begin() as connection:
        counters = _lock_counters(email, connection)
        values = [
            row._asdict()
            | {"failures": max(0, row.failures - 1), "pending": max(0, row.pending - 1)}
            for row in counters
        ]
        execute.execute_in_transaction(_SET_COUNTERS, _numbered(*values), connection)


def _lock_counters(email: str, connection: Connection) -> Sequence[Row[Any]]:
    values = _numbered(*_initial_rows(email, now()))
    return execute.execute_in_transaction(_LOCK_COUNTERS, values, connection)


def reset_attempts(email: str) -> None:
    """Reset the failures of an account and trust the client's address, in the transaction."""
    execute.execute_in_transaction(_SET_COUNTERS, reset_values(email))


def reset_values(email: str) -> dict[str, Any]:
    """Return the values with which a statement of `upsert_counters` resets the failures."""
    moment = now()
    trusted_until = moment + timedelta(days=current_app.config["REFRESH_TOKEN_DAYS"])
    total, here = _initial_rows(email, moment)
    return _numbered(total, here | {"trusted_until": trusted_until, "expires_at": trusted_until})


@periodic_task("login-attempts", interval=HOUR)
def purge_login_attempts() -> int:
    """Delete expired counters; return their number."""
    return unaudited.delete_in_batches(LoginAttempts, LoginAttempts.expires_at <= now())


def _seconds_left(row: Row[Any], moment: datetime, least: int) -> int:
    """Return the seconds until the next attempt is allowed; 0 below the limit of failures."""
    if row.failures < _max_failures(row):
        return 0
    left: timedelta = row.retry_at - moment
    return max(least, math.ceil(left.total_seconds()))


def _is_pending(row: Row[Any], moment: datetime) -> bool:
    """Whether attempts are being verified; those of a process that has died are not."""
    started_at = row.retry_at - _backoff(row, row.failures)
    return bool(row.pending > 0 and moment - started_at < PENDING_TTL)


def _max_failures(row: Row[Any]) -> int:
    return MAX_FAILURES_PER_ACCOUNT if row.ip_address == ANY_ADDRESS else MAX_FAILURES_PER_ADDRESS


def _after_failure(row: Row[Any], moment: datetime) -> dict[str, Any]:
    """Return the values of a counter after one more failure."""
    failures = 1 if moment - row.retry_at > FAILURE_TTL else row.failures + 1
    retry_at = moment + _backoff(row, failures)
    return {
        "failures": failures,
        "pending": row.pending + 1 if _is_pending(row, moment) else 1,
        "retry_at": retry_at,
        "expires_at": max(row.trusted_until, retry_at + FAILURE_TTL),
    }


def _backoff(row: Row[Any], failures: int) -> timedelta:
    """Return how long the attempt after that many failures has to wait."""
    excess = failures - _max_failures(row)
    if excess < 0:
        return timedelta(0)
    # Bounded, because 2 ** excess overflows.
    return min(MAX_BACKOFF, timedelta(seconds=2 ** min(excess, 20)))


def _initial_rows(email: str, moment: datetime) -> list[dict[str, Any]]:
    """Return the initial counters of an account: for all addresses, and for the client's."""
    new = {
        "account_hash": _account_hash(email),
        "failures": 0,
        "pending": 0,
        "retry_at": moment,
        "trusted_until": moment,
        "expires_at": moment + FAILURE_TTL,
    }
    return [new | {"ip_address": address} for address in (ANY_ADDRESS, client_network(request))]


def _numbered(*rows: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bind values of several rows: `failures_0`, `failures_1` and so on."""
    return {f"{name}_{n}": row[name] for n, row in enumerate(rows) for name in row}


def _upsert_statement(names: tuple[str, ...], written: CTE | None = None) -> Any:
    """Return the statement that inserts two counters or updates them, locked in their order.

    Args:
        names: the columns to update where the row exists.
        written: a CTE; if it has no row, nothing is inserted or updated.
    """
    table: Any = LoginAttempts.__table__
    rows = [select(*(bindparam(f"{c.name}_{n}", type_=c.type) for c in table.c)) for n in (0, 1)]
    if written is not None:
        rows = [row.select_from(written) for row in rows]
    new = insert(table).from_select(list(table.c), union_all(*rows))
    set_ = {name: new.excluded[name] for name in names}
    return new.on_conflict_do_update(index_elements=table.primary_key, set_=set_).returning(table)


_LOCK_COUNTERS = _upsert_statement(("ip_address",))  # locks only: the key is set to itself
upsert_counters = partial(
    _upsert_statement, ("failures", "pending", "retry_at", "trusted_until", "expires_at")
)
_SET_COUNTERS = upsert_counters()


def _account_hash(email: str) -> bytes:
    """Return the key of an account: an HMAC, since users also type passwords into that field."""
    return sign("login attempts", email.encode())
