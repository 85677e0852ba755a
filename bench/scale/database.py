"""Databases of ten thousand, a million and ten million products."""

import psycopg

from bench import database

SIZES = (10_000, 1_000_000, 10_000_000)

# At this level TRUNCATE, INSERT and CREATE INDEX in one transaction are not logged: lost data of a
# benchmark is generated again.
UNLOGGED = {"wal_level": "minimal", "max_wal_senders": "0"}

# As `flask seed` creates them, with ids in the order of time, and updated some time later.
_PRODUCTS = """
INSERT INTO products (id, sku, name, description, category, price, currency, stock, is_active,
                      version, created_at, updated_at)
SELECT (lpad(to_hex((extract(epoch FROM made) * 1000)::bigint), 12, '0')
           || '7' || substr(digits, 1, 3) || '8' || substr(digits, 4, 15))::uuid,
       'SEED-' || lpad(n::text, 7, '0'),
       initcap(colour) || ' ' || thing || ' ' || n,
       'A ' || colour || ' ' || thing || ' for the ' || category || '.',
       category, (100 + floor(random() * 19900)) / 100, (ARRAY['EUR', 'USD'])[1 + n %% 2],
       floor(random() * 100), true, 1, made, made + random() * interval '30 days'
FROM (SELECT n, md5(n::text) AS digits, timestamptz '2025-01-01' + n * interval '1 second' AS made,
             (ARRAY['mug', 'kettle', 'spade', 'lamp'])[1 + kind] AS thing,
             (ARRAY['kitchen', 'kitchen', 'garden', 'office'])[1 + kind] AS category,
             (ARRAY['blue', 'green', 'red', 'white', 'yellow'])[1 + shade] AS colour
      FROM (SELECT n, floor(random() * 4)::int AS kind, floor(random() * 5)::int AS shade
            FROM generate_series(0, %s - 1) n) AS dice) AS products
"""


def provide(server: str, size: int) -> str:
    """The URL of the database with `size` products; it is created if it is missing."""
    name = f"scale_{size}"
    url = f"{server.rpartition('/')[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as connection:
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
            connection.execute(f"CREATE DATABASE {name}")
    database.fill(url, 50)
    with psycopg.connect(url, autocommit=True) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM products").fetchall()
        if count != size:
            make(connection, size)
    return url


def make(connection: psycopg.Connection, size: int) -> None:
    """Fill the table, then create its indexes, which is faster."""
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes"
        " WHERE tablename = 'products' AND indexname NOT LIKE 'pk%'"
    ).fetchall()
    with connection.transaction():
        connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
        connection.execute("TRUNCATE products")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_PRODUCTS, [size])
        for _, definition in indexes:
            connection.execute(definition)
    connection.execute("VACUUM (ANALYZE, FREEZE) products")
    connection.execute("CHECKPOINT")
