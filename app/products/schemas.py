"""What the product routes take and give."""

import marshmallow as ma

from app.kit.fields import Amount, Boolean, Currency, Integer, Text, Timestamp
from app.kit.pages import PageQuery, Sort, where
from app.kit.schema import ResourceSchema, Schema
from app.kit.search import matches
from app.products.models import Product


class ProductSchema(ResourceSchema):
    """A product."""

    sku = Text(least=1, most=64, required=True, metadata={"example": "MUG-0001"})
    name = Text(least=1, most=200, required=True, metadata={"example": "Enamel mug"})
    description = Text(most=5000, allow_none=True, metadata={"example": "Holds 0.3 litres."})
    category = Text(least=1, most=100, required=True, metadata={"example": "kitchen"})
    price = Amount(currency="currency", required=True, metadata={"example": "12.50"})
    currency = Currency(required=True, metadata={"example": "EUR"})
    stock = Integer(least=0, most=2**31 - 1, metadata={"example": 25})
    is_active = Boolean(metadata={"example": True})


class ProductQuery(PageQuery):
    """Which products, in which order."""

    category = where(Text(least=1, most=100), lambda value: Product.category == value)
    currency = where(Currency(), lambda value: Product.currency == value)
    is_active = where(Boolean(), lambda value: Product.is_active == value, needs="products:write")
    in_stock = where(
        Boolean(metadata={"description": "Only items of which there are some, or none."}),
        lambda value: (Product.stock > 0) == value,
    )
    price_min = where(Amount(), lambda value: Product.price >= value)
    price_max = where(Amount(), lambda value: Product.price <= value)
    created_from = where(Timestamp(), lambda value: Product.created_at >= value)
    created_to = where(Timestamp(), lambda value: Product.created_at < value)
    q = where(
        Text(least=1, most=200, metadata={"description": "Words of the name or description."}),
        lambda words: matches(words, Product.name, Product.description),
    )
    sort = Sort(
        {
            "created_at": Product.created_at,
            "updated_at": Product.updated_at,
            "name": Product.name,
            "price": Product.price,
        },
        default="-created_at",
    )


LARGEST_SUMMARY = 1000


class CategorySchema(Schema):
    """What a category holds in one currency."""

    category = Text(most=100, required=True, metadata={"example": "kitchen"})
    currency = Currency(required=True, metadata={"example": "EUR"})
    count = Integer(least=1, most=2**53, required=True, metadata={"example": 3})
    stock = Integer(least=0, most=2**53, required=True, metadata={"example": 25})
    price_min = Amount(currency="currency", required=True, metadata={"example": "2.00"})
    price_max = Amount(currency="currency", required=True, metadata={"example": "12.50"})


class SummarySchema(Schema):
    """The catalogue at a glance."""

    items = ma.fields.List(
        ma.fields.Nested(CategorySchema), validate=ma.validate.Length(max=LARGEST_SUMMARY)
    )
