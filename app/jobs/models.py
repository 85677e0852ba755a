"""The job, and what it found wrong."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Select, Text, Uuid, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.ids import uuid7
from app.core.database.mixins import CALLER_ID_PARAM, ResourceMixin
from app.core.database.types import Timestamp
from app.core.resources.statements import ITEM_ID_PARAM
from app.core.security.authorization import Caller
from app.extensions import Base

STATES = ("queued", "running", "succeeded", "failed")


class Job(ResourceMixin, Base):
    """A piece of work. The row is the truth: a message to a worker only says that it is there."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"state IN {STATES}", name="state"),
        CheckConstraint("(finished_at IS NULL) = (state IN ('queued', 'running'))", name="over"),
    )

    kind: Mapped[str] = mapped_column(Text)
    # Nobody's, if the service has it done for itself.
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(Text, default="queued")
    processed: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # From here on, of no concern to callers.
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    position: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # where to go on
    origin: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # of the request, for audit
    attempts: Mapped[int] = mapped_column(default=0)  # since it last made progress
    lease: Mapped[UUID | None] = mapped_column(Uuid())  # of the worker that has it
    # Nobody may have it in hand any more: of a queued one the message was lost, of a running one
    # the worker.
    due_at: Mapped[datetime] = mapped_column(Timestamp)

    @staticmethod
    def visible_to(caller: Caller) -> "Select[Job]":
        """The caller's own; all of them for those who look after the service."""
        return ALL if caller.can("jobs:manage") else OWN


ALL = select(Job)
OWN = ALL.where(Job.owner_id == CALLER_ID_PARAM)

Index("ix_jobs_owner_id_created_at", Job.owner_id, Job.created_at, Job.id)
Index("ix_jobs_created_at_id", Job.created_at, Job.id)
Index("ix_jobs_due_at", Job.due_at, postgresql_where=Job.finished_at.is_(None))
Index("ix_jobs_finished_at", Job.finished_at)


class JobProblem(Base):
    """What is wrong with one line of a job's file."""

    __tablename__ = "job_problems"

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True, default=uuid7)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    line: Mapped[int]
    errors: Mapped[list[dict[str, str]]] = mapped_column(JSON)

    @staticmethod
    def visible_to(caller: Caller) -> "Select[JobProblem]":
        """Those of the job that the path names, if the caller may see it."""
        return ALL_PROBLEMS if caller.can("jobs:manage") else OWN_PROBLEMS


ALL_PROBLEMS = select(JobProblem).where(JobProblem.job_id == ITEM_ID_PARAM)
OWN_PROBLEMS = ALL_PROBLEMS.join(Job, Job.id == JobProblem.job_id).where(
    Job.owner_id == CALLER_ID_PARAM
)

Index("ix_job_problems_job_id_line", JobProblem.job_id, JobProblem.line, JobProblem.id)
