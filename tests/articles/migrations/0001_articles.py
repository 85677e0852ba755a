"""Articles."""

import sqlalchemy as sa
from alembic import op

revision = "articles_0001"
down_revision = None
branch_labels = ("articles",)
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
        "articles",
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
        sa.PrimaryKeyConstraint("id", name="pk_articles"),
        sa.CheckConstraint("stock >= 0", name=op.f("ck_articles_stock")),
        sa.CheckConstraint("price >= 0", name=op.f("ck_articles_price")),
        sa.CheckConstraint(PRICE_SCALE, name=op.f("ck_articles_price_scale")),
    )
    op.create_index("uq_articles_sku", "articles", [sa.text("lower(sku)")], unique=True)
    for key in ("created_at", "updated_at", "name", "price"):
        op.create_index(f"ix_articles_{key}_id", "articles", [key, "id"])
    if postgresql:
        op.create_index("ix_articles_search", "articles", [sa.text(SEARCH)], postgresql_using="gin")


def downgrade() -> None:
    op.drop_table("articles")
