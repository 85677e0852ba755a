"""Litestar with msgspec and asynchronous SQLAlchemy on asyncpg, served by Granian.

Its own JWT backend reads the token, which alone says who calls.
"""

import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from litestar import Litestar, Request, get, patch, post
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import (
    ClientException,
    NotAuthorizedException,
    NotFoundException,
    PermissionDeniedException,
)
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter
from litestar.security.jwt import JWTAuth, Token
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.peers.models import Product, User, cut, select_orders, select_products, select_tasks

NAME = "flask-rest-reference"

Item = TypeVar("Item")
Sku = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Description = Annotated[str, Meta(max_length=5000)]
Category = Annotated[str, Meta(min_length=1, max_length=100)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Stock = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Parameter(ge=1, le=100)]


class ProductIn(Struct, forbid_unknown_fields=True):
    sku: Sku
    name: Name
    category: Category
    price: Decimal
    currency: Currency
    description: Description | None = None
    stock: Stock = 0
    is_active: bool = True


class ProductPatch(Struct, forbid_unknown_fields=True):
    sku: Sku | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    category: Category | UnsetType = UNSET
    price: Decimal | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    stock: Stock | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class Out(Struct):
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


class OrderItemOut(Struct):
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


class Page(Struct, Generic[Item]):
    items: list[Item]
    next_cursor: str | None


class Credentials(Struct):
    email: str
    password: str


class TokenOut(Struct):
    access_token: str
    token_type: str = "Bearer"
    expires_in: int = 600


class Caller(Struct):
    id: UUID
    role: str


engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:")
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
hasher = PasswordHasher()


async def provide_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


async def retrieve_user(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    return Caller(UUID(token.sub), token.extras["role"])


jwt_auth = JWTAuth[Caller](
    retrieve_user_handler=retrieve_user,
    token_secret=bytes.fromhex(os.environ["TOKEN_KEY"]),  # type: ignore[arg-type]
    accepted_audiences=[NAME],
    accepted_issuers=[NAME],
    exclude=["/api/v1/auth/login", "/schema"],
)


def editors(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    if connection.user.role not in ("editor", "admin"):
        raise PermissionDeniedException


@get("/api/v1/products")
async def list_products(
    session: AsyncSession,
    limit: Limit = 20,
    cursor: str | None = None,
    sort: Literal["created_at", "-created_at", "price", "-price"] = "-created_at",
    category: str | None = None,
    currency: str | None = None,
    in_stock: bool | None = None,
    price_min: Decimal | None = None,
) -> Page[ProductOut]:
    statement = select_products(
        sort=sort,
        limit=limit,
        cursor=cursor,
        category=category,
        currency=currency,
        in_stock=in_stock,
        price_min=price_min,
    )
    items, following = cut((await session.scalars(statement)).all(), limit, sort)
    return Page(msgspec.convert(items, list[ProductOut], from_attributes=True), following)


@get("/api/v1/products/{product_id:uuid}")
async def read_product(session: AsyncSession, product_id: UUID) -> ProductOut:
    product = await session.get(Product, product_id)
    if product is None:
        raise NotFoundException
    return msgspec.convert(product, ProductOut, from_attributes=True)


@post("/api/v1/products", guards=[editors])
async def create_product(session: AsyncSession, data: ProductIn) -> ProductOut:
    product = Product(**msgspec.structs.asdict(data))
    session.add(product)
    await session.commit()
    return msgspec.convert(product, ProductOut, from_attributes=True)


@patch("/api/v1/products/{product_id:uuid}", guards=[editors])
async def change_product(
    session: AsyncSession,
    product_id: UUID,
    data: ProductPatch,
    if_match: Annotated[str, Parameter(header="If-Match")],
) -> ProductOut:
    product = await session.get(Product, product_id)
    if product is None:
        raise NotFoundException
    if if_match != f'"{product.version}"':
        raise ClientException(status_code=412)
    for name, value in msgspec.structs.asdict(data).items():
        if value is not UNSET:
            setattr(product, name, value)
    await session.commit()
    return msgspec.convert(product, ProductOut, from_attributes=True)


@get("/api/v1/tasks")
async def list_tasks(
    request: Request[Caller, Token, Any],
    session: AsyncSession,
    limit: Limit = 20,
    cursor: str | None = None,
) -> Page[TaskOut]:
    rows = (await session.scalars(select_tasks(request.user.id, limit, cursor))).all()
    items, following = cut(rows, limit)
    return Page(msgspec.convert(items, list[TaskOut], from_attributes=True), following)


@get("/api/v1/orders")
async def list_orders(
    request: Request[Caller, Token, Any],
    session: AsyncSession,
    limit: Limit = 20,
    cursor: str | None = None,
) -> Page[OrderOut]:
    rows = (await session.scalars(select_orders(request.user.id, limit, cursor))).all()
    items, following = cut(rows, limit)
    return Page(msgspec.convert(items, list[OrderOut], from_attributes=True), following)


@post("/api/v1/auth/login", status_code=200)
async def login(session: AsyncSession, data: Credentials) -> TokenOut:
    user = await session.scalar(select(User).where(User.email == data.email))
    try:
        if user is None or not user.is_active:
            raise NotAuthorizedException
        await sync_to_thread(hasher.verify, user.password_hash, data.password)
    except VerifyMismatchError as error:
        raise NotAuthorizedException from error
    token = jwt_auth.create_token(
        str(user.id),
        token_expiration=timedelta(minutes=10),
        token_issuer=NAME,
        token_audience=NAME,
        token_extras={"role": user.role},
    )
    return TokenOut(token)


app = Litestar(
    [list_products, read_product, create_product, change_product, list_tasks, list_orders, login],
    dependencies={"session": Provide(provide_session)},
    on_app_init=[jwt_auth.on_app_init],
)
