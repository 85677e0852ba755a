"""Errands."""

import sqlalchemy as sa
from alembic import op

revision = "errands_0001"
down_revision = None
branch_labels = ("errands",)
depends_on = ("users_0001",)


def upgrade() -> None:
    postgresql = op.get_context().dialect.name == "postgresql"
    never = (
        "'9999-12-31 00:00:00+00'::timestamptz" if postgresql else "'9999-12-31 00:00:00.000000'"
    )
    op.create_table(
        "errands",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(collation="C" if postgresql else None), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_errands"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_errands_owner_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint("priority BETWEEN 0 AND 2", name=op.f("ck_errands_priority")),
        sa.CheckConstraint(
            "done = (completed_at IS NOT NULL)", name=op.f("ck_errands_completed_at")
        ),
    )
    due_at = sa.text(f"coalesce(due_at, {never})")
    op.create_index("ix_errands_owner_id_due_at", "errands", ["owner_id", due_at, "id"])
    for key in ("created_at", "priority", "title"):
        op.create_index(f"ix_errands_owner_id_{key}", "errands", ["owner_id", key, "id"])


def downgrade() -> None:
    op.drop_table("errands")
