"""The model of articles."""

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Index,
    Select,
    Text,
    case,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.full_text import search_index
from app.core.database.mixins import ResourceMixin
from app.core.database.types import CodepointText, Money
from app.core.schemas.currencies import CURRENCY_SCALES
from app.core.security.authorization import Caller
from app.extensions import Base


def _currency_scale_sql(code: Any) -> Any:
    """Return SQL for the number of decimals of a currency: constants only, no parameters."""
    by_scale: dict[int, list[Any]] = {
        n: [literal_column(f"'{c}'") for c, m in CURRENCY_SCALES.items() if m == n]
        for n in (0, 3, 4)
    }
    cases: list[Any] = [(code.in_(codes), literal_column(str(n))) for n, codes in by_scale.items()]
    return case(*cases, else_=literal_column("2"))


class Article(ResourceMixin, Base):
    """An article of the catalogue."""

    __tablename__ = "articles"
    __table_args__ = (
        CheckConstraint("stock >= 0", name="stock"),
        CheckConstraint("price >= 0", name="price"),
        # A PATCH of the price does not know the currency of the row:
        # docs/decisions.md#5-money-as-numeric-with-a-scale-check
        CheckConstraint(
            text(f"price = round(price, {_currency_scale_sql(literal_column('currency'))})"),
            name="price_scale",
            info={
                "problem": "validation-error",
                "field": "price",
                "detail": "Has more decimals than its currency allows.",
            },
        ),
        search_index("ix_articles_search", "name", "description"),
    )

    sku: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(CodepointText)
    description: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str] = mapped_column(Text)
    price: Mapped[Decimal] = mapped_column(Money)
    currency: Mapped[str] = mapped_column(Text)
    stock: Mapped[int] = mapped_column(default=0)
    is_active: Mapped[bool] = mapped_column(default=True)

    @staticmethod
    def visible_to(caller: Caller) -> "Select[Article]":
        """Return the query of all articles with `articles:write`, else that of active ones."""
        return ALL_ARTICLES if caller.can("articles:write") else ACTIVE_ARTICLES


ALL_ARTICLES = select(Article)
ACTIVE_ARTICLES = select(Article).where(Article.is_active)

Index(
    "uq_articles_sku",
    func.lower(Article.sku),
    unique=True,
    info={"field": "sku", "detail": "An article with this SKU exists already."},
)
for _key in (Article.created_at, Article.updated_at, Article.name, Article.price):
    Index(f"ix_articles_{_key.key}_id", _key, Article.id)
