"""Throttling of logins: attempts are counted per account, before the password is verified.

They are counted twice: per client address, which waits longer after each failure, and in total,
with a much higher limit. So many addresses together are slowed down as well, and still nobody can
lock somebody else out: a trusted address, from which the account was logged in to before, waits
only for its own failures. Accounts that do not exist are counted like those that do.

The counters are rows, locked while they are updated: exact over all workers and restarts.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from flask import current_app, request
from sqlalchemy import CTE, LargeBinary, Row, Text, bindparam, select, union_all
from sqlalchemy.dialects.postgresql import insert  # SQLite has the same words for ON CONFLICT
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import execute
from app.core.database.types import Timestamp, now
from app.core.resources import repository
from app.core.security.signing import sign
from app.core.web.client_address import client_network
from app.core.web.problems import Problem
from app.extensions import Base, db
from app.jobs.periodic import HOUR, periodic_task
from app.telemetry.metrics import LOGINS

MAX_FAILURES_PER_ADDRESS = 10  # failures from one address before it has to wait
MAX_FAILURES_PER_ACCOUNT = 100  # from all addresses together; NIST SP 800-63B allows no more
MAX_BACKOFF = timedelta(minutes=15)  # between two attempts
FAILURE_TTL = timedelta(days=1)  # from the end of the last wait until the failures are deleted

ANY_ADDRESS = ""  # the ip_address of the row that counts an account in total

log = structlog.get_logger()


class LoginAttempts(Base):
    """How often logins to an account failed recently, from one address or in total."""

    __tablename__ = "login_attempts"

    account_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    ip_address: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int]
    retry_at: Mapped[datetime] = mapped_column(Timestamp)  # earlier attempts are refused
    trusted_until: Mapped[datetime] = mapped_column(Timestamp)  # set by a successful login
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


def register_attempt(email: str) -> None:
    """Count an attempt to log in as failed; `reset_attempts` undoes it after a success.

    Raises:
        Problem: 429, too many failed; this one is refused and not counted.
    """
    with db.engine.begin() as connection:  # its own transaction: it stays when the login fails
        counters = execute.execute_in_transaction(
            _LOCK_COUNTERS, _numbered(*_initial_rows(email, now())), connection
        )
        moment = now()  # others may have counted while this waited for them
        here = next(row for row in counters if row.ip_address != ANY_ADDRESS)
        trusted = here.trusted_until > moment
        seconds = max(_seconds_left(row, moment) for row in ([here] if trusted else counters))
        if seconds > 0:
            LOGINS.labels("throttled").inc()
            log.warning("login_throttled", seconds=seconds)
            raise Problem("too-many-requests", headers={"Retry-After": str(seconds)})
        values = [row._asdict() | _after_failure(row, moment) for row in counters]
        execute.execute_in_transaction(_SET_COUNTERS, _numbered(*values), connection)


def reset_attempts(email: str) -> None:
    """Set the failures of an account to zero and trust the client's address.

    Part of the transaction of the request.
    """
    execute.execute_in_transaction(_SET_COUNTERS, reset_values(email))


def reset_values(email: str) -> dict[str, Any]:
    """The bind values for a statement of `upsert_counters` that resets the failures."""
    moment = now()
    trusted_until = moment + timedelta(days=current_app.config["REFRESH_TOKEN_DAYS"])
    total, here = _initial_rows(email, moment)
    return _numbered(total, here | {"trusted_until": trusted_until, "expires_at": trusted_until})


@periodic_task("login-attempts", interval=HOUR)
def purge_login_attempts() -> int:
    """Delete the counters that have expired; how many."""
    return repository.delete_in_batches(LoginAttempts, LoginAttempts.expires_at <= now())


def _seconds_left(row: Row[Any], moment: datetime) -> int:
    """For how many seconds attempts are refused; 0 while there were only a few failures."""
    if row.failures < _max_failures(row):
        return 0
    left: timedelta = row.retry_at - moment
    return math.ceil(left.total_seconds())


def _max_failures(row: Row[Any]) -> int:
    return MAX_FAILURES_PER_ACCOUNT if row.ip_address == ANY_ADDRESS else MAX_FAILURES_PER_ADDRESS


def _after_failure(row: Row[Any], moment: datetime) -> dict[str, Any]:
    """The values of a counter after one more failure."""
    failures = 1 if moment - row.retry_at > FAILURE_TTL else row.failures + 1
    excess = failures - _max_failures(row)
    wait = timedelta(0)
    if excess >= 0:
        wait = min(MAX_BACKOFF, timedelta(seconds=2 ** min(excess, 20)))  # the power stays small
    retry_at = moment + wait
    expires_at = max(row.trusted_until, retry_at + FAILURE_TTL)
    return {"failures": failures, "retry_at": retry_at, "expires_at": expires_at}


def _initial_rows(email: str, moment: datetime) -> list[dict[str, Any]]:
    """The two counters of an account without failed logins: in total, and of this address."""
    new = {
        "account_hash": _account_hash(email),
        "failures": 0,
        "retry_at": moment,
        "trusted_until": moment,
        "expires_at": moment + FAILURE_TTL,
    }
    return [new | {"ip_address": address} for address in (ANY_ADDRESS, client_network(request))]


def _numbered(*rows: Mapping[str, Any]) -> dict[str, Any]:
    """Bind values of several rows: `failures_0`, `failures_1`."""
    return {f"{name}_{n}": row[name] for n, row in enumerate(rows) for name in row}


def _upsert_statement(names: tuple[str, ...], written: CTE | None = None) -> Any:
    """The statement that inserts two rows, or sets columns of them; locked in their order.

    Args:
        names: the columns to set where the row exists.
        written: a CTE; without any row in it, nothing is inserted or set.
    """
    table: Any = LoginAttempts.__table__
    rows = [select(*(bindparam(f"{c.name}_{n}", type_=c.type) for c in table.c)) for n in (0, 1)]
    if written is not None:
        rows = [row.select_from(written) for row in rows]
    new = insert(table).from_select(list(table.c), union_all(*rows))
    set_ = {name: new.excluded[name] for name in names}
    return new.on_conflict_do_update(index_elements=table.primary_key, set_=set_).returning(table)


_LOCK_COUNTERS = _upsert_statement(("ip_address",))  # part of the key: no value changes
upsert_counters = partial(
    _upsert_statement, ("failures", "retry_at", "trusted_until", "expires_at")
)
_SET_COUNTERS = upsert_counters()


def _account_hash(email: str) -> bytes:
    """The key of an account. Not its address: people type passwords into that field, too."""
    return sign("login attempts", email.encode())
