"""FastAPI with synchronous SQLAlchemy, after its full-stack template.

A session and the user are dependencies, the user is loaded on each request, entities are returned
and a response model writes them.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

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

engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"))
hasher = PasswordHasher()
app = FastAPI()


def get_db() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_db)]
TokenDep = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


def get_current_user(session: SessionDep, token: TokenDep) -> User:
    try:
        payload = jwt.decode(
            token.credentials, KEY, algorithms=["HS256"], audience=NAME, issuer=NAME
        )
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "Could not validate credentials") from error
    user = session.get(User, UUID(payload["sub"]))
    if not user or not user.is_active:
        raise HTTPException(401, "Could not validate credentials")
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


def get_current_editor(current_user: CurrentUser) -> User:
    if current_user.role not in ("editor", "admin"):
        raise HTTPException(403, "The user doesn't have enough privileges")
    return current_user


@app.get("/api/v1/products", response_model=Page[ProductOut])
def read_products(
    session: SessionDep, user: CurrentUser, query: Annotated[ProductQuery, Query()]
) -> Any:
    rows = session.scalars(select_products(**query.model_dump())).all()
    items, cursor = cut(rows, query.limit, query.sort)
    return {"items": items, "next_cursor": cursor}


@app.get("/api/v1/products/{product_id}", response_model=ProductOut)
def read_product(session: SessionDep, user: CurrentUser, product_id: UUID) -> Any:
    product = session.get(Product, product_id)
    if not product:
        raise HTTPException(404, "Product not found")
    return product


@app.post(
    "/api/v1/products",
    response_model=ProductOut,
    status_code=201,
    dependencies=[Depends(get_current_editor)],
)
def create_product(session: SessionDep, data: ProductIn) -> Any:
    product = Product(**data.model_dump())
    session.add(product)
    session.commit()
    session.refresh(product)
    return product


@app.patch(
    "/api/v1/products/{product_id}",
    response_model=ProductOut,
    dependencies=[Depends(get_current_editor)],
)
def update_product(
    session: SessionDep,
    product_id: UUID,
    data: ProductPatch,
    if_match: Annotated[str, Header()],
) -> Any:
    product = session.get(Product, product_id)
    if not product:
        raise HTTPException(404, "Product not found")
    if if_match != f'"{product.version}"':
        raise HTTPException(412, "The product has changed")
    for name, value in data.model_dump(exclude_unset=True).items():
        setattr(product, name, value)
    session.add(product)
    session.commit()
    session.refresh(product)
    return product


@app.get("/api/v1/tasks", response_model=Page[TaskOut])
def read_tasks(session: SessionDep, user: CurrentUser, query: Annotated[PageQuery, Query()]) -> Any:
    rows = session.scalars(select_tasks(user.id, query.limit, query.cursor)).all()
    items, cursor = cut(rows, query.limit)
    return {"items": items, "next_cursor": cursor}


@app.get("/api/v1/orders", response_model=Page[OrderOut])
def read_orders(
    session: SessionDep, user: CurrentUser, query: Annotated[PageQuery, Query()]
) -> Any:
    rows = session.scalars(select_orders(user.id, query.limit, query.cursor)).all()
    items, cursor = cut(rows, query.limit)
    return {"items": items, "next_cursor": cursor}


@app.post("/api/v1/auth/login")
def login(session: SessionDep, data: Credentials) -> Token:
    user = session.scalar(select(User).where(User.email == data.email))
    try:
        if not user or not user.is_active or not hasher.verify(user.password_hash, data.password):
            raise HTTPException(401, "Incorrect email or password")
    except VerifyMismatchError as error:
        raise HTTPException(401, "Incorrect email or password") from error
    expires = datetime.now(UTC) + timedelta(minutes=10)
    claims = {"sub": str(user.id), "role": user.role, "exp": expires, "aud": NAME, "iss": NAME}
    return Token(access_token=jwt.encode(claims, KEY, "HS256"))
