"""Passkeys that can log in alone."""

import sqlalchemy as sa
from alembic import op

revision = "mfa_0002"
down_revision = "mfa_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column: sa.Column[bool] = sa.Column(
        "logs_in_alone", sa.Boolean(), server_default=sa.false(), nullable=False
    )
    op.add_column("factors", column)


def downgrade() -> None:
    op.drop_column("factors", "logs_in_alone")
