"""Users, their sessions, products, tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEARCH = "to_tsvector('simple'::regconfig, coalesce(name, '') || ' ' || coalesce(description, ''))"
PRICE_SCALE = (
    "price = round(price, CASE"
    " WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF',"
    " 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') THEN 0"
    " WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3"
    " WHEN currency IN ('CLF', 'UYW') THEN 4"
    " ELSE 2 END)"
)


def _resource() -> list[sa.Column]:
    """The columns of everything that has a URL."""
    return [
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    ]


def upgrade() -> None:
    postgresql = op.get_context().dialect.name == "postgresql"
    by_code_point = sa.Text(collation="C") if postgresql else sa.Text()
    never = (
        "'9999-12-31 00:00:00+00'::timestamptz" if postgresql else "'9999-12-31 00:00:00.000000'"
    )

    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        *_resource(),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        sa.CheckConstraint("role IN ('user', 'editor', 'admin')", name=op.f("ck_users_role")),
    )
    op.create_index("ix_users_created_at_id", "users", ["created_at", "id"])
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("refresh_token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("ip_address", sa.Text(), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        *_resource(),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_sessions_owner_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_sessions_owner_id_created_at", "sessions", ["owner_id", "created_at", "id"])
    op.create_table(
        "products",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("name", by_code_point, nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("price", sa.Numeric(15, 4) if postgresql else sa.Float(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("stock", sa.Integer(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        *_resource(),
        sa.PrimaryKeyConstraint("id", name="pk_products"),
        sa.CheckConstraint("stock >= 0", name=op.f("ck_products_stock")),
        sa.CheckConstraint("price >= 0", name=op.f("ck_products_price")),
        sa.CheckConstraint(PRICE_SCALE, name=op.f("ck_products_price_scale")),
    )
    op.create_index("uq_products_sku", "products", [sa.text("lower(sku)")], unique=True)
    for key in ("created_at", "updated_at", "name", "price"):
        op.create_index(f"ix_products_{key}_id", "products", [key, "id"])
    if postgresql:
        op.create_index("ix_products_search", "products", [sa.text(SEARCH)], postgresql_using="gin")
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("title", by_code_point, nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        *_resource(),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_tasks_owner_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint("priority BETWEEN 0 AND 2", name=op.f("ck_tasks_priority")),
        sa.CheckConstraint("done = (completed_at IS NOT NULL)", name=op.f("ck_tasks_completed_at")),
    )
    for name, key in {
        "created_at": "created_at",
        "due_at": sa.text(f"coalesce(due_at, {never})"),
        "priority": "priority",
        "title": "title",
    }.items():
        op.create_index(f"ix_tasks_owner_id_{name}", "tasks", ["owner_id", key, "id"])


def downgrade() -> None:
    for table in ("tasks", "products", "sessions", "users"):
        op.drop_table(table)
