"""FastAPI with asynchronous SQLAlchemy on asyncpg and uvloop; the token alone says who calls."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.peers.fastapi.schemas import (
    Credentials,
    OrderOut,
    Page,
    PageQuery,
    ProductIn,
    ProductOut,
    ProductPatch,
    ProductQuery,
    TaskOut,
    Token,
)
from bench.peers.models import Product, User, cut, select_orders, select_products, select_tasks

NAME = "flask-rest-reference"
KEY = bytes.fromhex(os.environ["TOKEN_KEY"])

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:")
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
hasher = PasswordHasher()
app = FastAPI()


async def get_db() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_db)]
TokenDep = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


async def get_claims(token: TokenDep) -> dict[str, Any]:
    try:
        return jwt.decode(token.credentials, KEY, algorithms=["HS256"], audience=NAME, issuer=NAME)
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "Could not validate credentials") from error


Claims = Annotated[dict[str, Any], Depends(get_claims)]


async def check_editor(claims: Claims) -> None:
    if claims["role"] not in ("editor", "admin"):
        raise HTTPException(403, "The user doesn't have enough privileges")


@app.get("/api/v1/products", response_model=Page[ProductOut])
async def read_products(
    session: SessionDep, claims: Claims, query: Annotated[ProductQuery, Query()]
) -> Any:
    rows = (await session.scalars(select_products(**query.model_dump()))).all()
    items, cursor = cut(rows, query.limit, query.sort)
    return {"items": items, "next_cursor": cursor}


@app.get("/api/v1/products/{product_id}", response_model=ProductOut)
async def read_product(session: SessionDep, claims: Claims, product_id: UUID) -> Any:
    product = await session.get(Product, product_id)
    if not product:
        raise HTTPException(404, "Product not found")
    return product


@app.post(
    "/api/v1/products",
    response_model=ProductOut,
    status_code=201,
    dependencies=[Depends(check_editor)],
)
async def create_product(session: SessionDep, data: ProductIn) -> Any:
    product = Product(**data.model_dump())
    session.add(product)
    await session.commit()
    return product


@app.patch(
    "/api/v1/products/{product_id}",
    response_model=ProductOut,
    dependencies=[Depends(check_editor)],
)
async def update_product(
    session: SessionDep,
    product_id: UUID,
    data: ProductPatch,
    if_match: Annotated[str, Header()],
) -> Any:
    product = await session.get(Product, product_id)
    if not product:
        raise HTTPException(404, "Product not found")
    if if_match != f'"{product.version}"':
        raise HTTPException(412, "The product has changed")
    for name, value in data.model_dump(exclude_unset=True).items():
        setattr(product, name, value)
    await session.commit()
    return product


@app.get("/api/v1/tasks", response_model=Page[TaskOut])
async def read_tasks(
    session: SessionDep, claims: Claims, query: Annotated[PageQuery, Query()]
) -> Any:
    statement = select_tasks(UUID(claims["sub"]), query.limit, query.cursor)
    items, cursor = cut((await session.scalars(statement)).all(), query.limit)
    return {"items": items, "next_cursor": cursor}


@app.get("/api/v1/orders", response_model=Page[OrderOut])
async def read_orders(
    session: SessionDep, claims: Claims, query: Annotated[PageQuery, Query()]
) -> Any:
    statement = select_orders(UUID(claims["sub"]), query.limit, query.cursor)
    items, cursor = cut((await session.scalars(statement)).all(), query.limit)
    return {"items": items, "next_cursor": cursor}


@app.post("/api/v1/auth/login")
async def login(session: SessionDep, data: Credentials) -> Token:
    user = await session.scalar(select(User).where(User.email == data.email))
    try:
        if not user or not user.is_active:
            raise HTTPException(401, "Incorrect email or password")
        await run_in_threadpool(hasher.verify, user.password_hash, data.password)
    except VerifyMismatchError as error:
        raise HTTPException(401, "Incorrect email or password") from error
    expires = datetime.now(UTC) + timedelta(minutes=10)
    claims = {"sub": str(user.id), "role": user.role, "exp": expires, "aud": NAME, "iss": NAME}
    return Token(access_token=jwt.encode(claims, KEY, "HS256"))
