"""Devices from which accounts have logged in."""

import sqlalchemy as sa
from alembic import op

revision = "auth_0004"
down_revision = "auth_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "known_devices",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "fingerprint", name="pk_known_devices"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_known_devices_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_known_devices_created_at", "known_devices", ["created_at"])


def downgrade() -> None:
    op.drop_table("known_devices")
