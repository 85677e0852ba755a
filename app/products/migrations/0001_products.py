"""Products, and the SKUs that a running import has seen."""

import sqlalchemy as sa
from alembic import op

revision = "products_0001"
down_revision = None
branch_labels = ("products",)
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


def upgrade() -> None:
    postgresql = op.get_context().dialect.name == "postgresql"
    op.create_table(
        "products",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(collation="C" if postgresql else None), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("price", sa.Numeric(15, 4) if postgresql else sa.Float(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("stock", sa.Integer(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
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
        "import_seen_skus",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "key", name="pk_import_seen_skus"),
    )


def downgrade() -> None:
    op.drop_table("import_seen_skus")
    op.drop_table("products")
