"""Routes of errands, which are private to their owner."""

from typing import Any
from uuid import UUID

from sqlalchemy import func

from app.core.database.types import now
from app.core.files.uploads import Upload
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import current_caller, permission
from tests.errands.models import Errand
from tests.errands.schemas import ErrandQuery, ErrandSchema

errands = Blueprint(
    "errands", __name__, url_prefix="/api/v1/errands", description="The caller's errands."
)


@errands.get("", access=permission("errands:own"))
@errands.paginated(ErrandSchema, ErrandQuery)
def list_errands() -> ScopedSelect:
    """List the caller's errands."""
    return Errand.visible_to(current_caller)


@errands.post("", access=permission("errands:own"))
@errands.body(ErrandSchema)
@errands.creates(ErrandSchema)
def create_errand(data: dict[str, Any]) -> Errand:
    """Create an errand."""
    return Errand(
        owner_id=current_caller.id, completed_at=now() if data.get("done") else None, **data
    )


@errands.get("/export", access=permission("errands:own"), rate_limit="BULK_RATE_LIMIT")
@errands.exports(ErrandSchema, ErrandQuery)
def export_errands() -> ScopedSelect:
    """Export the caller's errands as CSV or NDJSON."""
    return Errand.visible_to(current_caller)


@errands.post("/imports", access=permission("errands:own"), rate_limit="BULK_RATE_LIMIT")
@errands.accepts_file({"text/csv": "title\r\nWater the plants\r\n"}, "MAX_UPLOAD_LENGTH")
@errands.response(202)
def import_errands(file: Upload, options: dict[str, Any]) -> None:
    """Read a file; nothing is imported."""


@errands.get("/<uuid:errand_id>", access=permission("errands:own"))
@errands.returns(ErrandSchema)
def read_errand(errand_id: UUID) -> ScopedSelect:
    """Read an errand."""
    return Errand.visible_to(current_caller)


@errands.patch("/<uuid:errand_id>", access=permission("errands:own"))
@errands.body(ErrandSchema, partial=True)
@errands.updates(ErrandSchema)
def update_errand(data: dict[str, Any], errand_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Update an errand; `done` sets and clears `completed_at`."""
    if "done" in data:
        data["completed_at"] = func.coalesce(Errand.completed_at, now()) if data["done"] else None
    return Errand.visible_to(current_caller), data


@errands.delete("/<uuid:errand_id>", access=permission("errands:own"))
@errands.deletes(ErrandSchema)
def delete_errand(errand_id: UUID) -> ScopedSelect:
    """Delete an errand."""
    return Errand.visible_to(current_caller)


@errands.post("/batch", access=permission("errands:own"))
@errands.batch(ErrandSchema)
def batch_errands(data: dict[str, Any]) -> Batch:
    """Create, update and delete up to 100 errands in one transaction."""
    return Batch(data["items"], create_errand, update_errand, delete_errand)
