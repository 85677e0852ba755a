"""Job routes: the owner of a job follows its progress, or cancels it."""

from uuid import UUID

from app.core.resources.blueprint import Blueprint
from app.core.resources.repository import ScopedSelect
from app.core.security.authorization import current_caller, permission
from app.jobs.models import Job, JobProblem
from app.jobs.schemas import JobProblemQuery, JobProblemSchema, JobQuery, JobSchema

jobs = Blueprint(
    "jobs", __name__, url_prefix="/api/v1/jobs", description="Work that takes a while."
)


@jobs.get("", access=permission("jobs:own"))
@jobs.paginated(JobSchema, JobQuery)
def list_jobs() -> ScopedSelect:
    """List the caller's jobs; all jobs for admins."""
    return Job.visible_to(current_caller)


@jobs.get("/<uuid:job_id>", access=permission("jobs:own"))
@jobs.returns(JobSchema)
def read_job(job_id: UUID) -> ScopedSelect:
    """Read a job: its state, its progress and its result."""
    return Job.visible_to(current_caller)


@jobs.delete("/<uuid:job_id>", access=permission("jobs:own"))
@jobs.deletes(JobSchema)
def cancel_job(job_id: UUID) -> ScopedSelect:
    """Cancel a job and delete it; its effects so far are kept.

    A running job stops at its next transaction.
    """
    return Job.visible_to(current_caller)


@jobs.get("/<uuid:job_id>/problems", access=permission("jobs:own"))
@jobs.paginated(JobProblemSchema, JobProblemQuery, parent=JobSchema)
def list_job_problems(job_id: UUID) -> tuple[ScopedSelect, ScopedSelect]:
    """List the lines of a job's file that were skipped, and why."""
    return JobProblem.visible_to(current_caller), Job.visible_to(current_caller)
