"""Models of jobs, and of the rejected lines of their files."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Select, Text, Uuid, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.ids import uuid7
from app.core.database.mixins import CALLER_ID_PARAM, ResourceMixin
from app.core.database.types import Timestamp
from app.core.resources.scoped_query import path_param
from app.core.security.authorization import Caller
from app.extensions import Base

STATES = ("queued", "running", "succeeded", "failed")


class Job(ResourceMixin, Base):
    """A job. Its row is the source of truth: docs/decisions.md#40-jobs-as-rows."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"state IN {STATES}", name="state"),
        CheckConstraint(
            "(finished_at IS NULL) = (state IN ('queued', 'running'))", name="finished_at"
        ),
    )

    type: Mapped[str] = mapped_column(Text)
    # None for a job of the service itself.
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(Text, default="queued")
    processed_count: Mapped[int] = mapped_column(default=0)
    failed_count: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # Not in responses:
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    checkpoint: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # where to resume
    request_context: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # for audit and log
    attempts: Mapped[int] = mapped_column(default=0)  # since the last progress
    lease_token: Mapped[UUID | None] = mapped_column(Uuid())  # of the worker that runs the job
    # From this time on any worker may claim the job: the message of a queued job or the worker of a
    # running one is considered lost.
    retry_at: Mapped[datetime] = mapped_column(Timestamp)

    @staticmethod
    def visible_to(caller: Caller) -> "Select[Job]":
        """Return the query of all jobs with `jobs:manage`, else that of the caller's jobs."""
        return ALL_JOBS if caller.can("jobs:manage") else OWN_JOBS


ALL_JOBS = select(Job)
OWN_JOBS = ALL_JOBS.where(Job.owner_id == CALLER_ID_PARAM)

Index("ix_jobs_owner_id_created_at", Job.owner_id, Job.created_at, Job.id)
Index("ix_jobs_created_at_id", Job.created_at, Job.id)
Index("ix_jobs_retry_at", Job.retry_at, postgresql_where=Job.finished_at.is_(None))
Index("ix_jobs_finished_at", Job.finished_at)


class JobProblem(Base):
    """A rejected line of a job's file, and its errors."""

    __tablename__ = "job_problems"

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True, default=uuid7)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    line: Mapped[int]
    errors: Mapped[list[dict[str, str]]] = mapped_column(JSON)

    @staticmethod
    def visible_to(caller: Caller) -> "Select[JobProblem]":
        """Return the query of the rejected lines of the job in the path."""
        return ALL_PROBLEMS if caller.can("jobs:manage") else OWN_PROBLEMS


ALL_PROBLEMS = select(JobProblem).where(JobProblem.job_id == path_param("job_id"))
OWN_PROBLEMS = ALL_PROBLEMS.join(Job, Job.id == JobProblem.job_id).where(
    Job.owner_id == CALLER_ID_PARAM
)

Index("ix_job_problems_job_id_line", JobProblem.job_id, JobProblem.line, JobProblem.id)
