<%!
def body(operations):
    """The operations without the comments of Alembic."""
    lines = (operations or "pass").splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith("# ###")).strip()
%>\
"""${message.rstrip(".")}."""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
% if "if postgresql" in (upgrades or ""):
    postgresql = op.get_context().dialect.name == "postgresql"
% endif
    ${body(upgrades)}


def downgrade() -> None:
% if "if postgresql" in (downgrades or ""):
    postgresql = op.get_context().dialect.name == "postgresql"
% endif
    ${body(downgrades)}
