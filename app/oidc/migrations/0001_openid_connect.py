"""OpenID Connect."""

import sqlalchemy as sa
from alembic import op

revision = "oidc_0001"
down_revision = None
branch_labels = ("oidc",)
depends_on = "auth_0001"


def upgrade() -> None:
    op.create_table(
        "oidc_used_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_oidc_used_tokens")),
    )
    op.create_index("ix_oidc_used_tokens_expires_at", "oidc_used_tokens", ["expires_at"])
    op.create_table(
        "oidc_identities",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_oidc_identities_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oidc_identities")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_oidc_identities_issuer_subject")),
        sa.UniqueConstraint("owner_id", "issuer", name=op.f("uq_oidc_identities_owner_id_issuer")),
    )
    op.create_index(
        "ix_oidc_identities_owner_id_created_at",
        "oidc_identities",
        ["owner_id", "created_at", "id"],
    )
    op.create_table(
        "oidc_sessions",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sid", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["sessions.id"],
            name=op.f("fk_oidc_sessions_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_oidc_sessions")),
    )
    op.create_index("ix_oidc_sessions_issuer_sid", "oidc_sessions", ["issuer", "sid"])
    op.create_index("ix_oidc_sessions_issuer_subject", "oidc_sessions", ["issuer", "subject"])


def downgrade() -> None:
    op.drop_table("oidc_sessions")
    op.drop_table("oidc_identities")
    op.drop_table("oidc_used_tokens")
