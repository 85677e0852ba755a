"""The tasks of the demo account."""

from datetime import timedelta

from sqlalchemy import exists, select

from app.cli import seeder
from app.core.database.types import now
from app.extensions import db
from app.tasks.models import PRIORITIES, Task
from app.users.models import User
from app.users.seed import DEMO_EMAIL

TITLES = ("Read the README", "Call the API", "Add a resource")


@seeder()
def seed_tasks(*, demo: bool) -> None:
    """Add three tasks to the demo account, if it has none."""
    if not demo:
        return
    without_tasks = ~exists().where(Task.owner_id == User.id)
    owner_id = db.session.scalar(select(User.id).where(User.email == DEMO_EMAIL, without_tasks))
    if owner_id is None:
        return
    for n, title in enumerate(TITLES):
        due_at = now() + timedelta(days=n)
        db.session.add(Task(owner_id=owner_id, title=title, priority=PRIORITIES[n], due_at=due_at))
    db.session.commit()
