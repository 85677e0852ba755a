"""Login attempts, tokens sent by mail, and when an address was confirmed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", sa.DateTime(timezone=True)))
    op.create_table(
        "login_attempts",
        sa.Column("account_hash", sa.LargeBinary(), nullable=False),
        sa.Column("ip_address", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trusted_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_hash", "ip_address", name="pk_login_attempts"),
    )
    op.create_index("ix_login_attempts_expires_at", "login_attempts", ["expires_at"])
    op.create_table(
        "mail_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_mail_tokens"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_mail_tokens_user_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint("purpose IN ('reset', 'verify')", name=op.f("ck_mail_tokens_purpose")),
    )
    for column in ("user_id", "expires_at"):
        op.create_index(f"ix_mail_tokens_{column}", "mail_tokens", [column])


def downgrade() -> None:
    op.drop_table("mail_tokens")
    op.drop_table("login_attempts")
    op.drop_column("users", "email_verified_at")
