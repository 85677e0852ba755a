"""Factors that were confirmed before the address of their owner was verified."""

import sqlalchemy as sa
from alembic import op

revision = "mfa_0003"
down_revision = "mfa_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column: sa.Column[bool] = sa.Column(
        "is_provisional", sa.Boolean(), server_default=sa.false(), nullable=False
    )
    op.add_column("factors", column)
    op.execute(
        "UPDATE factors SET is_provisional = true"
        " WHERE owner_id IN (SELECT id FROM users WHERE email_verified_at IS NULL)"
    )


def downgrade() -> None:
    op.drop_column("factors", "is_provisional")
