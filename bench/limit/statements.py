"""The columns and statements of the requests without a framework."""

from functools import cache

DECIMALS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}
PRIORITIES = ("low", "normal", "high")

RESOURCE = ("id", "version", "created_at", "updated_at")
WRITABLE = ("sku", "name", "description", "category", "price", "currency", "stock", "is_active")
PRODUCT = RESOURCE + WRITABLE
TASK = (*RESOURCE, "title", "description", "done", "priority", "due_at", "completed_at")
ORDER = (*RESOURCE, "customer_id", "currency", "items", "total", "state", "paid_at")
ORDERS = """orders, LATERAL (
    SELECT coalesce(json_agg(json_build_object('product_id', product_id, 'quantity', quantity,
                                               'price', price) ORDER BY position), '[]')::text
           AS items, coalesce(sum(quantity * price), 0) AS total
    FROM order_items WHERE order_id = orders.id) lines"""
FILTERS = {
    "category": "category = %(category)s",
    "currency": "currency = %(currency)s",
    "in_stock": "(stock > 0) = %(in_stock)s",
    "price_min": "price >= %(price_min)s",
}
SORTS = {"created_at", "updated_at", "name", "price"}
AUDIT = """
    INSERT INTO audit_events (id, version, created_at, updated_at, actor_id, action, resource,
                              resource_id, before, after, ip_address)
    SELECT %(event)s, 1, %(now)s, %(now)s, %(caller)s, '{}', 'products', new.id, {}, {}, %(address)s
    FROM {}"""
COLUMNS = ", ".join(PRODUCT)
VALUES = ", ".join(f"%({name})s" for name in WRITABLE)
READ = f"SELECT {COLUMNS} FROM products WHERE id = %s"
CREATE = f"""
WITH new AS (
    INSERT INTO products ({COLUMNS})
    VALUES (%(id)s, 1, %(now)s, %(now)s, {VALUES})
    RETURNING {COLUMNS}),
audit AS ({AUDIT.format("create", "NULL", "%(after)s", "new")})
SELECT * FROM new"""


@cache
def change_of(names: tuple[str, ...]) -> str:
    news = ", ".join(f"{name} = %({name})s" for name in names)
    members = [", ".join(f"'{name}', {row}.{name}" for name in names) for row in ("old", "new")]
    audit = AUDIT.format("update", *(f"json_build_object({each})" for each in members), "old, new")
    return f"""
WITH old AS (SELECT * FROM products WHERE id = %(id)s FOR UPDATE),
new AS (
    UPDATE products SET {news}, version = old.version + 1, updated_at = %(now)s
    FROM old WHERE products.id = old.id AND old.version = %(seen)s RETURNING products.*),
audit AS ({audit})
SELECT {COLUMNS} FROM new"""
