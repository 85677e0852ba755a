"""The base class of backends whose jobs are rows."""

from uuid import UUID

from app.core.background.backend import Backend
from app.core.background.job_types import Arguments
from app.extensions import db
from app.jobs.runner import create_job


class QueueBackend(Backend):
    """Runs jobs that are rows: in threads of this process, or in Celery's workers."""

    def submit(self, job_id: UUID, type: str, arguments: Arguments, owner_id: UUID | None) -> None:
        """Add the row of a job to the transaction."""
        db.session.add(create_job(type, arguments, owner_id=owner_id, job_id=job_id))

    def send(self, job_id: UUID) -> None:
        """Send a job to a worker."""
        raise NotImplementedError
