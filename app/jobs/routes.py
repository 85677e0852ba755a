"""Routes of jobs: their progress, results and cancellation."""

from uuid import UUID

from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import current_caller, permission
from app.jobs.models import Job, JobProblem
from app.jobs.schemas import JobProblemQuery, JobProblemSchema, JobQuery, JobSchema

jobs = Blueprint("jobs", __name__, url_prefix="/api/v1/jobs", description="Background work.")


@jobs.get("", access=permission("jobs:own"))
@jobs.paginated(JobSchema, JobQuery)
def list_jobs() -> ScopedSelect:
    """List the caller's jobs; all jobs for admins."""
    return Job.visible_to(current_caller)


@jobs.get("/<uuid:job_id>", access=permission("jobs:own"))
@jobs.returns(JobSchema)
def read_job(job_id: UUID) -> ScopedSelect:
    """Read the state, progress and result of a job."""
    return Job.visible_to(current_caller)


@jobs.delete("/<uuid:job_id>", access=permission("jobs:own"))
@jobs.deletes(JobSchema)
def cancel_job(job_id: UUID) -> ScopedSelect:
    """Cancel a job and delete it.

    A running job stops at its next transaction. Changes that it has committed remain.
    """
    return Job.visible_to(current_caller)


@jobs.get("/<uuid:job_id>/problems", access=permission("jobs:own"))
@jobs.paginated(JobProblemSchema, JobProblemQuery, parent=JobSchema)
def list_job_problems(job_id: UUID) -> tuple[ScopedSelect, ScopedSelect]:
    """List the rejected lines of a job's file, with their errors."""
    return JobProblem.visible_to(current_caller), Job.visible_to(current_caller)
