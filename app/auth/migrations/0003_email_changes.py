"""Pending changes of e-mail addresses."""

import sqlalchemy as sa
from alembic import op

revision = "auth_0003"
down_revision = "auth_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "email_changes",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("old_token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("new_token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_email_changes"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_email_changes_user_id", ondelete="CASCADE"
        ),
    )
    for column in ("old_token_hash", "new_token_hash", "expires_at"):
        op.create_index(f"ix_email_changes_{column}", "email_changes", [column])


def downgrade() -> None:
    op.drop_table("email_changes")
