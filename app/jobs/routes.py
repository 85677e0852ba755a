"""Jobs: whoever asked for one follows it here, or has it stopped."""

from uuid import UUID

from app.jobs.models import Job, JobProblem
from app.jobs.schemas import JobProblemQuery, JobProblemSchema, JobQuery, JobSchema
from app.kit.access import caller, can
from app.kit.blueprint import Blueprint
from app.kit.rows import Visible

jobs = Blueprint("jobs", __name__, url_prefix="/jobs", description="Work that takes a while.")


@jobs.get("", access=can("jobs:own"))
@jobs.page(JobSchema, JobQuery)
def list_jobs() -> Visible:
    """List one's jobs; all jobs for admins."""
    return Job.visible_to(caller)


@jobs.get("/<uuid:job_id>", access=can("jobs:own"))
@jobs.item(JobSchema)
def read_job(job_id: UUID) -> Visible:
    """Read a job: its state, how far it is, and its result."""
    return Job.visible_to(caller)


@jobs.delete("/<uuid:job_id>", access=can("jobs:own"))
@jobs.deletes(JobSchema)
def cancel_job(job_id: UUID) -> Visible:
    """Cancel a job and forget it; what it has done so far stays done.

    One that runs stops within moments, between two of its transactions.
    """
    return Job.visible_to(caller)


@jobs.get("/<uuid:job_id>/problems", access=can("jobs:own"))
@jobs.page(JobProblemSchema, JobProblemQuery, within=JobSchema)
def list_job_problems(job_id: UUID) -> tuple[Visible, Visible]:
    """List the lines of a job's file that were left out, and why."""
    return JobProblem.visible_to(caller), Job.visible_to(caller)
