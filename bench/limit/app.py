"""The requests of the benchmarks without a framework: a WSGI callable, psycopg, orjson, PyJWT.

One autocommit connection per thread; each response takes one prepared statement with binary
results. Reads return what ours return; writes also insert the audit event. Errors are a status
without a body.
"""

import os
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from hmac import compare_digest, digest
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

import jwt
import orjson
import psycopg
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from psycopg.types.json import Json

from bench.limit.statements import (
    CREATE,
    DECIMALS,
    FILTERS,
    ORDER,
    ORDERS,
    PRIORITIES,
    PRODUCT,
    READ,
    SORTS,
    TASK,
    WRITABLE,
    change_of,
)

URL = os.environ["DATABASE_URL"]
KEY = bytes.fromhex(os.environ["TOKEN_KEY"])
NAME = "flask-rest-reference"
hasher = PasswordHasher()
local = threading.local()

Body = dict[str, Any]
Answer = tuple[int, Any, list[tuple[str, str]]]
Dump = Callable[[tuple[Any, ...]], Body]


class Refused(Exception):
    """The response is this status without a body."""


def run(statement: str, values: Any) -> list[tuple[Any, ...]]:
    if not hasattr(local, "cursor"):
        connection = psycopg.connect(URL, autocommit=True, options="-c timezone=UTC")
        local.cursor = connection.cursor(binary=True)
    return local.cursor.execute(statement, values).fetchall()


def claims_of(environ: Body) -> Body:
    token = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    try:
        return jwt.decode(token, KEY, ["HS256"], audience=NAME, issuer=NAME)
    except jwt.InvalidTokenError as error:
        raise Refused(401) from error


def editor(environ: Body) -> Body:
    claims = claims_of(environ)
    if claims["role"] not in ("editor", "admin"):
        raise Refused(403)
    return claims


def body_of(environ: Body) -> Body:
    try:
        data = orjson.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    except ValueError as error:
        raise Refused(400) from error
    if not isinstance(data, dict):
        raise Refused(422)
    return data


def product_of(environ: Body) -> Body:
    """The members of the body, with types and bounds checked."""
    data = body_of(environ)
    for name, value in data.items():
        if name in ("sku", "name", "category", "currency"):
            right = isinstance(value, str) and 0 < len(value) <= 200
        elif name == "description":
            right = value is None or (isinstance(value, str) and len(value) <= 5000)
        elif name == "stock":
            right = type(value) is int and 0 <= value < 2**31
        elif name == "price":
            data["price"] = price = Decimal(value)
            right = 0 <= price < 10**11
        else:
            right = name == "is_active" and isinstance(value, bool)
        if not right:
            raise Refused(422)
    return data


def product(row: tuple[Any, ...]) -> Body:
    members = dict(zip(PRODUCT, row, strict=False))
    members["price"] = f"{members['price']:.{DECIMALS[members['currency']]}f}"
    return members


def task(row: tuple[Any, ...]) -> Body:
    members = dict(zip(TASK, row, strict=False))
    members["priority"] = PRIORITIES[members["priority"]]
    return members


def order(row: tuple[Any, ...]) -> Body:
    members = dict(zip(ORDER, row, strict=False))
    members["items"] = orjson.Fragment(members["items"])
    return members


def read(environ: Body, id_: UUID) -> Answer:
    claims_of(environ)
    rows = run(READ, (id_,))
    if not rows:
        raise Refused(404)
    return 200, product(rows[0]), [("ETag", f'"{rows[0][1]}"')]


def list_products(environ: Body) -> Answer:
    claims_of(environ)
    return page(environ, "products", PRODUCT, product, [])


def list_own(environ: Body, table: str, columns: tuple[str, ...], dump: Dump) -> Answer:
    claims = claims_of(environ)
    return page(environ, table, columns, dump, [f"owner_id = '{UUID(claims['sub'])}'"])


def page(
    environ: Body,
    table: str,
    columns: tuple[str, ...],
    dump: Dump,
    conditions: list[str],
) -> Answer:
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    limit, sort, cursor = int(query.pop("limit", 20)), query.pop("sort", "-created_at"), None
    if "cursor" in query:
        cursor = open_cursor(query.pop("cursor"))
    key, direction = sort.lstrip("-"), "DESC" if sort[0] == "-" else "ASC"
    if not 1 <= limit <= 100 or key not in SORTS or query.keys() - FILTERS.keys():
        raise Refused(422)
    conditions = conditions + [FILTERS[name] for name in query]
    values: Body = dict(query)
    if cursor:
        conditions.append(f"({key}, id) {'<' if sort[0] == '-' else '>'} (%(key)s, %(id)s)")
        values |= cursor
    where = " AND ".join(conditions) or "true"
    statement = (
        f"SELECT {', '.join(columns)}, {key} FROM {table} WHERE {where}"
        f" ORDER BY {key} {direction}, id {direction} LIMIT {limit + 1}"
    )
    rows = run(statement, values)
    following = None
    if len(rows) > limit:
        rows.pop()
        following = seal_cursor(rows[-1][-1], rows[-1][0])
    body = orjson.dumps(
        {"items": [dump(row) for row in rows], "next_cursor": following},
        option=orjson.OPT_UTC_Z,
    )
    tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    if environ.get("HTTP_IF_NONE_MATCH") == tag:
        return 304, b"", [("ETag", tag)]
    return 200, body, [("ETag", tag)]


