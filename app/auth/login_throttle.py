"""Guessing slows down: attempts are counted by account, before the password is looked at.

They are counted twice: from one address, which waits longer after each failure, and from anywhere,
which takes many more. So many addresses together are slowed down as well, and still nobody locks
somebody else out: an address from which the account was logged in to before waits only for what it
did itself. Accounts that do not exist are counted like those that do.

The counters are rows, locked while they are counted: exact over all workers, and not forgotten by a
restart of anything.
"""

import hmac
import ipaddress
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
from app.core.web.problems import Problem
from app.extensions import Base, db
from app.jobs.periodic import HOUR, periodic_task
from app.telemetry.metrics import LOGINS

MAX_FAILURES_PER_ADDRESS = 10  # failures from one address that cost nothing but themselves
MAX_FAILURES_PER_ACCOUNT = (
    100  # the same from all addresses together; NIST SP 800-63B allows no more
)
MAX_BACKOFF = timedelta(minutes=15)  # between two attempts
FAILURE_TTL = timedelta(days=1)  # after the last wait is over, failures are forgotten

ANY_ADDRESS = ""  # in place of an address

log = structlog.get_logger()


class LoginAttempts(Base):
    """How often a login to an account failed of late, from one address or from anywhere."""

    __tablename__ = "login_attempts"

    account_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    ip_address: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int]
    retry_at: Mapped[datetime] = mapped_column(Timestamp)  # no attempt is looked at before
    trusted_until: Mapped[datetime] = mapped_column(Timestamp)  # a login from here succeeded
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


def register_attempt(email: str) -> None:
    """Count an attempt to log in as failed; `forgive` takes it back when it was none.

    Raises:
        Problem: 429, too many failed; this one is not looked at, and does not count.
    """
    with db.engine.begin() as connection:  # a transaction of its own, whatever becomes of the login
        rows = execute.execute_in_transaction(
            _LOCK_COUNTERS, _binds(*_initial_rows(email, now())), connection
        )
        moment = now()  # others may have counted while this waited for them
        here = next(row for row in rows if row.ip_address != ANY_ADDRESS)
        known = here.trusted_until > moment
        seconds = max(_seconds_left(row, moment) for row in ([here] if known else rows))
        if seconds > 0:
            LOGINS.labels("throttled").inc()
            log.warning("login_throttled", seconds=seconds)
            raise Problem("too-many-requests", headers={"Retry-After": str(seconds)})
        more = [row._asdict() | _after_failure(row, moment) for row in rows]
        execute.execute_in_transaction(_SET_COUNTERS, _binds(*more), connection)


def reset_attempts(email: str) -> None:
    """Forget the failures of an account, and remember the caller's address as its owner's.

    Part of the transaction of the request.
    """
    execute.execute_in_transaction(_SET_COUNTERS, reset_values(email))


def reset_values(email: str) -> dict[str, Any]:
    """The values with which `set_counters` forgives."""
    moment = now()
    trusted_until = moment + timedelta(days=current_app.config["REFRESH_TOKEN_DAYS"])
    anywhere, here = _initial_rows(email, moment)
    return _binds(anywhere, here | {"trusted_until": trusted_until, "expires_at": trusted_until})


@periodic_task("login-attempts", interval=HOUR)
def purge_login_attempts() -> int:
    """Delete the counters whose time is over."""
    return repository.delete_in_batches(LoginAttempts, LoginAttempts.expires_at <= now())


def _seconds_left(row: Row[Any], moment: datetime) -> int:
    """For how long no attempt is looked at; none as long as failures are free."""
    if row.failures < _free_failures(row):
        return 0
    left: timedelta = row.retry_at - moment
    return math.ceil(left.total_seconds())


def _free_failures(row: Row[Any]) -> int:
    return MAX_FAILURES_PER_ACCOUNT if row.ip_address == ANY_ADDRESS else MAX_FAILURES_PER_ADDRESS


def _after_failure(row: Row[Any], moment: datetime) -> dict[str, Any]:
    """The values of a row after one more failure."""
    failures = 1 if moment - row.retry_at > FAILURE_TTL else row.failures + 1
    over = failures - _free_failures(row)
    wait = min(MAX_BACKOFF, timedelta(seconds=2 ** min(over, 20))) if over >= 0 else timedelta(0)
    retry_at = moment + wait
    expires_at = max(row.trusted_until, retry_at + FAILURE_TTL)
    return {"failures": failures, "retry_at": retry_at, "expires_at": expires_at}


def _initial_rows(email: str, moment: datetime) -> list[dict[str, Any]]:
    """The two rows of an account to which no login has failed."""
    new = {
        "account_hash": _account_hash(email),
        "failures": 0,
        "retry_at": moment,
        "trusted_until": moment,
        "expires_at": moment + FAILURE_TTL,
    }
    return [new | {"ip_address": address} for address in (ANY_ADDRESS, _address())]


def _binds(*rows: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}_{n}": row[name] for n, row in enumerate(rows) for name in row}


def _upsert_statement(names: tuple[str, ...], written: CTE | None = None) -> Any:
    """The statement that makes two rows, locked in this order, or sets those columns of them.

    Where something was written, if that is given.
    """
    table: Any = LoginAttempts.__table__
    rows = [select(*(bindparam(f"{c.name}_{n}", type_=c.type) for c in table.c)) for n in (0, 1)]
    if written is not None:
        rows = [row.select_from(written) for row in rows]
    new = insert(table).from_select(list(table.c), union_all(*rows))
    set_ = {name: new.excluded[name] for name in names}
    return new.on_conflict_do_update(index_elements=table.primary_key, set_=set_).returning(table)


_LOCK_COUNTERS = _upsert_statement(("ip_address",))  # which stays as it is
upsert_counters = partial(
    _upsert_statement, ("failures", "retry_at", "trusted_until", "expires_at")
)
_SET_COUNTERS = upsert_counters()


def _account_hash(email: str) -> bytes:
    """The key of an account. Not its address: whatever is typed there would be kept in clear."""
    secret = current_app.config["SECRET_KEY"].encode()
    return hmac.digest(secret, b"login attempts " + email.encode(), "sha256")


def _address() -> str:
    """The caller's address; of IPv6 the network that one subscriber has to choose from."""
    text = request.remote_addr or "unknown"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if address.version == 4:
        return text
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed, 64), strict=False))
