"""The rows of the table: kinds of requests, and the check that all systems respond alike."""

import json
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from bench.database import USERS
from bench.systems import Running

API = "/api/v1"
VARIETY = 2_000  # different requests a row, where they can differ
SLICE = 250  # products that are updated at a time


@dataclass
class World:
    """The data from which requests are built: ids of products, and an access token."""

    database: str
    token: str = ""
    ids: list[str] = field(default_factory=list)

    def load(self, ours: Running, products: int) -> None:
        """Log in, and pick some of the products."""
        answer = json.loads(ours.call(log_in(DEMO_EMAIL))[2])
        self.token = answer["access_token"]
        numbers = random.Random(1).sample(range(products), VARIETY)
        with psycopg.connect(self.database) as connection:
            found = connection.execute(
                "SELECT id::text FROM products WHERE lower(sku) = ANY(%s)",
                [[f"seed-{number:07d}" for number in numbers]],
            )
            self.ids = [id_ for (id_,) in found]

    def request(self, method: str, path: str, body: Any = None, **fields: str) -> str:
        """An authenticated request as HTTP text."""
        return _request(method, path, body, Authorization=f"Bearer {self.token}", **fields)


def log_in(email: str, password: str = DEMO_PASSWORD) -> str:
    """The request that logs in."""
    return _request("POST", f"{API}/auth/login", {"email": email, "password": password})


def _request(method: str, path: str, body: Any = None, **fields: str) -> str:
    text = "" if body is None else json.dumps(body)
    if body is not None:
        length = len(text.replace("{{n}}", "0" * 10))
        fields |= {"Content-Type": "application/json", "Content-Length": str(length)}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", text])


Make = Callable[[World, Running], list[str]]


@dataclass(frozen=True)
class Row:
    """One kind of request. `make` returns the requests to send in turn to a system."""

    name: str
    title: str
    make: Make
    status: int = 200
    tracks_versions: bool = False
    only: str = ""  # the only system that has it
    min_seconds: int = 1  # of load, so that some requests are answered


def _get(*paths: str) -> Make:
    return lambda world, _: [world.request("GET", API + path) for path in paths]


def _by_id(world: World, _: Running) -> list[str]:
    return [world.request("GET", f"{API}/products/{id_}") for id_ in world.ids]


def _unchanged(world: World, running: Running) -> list[str]:
    """Peers without ETags send the whole page again, as to their clients."""
    path = f"{API}/products?limit=100"
    tag = running.call(world.request("GET", path))[1].get("etag", '"none"')
    return [world.request("GET", path, If_None_Match=tag)]


def product(sku: str) -> dict[str, Any]:
    """The body of a new product."""
    return {
        "sku": sku,
        "name": "Blue mug",
        "description": "A blue mug for the kitchen.",
        "category": "kitchen",
        "price": "12.50",
        "currency": "EUR",
        "stock": 25,
    }


def _create(world: World, _: Running) -> list[str]:
    sku = f"BENCH-{secrets.token_hex(6)}-{{{{n}}}}"
    return [world.request("POST", f"{API}/products", product(sku))]


def change(world: World, id_: str, version: str | int, price: int) -> str:
    """The request that updates price and stock of a product with If-Match."""
    body = {"price": f"{price / 100:.2f}", "stock": price % 100}
    return world.request("PATCH", f"{API}/products/{id_}", body, If_Match=f'"{version}"')


def _change(world: World, _: Running) -> list[str]:
    """Each begins with the id and version of its product; the load generator tracks the version.

    Each call takes other products, because some updates may be running when the load ends.
    """
    world.ids = world.ids[SLICE:] + world.ids[:SLICE]
    with psycopg.connect(world.database) as connection:
        versions = connection.execute(
            "SELECT id::text, version FROM products WHERE id = ANY(%s::uuid[])", [world.ids[:SLICE]]
        ).fetchall()
    prices = random.Random(1)
    return [
        f"{id_} {version} {change(world, id_, '{{version}}', prices.randrange(100, 20_000))}"
        for id_, version in versions
    ]


def _log_ins(_world: World, _: Running) -> list[str]:
    return [log_in(f"bench-{n}@example.com") for n in range(1, USERS)]


