"""What both FastAPI applications take and give."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")

Sku = Annotated[str, Field(min_length=1, max_length=64)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=5000)]
Category = Annotated[str, Field(min_length=1, max_length=100)]
Price = Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=2)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Stock = Annotated[int, Field(ge=0, le=2**31 - 1)]


class ProductIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: Sku
    name: Name
    description: Description | None = None
    category: Category
    price: Price
    currency: Currency
    stock: Stock = 0
    is_active: bool = True


class ProductPatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: Sku | None = None
    name: Name | None = None
    description: Description | None = None
    category: Category | None = None
    price: Price | None = None
    currency: Currency | None = None
    stock: Stock | None = None
    is_active: bool | None = None


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    version: int
    created_at: datetime
    updated_at: datetime


class ProductOut(Out):
    sku: str
    name: str
    description: str | None
    category: str
    price: Decimal
    currency: str
    stock: int
    is_active: bool


class TaskOut(Out):
    title: str
    description: str | None
    done: bool
    priority: str
    due_at: datetime | None
    completed_at: datetime | None


class OrderItemOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    product_id: UUID
    quantity: int
    price: int


class OrderOut(Out):
    customer_id: UUID
    currency: str
    items: list[OrderItemOut]
    total: int
    state: str
    paid_at: datetime | None


class Page(BaseModel, Generic[Item]):
    items: list[Item]
    next_cursor: str | None


class PageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=100)
    cursor: str | None = None


class ProductQuery(PageQuery):
    sort: Literal["created_at", "-created_at", "price", "-price"] = "-created_at"
    category: str | None = None
    currency: str | None = None
    in_stock: bool | None = None
    price_min: Decimal | None = None


class Credentials(BaseModel):
    email: str
    password: str


class Token(BaseModel):
    access_token: str
    token_type: str = "Bearer"
    expires_in: int = 600
