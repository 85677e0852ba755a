"""Places."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "places_0001", None
branch_labels, depends_on = ("places",), None


def upgrade() -> None:
    op.create_table(
        "places",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_index("ix_places_created_at", "places", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("places")