FILTERED = [
    f"/products?category={category}&currency={currency}&in_stock=true&price_min={price}.50&sort=price"
    for category in ("kitchen", "garden", "office")
    for currency in ("EUR", "USD")
    for price in range(5, 180, 5)
]
ROWS = {
    row.name: row
    for row in (
        Row("by-id", "product by id", _by_id),
        Row("page-20", "page of 20", _get("/products")),
        Row("page-100", "page of 100", _get("/products?limit=100")),
        Row("filtered", "filtered and sorted page", _get(*FILTERED)),
        Row("unchanged", "304 for a page of 100", _unchanged),
        Row("tasks", "tasks of one user", _get("/tasks")),
        Row("orders", "page of 20 orders with items", _get("/orders")),
        Row("create", "create", _create, 201),
        Row("change", "update with If-Match", _change, tracks_versions=True),
        Row("login", "log in", _log_ins, min_seconds=3),
        Row(
            "argon2id",
            "argon2id alone",
            lambda _world, _: [_request("POST", "/argon2id")],
            only="limit",
            min_seconds=3,
        ),
    )
}


# --- identical responses -----------------------------------------------------------------------


class Differs(Exception):
    """A system responds differently from ours, so nothing is measured."""


def check(world: World, running: Running, ours: Running) -> None:
    """Check that a system responds as ours does.

    Raises:
        Differs: with the first difference.
    """
    for path in (
        f"/products/{world.ids[0]}",
        "/products",
        "/products?limit=100",
        "/tasks",
        "/orders",
    ):
        _check_read(world, running, ours, path)
    for path in (FILTERED[0], FILTERED[-1]):
        _check_read(world, running, ours, path)
    _check_create(world, running, ours)
    _check_change(world, running, ours)
    _check_access(world, running)


def _check_read(world: World, running: Running, ours: Running, path: str) -> None:
    found = [_json(each, world.request("GET", API + path)) for each in (running, ours)]
    if "items" in found[0]:
        # Cursors differ, but must lead to the same rows.
        cursors = [page.pop("next_cursor") for page in found]
        sign = "&" if "?" in path else "?"
        for each, page, cursor in zip((running, ours), found, cursors, strict=True):
            further = world.request("GET", f"{API}{path}{sign}cursor={cursor}")
            page["then"] = _json(each, further)["items"]
    _same(running, path, *found)


def _check_create(world: World, running: Running, ours: Running) -> None:
    sku = f"BENCH-{secrets.token_hex(8)}"
    made = _json(running, world.request("POST", f"{API}/products", product(sku)), 201)
    _same(running, "create", made, made | product(sku) | {"version": 1, "is_active": True})
    stored = _json(ours, world.request("GET", f"{API}/products/{made['id']}"))
    _same(running, "create", made, stored)
    refused = {"sku": "", "name": "x"}
    _status(running, world.request("POST", f"{API}/products", refused), 400, 422)


def _check_change(world: World, running: Running, ours: Running) -> None:
    read = world.request("GET", f"{API}/products/{world.ids[1]}")
    version = _json(ours, read)["version"]
    changed = _json(running, change(world, world.ids[1], version, 1234 + version))
    _same(running, "change", changed, _json(ours, read))
    wanted = {"version": version + 1, "price": f"{(1234 + version) / 100:.2f}"}
    _same(running, "change", changed, changed | wanted)
    _status(running, change(world, world.ids[1], version, 4321), 412)


def _check_access(world: World, running: Running) -> None:
    token = _json(running, log_in("bench-1@example.com"))["access_token"]
    user = World(world.database, token)
    read = ("GET", f"{API}/products/{world.ids[0]}")
    _status(running, user.request(*read), 200)
    _status(running, user.request("POST", f"{API}/products", product("BENCH-no")), 403)
    # By default flask-jwt-extended responds with 422, and DRF with 403.
    _status(running, World("", token[:-4] + "AAAA").request(*read), 401, 422)
    _status(running, log_in("bench-1@example.com", "a wrong password, surely"), 401, 403)


def _json(running: Running, request: str, status: int = 200) -> Any:
    return json.loads(_status(running, request, status))


def _status(running: Running, request: str, *allowed: int) -> bytes:
    status, _, body = running.call(request)
    if status not in allowed:
        line = request.partition("\r\n")[0]
        raise Differs(f"{running.system.name}: {line}: {status}, not {allowed}: {body[:300]!r}")
    return body


def _same(running: Running, what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise Differs(f"{running.system.name}: {what}:\n  {found}\n  {wanted}"[:3000])
