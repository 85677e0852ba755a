"""Parcels."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "parcels_0001", None
branch_labels, depends_on = ("parcels",), ("core_0001", "users_0001")


def upgrade() -> None:
    op.create_table(
        "parcels",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("carrier", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_parcels_owner_id_created_at", "parcels", ["owner_id", "created_at", "id"])
    op.create_table(
        "stamps",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("parcel_id", sa.Uuid(), nullable=False),
        sa.Column("price", sa.Integer(), nullable=False),
        sa.Column("taken_from_id", sa.Uuid()),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcels.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["taken_from_id"], ["parcels.id"], ondelete="SET NULL"),
    )
    op.create_index("ix_stamps_parcel_id_created_at", "stamps", ["parcel_id", "created_at", "id"])
    op.create_table(
        "postmarks",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("stamp_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["stamp_id"], ["stamps.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_postmarks_stamp_id", "postmarks", ["stamp_id"])
    op.create_table(
        "parcel_labels",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["uploads.id"]),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], ondelete="CASCADE"),
    )
    op.create_index(
        "ix_parcel_labels_owner_id_created_at", "parcel_labels", ["owner_id", "created_at", "id"]
    )
    op.create_table(
        "flaws",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stamp_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["stamp_id"], ["stamps.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_flaws_stamp_id_created_at", "flaws", ["stamp_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("flaws")
    op.drop_table("parcel_labels")
    op.drop_table("postmarks")
    op.drop_table("stamps")
    op.drop_table("parcels")
