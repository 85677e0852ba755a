"""Personal values in audit events: blanked with the account, deleted after AUDIT_RETENTION_DAYS.

docs/decisions.md#80-personal-data-in-the-audit-log
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import aliased

from app.audit.models import AuditEvent
from app.core.background.backend import submit_job
from app.core.background.job_types import JobRun, job
from app.core.background.periodic import HOUR, periodic_task
from app.core.database.types import now
from app.core.resources import unaudited
from app.extensions import Base, db
from app.users.models import User
from app.users.service import user_deleted

BATCH = 5000  # events in one transaction


@user_deleted.connect
def request_erasure(user_id: UUID) -> None:
    """Submit the job in the transaction that deletes the account, so that it is not lost."""
    submit_job("audit.erase", {"user_id": str(user_id)})


@job("audit.erase", attempts=1000)
def erase(run: JobRun) -> None:
    """Blank what the events say about a deleted account; who, when and what was done stay."""
    user_id = UUID(run.arguments["user_id"])
    event, own = AuditEvent, aliased(AuditEvent)
    has_values = sa.or_(event.before.is_not(None), event.after.is_not(None))
    blank = {"before": sa.null(), "after": sa.null()}
    # Events of the account, and of the rows that were deleted with it: sessions, API keys.
    about = sa.or_(
        sa.and_(event.resource == User.__tablename__, event.resource_id == user_id),
        sa.and_(event.resource.in_(_personal_tables()), event.actor_id == user_id),
    )
    _update_in_batches(run, sa.and_(about, has_values), blank)
    is_located = sa.and_(event.actor_id == user_id, event.ip_address.is_not(None))
    _update_in_batches(run, is_located, {"ip_address": None})
    # What others have done to such rows: an admin who removes a lost factor.
    created = sa.select(own.resource_id).where(own.actor_id == user_id, own.action == "create")
    created = created.where(own.resource.in_(_personal_tables()))
    _update_in_batches(run, sa.and_(event.resource_id.in_(created), has_values), blank)


def _update_in_batches(
    run: JobRun, condition: sa.ColumnElement[bool], values: Mapping[str, object]
) -> None:
    some = sa.select(AuditEvent.id).where(condition).limit(BATCH)
    update = sa.update(AuditEvent).where(AuditEvent.id.in_(some)).values(values)
    while db.session.connection().execute(update).rowcount:
        run.checkpoint()


@cache
def _personal_tables() -> frozenset[str]:
    """The names of the tables whose rows are deleted with the account, also below other rows."""
    keys = [key for table in Base.metadata.tables.values() for key in table.foreign_keys]
    cascades = {(k.parent.table.name, k.column.table.name) for k in keys if k.ondelete == "CASCADE"}
    found, new = set[str](), {User.__tablename__}
    while new:
        found |= new
        new = {child for child, parent in cascades if parent in new} - found
    return frozenset(found - {User.__tablename__})


@periodic_task("audit-events", interval=HOUR)
def purge_audit_events() -> int:
    """Delete events that are older than AUDIT_RETENTION_DAYS; return their number."""
    oldest = now() - timedelta(days=current_app.config["AUDIT_RETENTION_DAYS"])
    return unaudited.delete_in_batches(AuditEvent, AuditEvent.created_at <= oldest)
