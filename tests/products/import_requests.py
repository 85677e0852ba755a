"""Imports as the tests send them."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from app.products.models import Product
from tests import rows
from tests.api import Api, Caller

HEADER = "sku,name,description,category,price,currency,stock,is_active"

CSV, NDJSON = "text/csv", "application/x-ndjson"

Import = Callable[..., dict[str, Any]]


def csv(*lines: str | bytes, header: str = HEADER) -> bytes:
    parts = [line.encode() if isinstance(line, str) else line for line in (header, *lines)]
    return b"\r\n".join(parts) + b"\r\n"


def line(sku: str, **changes: Any) -> str:
    values = {
        "sku": sku,
        "name": "Enamel mug",
        "description": "",
        "category": "kitchen",
        "price": "12.50",
        "currency": "EUR",
        "stock": "3",
        "is_active": "true",
    }
    return ",".join({**values, **changes}.values())


def send(
    api: Api, by: Caller | None, data: bytes, media_type: str = CSV, query: str = "", **kwargs: Any
) -> TestResponse:
    headers = {"Content-Type": media_type, **kwargs.pop("headers", {})}
    path = f"products/imports{query}"
    return api.call("POST", path, by=by, data=data, headers=headers, **kwargs)


def skus(app: Flask) -> list[str]:
    return sorted(rows.read(app, Product.sku))
