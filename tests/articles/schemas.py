"""Schemas of the article routes."""

import marshmallow as ma

from app.core.database.full_text import matches
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Boolean, Currency, DateTime, Integer, MoneyAmount, String
from app.core.schemas.text_fields import Identifier, Name
from tests.articles.models import Article


class ArticleSchema(ResourceSchema):
    """A article."""

    sku = Identifier(max_length=64, required=True, metadata={"example": "MUG-0001"})
    name = Name(max_length=200, required=True, metadata={"example": "Enamel mug"})
    description = String(
        max_length=5000, allow_none=True, metadata={"example": "Holds 0.3 litres."}
    )
    category = Name(max_length=100, required=True, metadata={"example": "kitchen"})
    price = MoneyAmount(currency="currency", required=True, metadata={"example": "12.50"})
    currency = Currency(required=True, metadata={"example": "EUR"})
    stock = Integer(min=0, max=2**31 - 1, metadata={"example": 25})
    is_active = Boolean(metadata={"example": True})


class ArticleQuery(PageQuery):
    """Filters and order of the list of articles."""

    category = filter_by(
        String(min_length=1, max_length=100), lambda value: Article.category == value
    )
    currency = filter_by(Currency(), lambda value: Article.currency == value)
    is_active = filter_by(
        Boolean(), lambda value: Article.is_active == value, permission="articles:write"
    )
    in_stock = filter_by(
        Boolean(metadata={"description": "Whether `stock` is greater than 0."}),
        lambda value: (Article.stock > 0) == value,
    )
    price_min = filter_by(MoneyAmount(), lambda value: Article.price >= value)
    price_max = filter_by(MoneyAmount(), lambda value: Article.price <= value)
    created_from = filter_by(DateTime(), lambda value: Article.created_at >= value)
    created_to = filter_by(DateTime(), lambda value: Article.created_at < value)
    q = filter_by(
        String(
            min_length=1,
            max_length=200,
            metadata={"description": "Words in the name or description."},
        ),
        lambda words: matches(words, Article.name, Article.description),
    )
    sort = Sort(
        {
            "created_at": Article.created_at,
            "updated_at": Article.updated_at,
            "name": Article.name,
            "price": Article.price,
        },
        default="-created_at",
    )


MAX_SUMMARY_ITEMS = 1000


class PriceRangeSchema(Schema):
    """The articles of a category in one currency."""

    category = String(max_length=100, required=True, metadata={"example": "kitchen"})
    currency = Currency(required=True, metadata={"example": "EUR"})
    count = Integer(min=1, max=2**53, required=True, metadata={"example": 3})
    stock = Integer(min=0, max=2**53, required=True, metadata={"example": 25})
    price_min = MoneyAmount(currency="currency", required=True, metadata={"example": "2.00"})
    price_max = MoneyAmount(currency="currency", required=True, metadata={"example": "12.50"})


class PriceRangesSchema(Schema):
    """Aggregates by category and currency."""

    items = ma.fields.List(
        ma.fields.Nested(PriceRangeSchema), validate=ma.validate.Length(max=MAX_SUMMARY_ITEMS)
    )