def seal_cursor(key: Any, id_: UUID) -> str:
    text = orjson.dumps([str(key), id_])
    return urlsafe_b64encode(digest(KEY, text, "sha256")[:16] + text).decode()


def open_cursor(cursor: str) -> Body:
    raw = urlsafe_b64decode(cursor)
    if not compare_digest(raw[:16], digest(KEY, raw[16:], "sha256")[:16]):
        raise Refused(400)
    key, id_ = orjson.loads(raw[16:])
    return {"key": key, "id": UUID(id_)}


def create(environ: Body) -> Answer:
    claims = editor(environ)
    values = {"description": None, "stock": 0, "is_active": True} | product_of(environ)
    if values.keys() != set(WRITABLE):
        raise Refused(422)
    now, id_ = datetime.now(UTC), uuid7()
    members = product((id_, 1, now, now, *(values[name] for name in WRITABLE)))
    values |= {"id": id_, "now": now, "after": orjson.dumps(members, option=orjson.OPT_UTC_Z)}
    values["after"] = Json(values["after"], dumps=bytes)
    try:
        [row] = run(CREATE, values | audit_values(environ, claims))
    except psycopg.errors.UniqueViolation as error:
        raise Refused(409) from error
    location = f"/api/v1/products/{id_}"
    return 201, product(row), [("Location", location), ("ETag", '"1"')]


def change(environ: Body, id_: UUID) -> Answer:
    claims, values = editor(environ), product_of(environ)
    seen = environ.get("HTTP_IF_MATCH", "").strip('"')
    if not seen.isdigit():
        raise Refused(428)
    now = datetime.now(UTC)
    rows = run(
        change_of(tuple(values)),
        values | audit_values(environ, claims) | {"id": id_, "seen": int(seen), "now": now},
    )
    if not rows:
        raise Refused(412 if run("SELECT 1 FROM products WHERE id = %s", (id_,)) else 404)
    return 200, product(rows[0]), [("ETag", f'"{rows[0][1]}"')]


def audit_values(environ: Body, claims: Body) -> Body:
    caller, address = UUID(claims["sub"]), environ.get("REMOTE_ADDR")
    return {"event": uuid7(), "caller": caller, "address": address}


def login(environ: Body) -> Answer:
    data = body_of(environ)
    rows = run(
        "SELECT id, role, password_hash FROM users WHERE email = %s AND is_active",
        (data["email"],),
    )
    try:
        if not rows:
            raise Refused(401)
        hasher.verify(rows[0][2], data["password"])
    except VerifyMismatchError as error:
        raise Refused(401) from error
    expires = int(time.time()) + 600
    claims = {"sub": str(rows[0][0]), "role": rows[0][1], "exp": expires, "jti": str(uuid4())}
    token = jwt.encode(claims | {"iss": NAME, "aud": NAME}, KEY, "HS256")
    return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 600}, []


def argon2id(environ: Body) -> Answer:
    """Only the password hash of a login."""
    hasher.verify(HASH, "a password to measure with")
    return 200, {}, []


HASH = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(
    "a password to measure with"
)
ROUTES: dict[tuple[str, str], Callable[[Body], Answer]] = {
    ("GET", "/api/v1/products"): list_products,
    ("POST", "/api/v1/products"): create,
    ("GET", "/api/v1/tasks"): lambda environ: list_own(environ, "tasks", TASK, task),
    ("GET", "/api/v1/orders"): lambda environ: list_own(environ, ORDERS, ORDER, order),
    ("POST", "/api/v1/auth/login"): login,
    ("POST", "/argon2id"): argon2id,
}
ITEMS: dict[str, Callable[[Body, UUID], Answer]] = {"GET": read, "PATCH": change}
STATUS = {200: "200 OK", 201: "201 Created", 304: "304 Not Modified"}


def uuid7() -> UUID:
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    random = int.from_bytes(os.urandom(8)) >> 2
    number = milliseconds << 80 | 0x7 << 76 | (rest * 4096 // 1_000_000) << 64 | 0b10 << 62 | random
    return UUID(int=number)


def app(environ: Body, start_response: Callable[..., Any]) -> Iterable[bytes]:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    try:
        if route := ROUTES.get((method, path)):
            status, answer, headers = route(environ)
        elif path.startswith("/api/v1/products/") and method in ITEMS:
            status, answer, headers = ITEMS[method](environ, UUID(path[17:]))
        else:
            raise Refused(404)
    except Refused as refusal:
        start_response(f"{refusal} Refused", [("Content-Length", "0")])
        return [b""]
    if not isinstance(answer, bytes):
        answer = orjson.dumps(answer, option=orjson.OPT_UTC_Z)
    headers += [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    start_response(STATUS[status], headers)
    return [answer]
