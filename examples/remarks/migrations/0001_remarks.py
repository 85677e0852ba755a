"""Remarks."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "remarks_0001", None
branch_labels, depends_on = ("remarks",), ("notes_0001",)


def upgrade() -> None:
    op.create_table(
        "remarks",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["note_id"], ["notes.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_remarks_note_id_created_at", "remarks", ["note_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("remarks")
