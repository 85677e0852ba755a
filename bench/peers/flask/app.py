"""Flask as tutorials write it: Flask-SQLAlchemy, flask-smorest, marshmallow, flask-jwt-extended."""

import os
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from flask import Flask, request
from flask.views import MethodView
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    current_user,
    jwt_required,
)
from flask_smorest import Api, Blueprint, abort
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields, validate
from sqlalchemy import select

from bench.peers.models import (
    Base,
    Product,
    User,
    cut,
    select_orders,
    select_products,
    select_tasks,
)

NAME = "flask-rest-reference"
hasher = PasswordHasher()

app = Flask(__name__)
app.config |= {
    "API_TITLE": "Products",
    "API_VERSION": "v1",
    "OPENAPI_VERSION": "3.1.0",
    "SQLALCHEMY_DATABASE_URI": os.environ["DATABASE_URL"],
    "JWT_SECRET_KEY": bytes.fromhex(os.environ["TOKEN_KEY"]),
    "JWT_ENCODE_ISSUER": NAME,
    "JWT_DECODE_ISSUER": NAME,
    "JWT_ENCODE_AUDIENCE": NAME,
    "JWT_DECODE_AUDIENCE": NAME,
}
db = SQLAlchemy(app, model_class=Base, disable_autonaming=True)
jwt = JWTManager(app)
api = Api(app)
products = Blueprint("products", __name__, url_prefix="/api/v1/products")
tasks = Blueprint("tasks", __name__, url_prefix="/api/v1/tasks")
orders = Blueprint("orders", __name__, url_prefix="/api/v1/orders")
auth = Blueprint("auth", __name__, url_prefix="/api/v1/auth")


class Instant(fields.AwareDateTime):
    """With Z for UTC, as the others write it."""

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = super()._serialize(value, *args, **kwargs)
        return text and text.replace("+00:00", "Z")


class ResourceSchema(Schema):
    id = fields.UUID(dump_only=True)
    version = fields.Integer(dump_only=True)
    created_at = Instant(dump_only=True)
    updated_at = Instant(dump_only=True)


class ProductSchema(ResourceSchema):
    sku = fields.String(required=True, validate=validate.Length(1, 64))
    name = fields.String(required=True, validate=validate.Length(1, 200))
    description = fields.String(allow_none=True, validate=validate.Length(max=5000))
    category = fields.String(required=True, validate=validate.Length(1, 100))
    price = fields.Decimal(required=True, places=2, as_string=True, validate=validate.Range(min=0))
    currency = fields.String(required=True, validate=validate.Regexp("^[A-Z]{3}$"))
    stock = fields.Integer(validate=validate.Range(0, 2**31 - 1))
    is_active = fields.Boolean()


class TaskSchema(ResourceSchema):
    title = fields.String(required=True)
    description = fields.String(allow_none=True)
    done = fields.Boolean()
    priority = fields.String()
    due_at = Instant(allow_none=True)
    completed_at = Instant(allow_none=True)


class OrderItemSchema(Schema):
    product_id = fields.UUID()
    quantity = fields.Integer()
    price = fields.Integer()


class OrderSchema(ResourceSchema):
    customer_id = fields.UUID()
    currency = fields.String()
    items = fields.List(fields.Nested(OrderItemSchema))
    total = fields.Integer(dump_only=True)
    state = fields.String(dump_only=True)
    paid_at = Instant(dump_only=True)


class PageQuery(Schema):
    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100))
    cursor = fields.String(load_default=None)


class ProductQuery(PageQuery):
    sort = fields.String(
        load_default="-created_at",
        validate=validate.OneOf(["created_at", "-created_at", "price", "-price"]),
    )
    category = fields.String(load_default=None)
    currency = fields.String(load_default=None)
    in_stock = fields.Boolean(load_default=None)
    price_min = fields.Decimal(load_default=None)


class ProductPage(Schema):
    items = fields.List(fields.Nested(ProductSchema))
    next_cursor = fields.String(allow_none=True)


class TaskPage(Schema):
    items = fields.List(fields.Nested(TaskSchema))
    next_cursor = fields.String(allow_none=True)


class OrderPage(Schema):
    items = fields.List(fields.Nested(OrderSchema))
    next_cursor = fields.String(allow_none=True)


class Credentials(Schema):
    email = fields.Email(required=True)
    password = fields.String(required=True)


class Token(Schema):
    access_token = fields.String()
    token_type = fields.String()
    expires_in = fields.Integer()


@jwt.user_lookup_loader
def load_user(_header: Any, claims: dict[str, Any]) -> User | None:
    user = db.session.get(User, UUID(claims["sub"]))
    return user if user and user.is_active else None


def require_editor() -> None:
    if current_user.role not in ("editor", "admin"):
        abort(403)


@products.route("")
class Products(MethodView):
    @jwt_required()
    @products.arguments(ProductQuery, location="query")
    @products.response(200, ProductPage)
    def get(self, query: dict[str, Any]) -> Any:
        rows = db.session.scalars(select_products(**query)).all()
        items, cursor = cut(rows, query["limit"], query["sort"])
        return {"items": items, "next_cursor": cursor}

    @jwt_required()
    @products.arguments(ProductSchema)
    @products.response(201, ProductSchema)
    def post(self, data: dict[str, Any]) -> Any:
        require_editor()
        product = Product(**data)
        db.session.add(product)
        db.session.commit()
        return product


@products.route("/<uuid:product_id>")
class ProductById(MethodView):
    @jwt_required()
    @products.response(200, ProductSchema)
    def get(self, product_id: UUID) -> Any:
        return db.get_or_404(Product, product_id)

    @jwt_required()
    @products.arguments(ProductSchema(partial=True))
    @products.response(200, ProductSchema)
    def patch(self, data: dict[str, Any], product_id: UUID) -> Any:
        require_editor()
        product = db.get_or_404(Product, product_id)
        if request.headers.get("If-Match") != f'"{product.version}"':
            abort(412)
        for name, value in data.items():
            setattr(product, name, value)
        db.session.commit()
        return product


@tasks.route("")
class Tasks(MethodView):
    @jwt_required()
    @tasks.arguments(PageQuery, location="query")
    @tasks.response(200, TaskPage)
    def get(self, query: dict[str, Any]) -> Any:
        rows = db.session.scalars(select_tasks(current_user.id, **query)).all()
        items, cursor = cut(rows, query["limit"])
        return {"items": items, "next_cursor": cursor}


@orders.route("")
class Orders(MethodView):
    @jwt_required()
    @orders.arguments(PageQuery, location="query")
    @orders.response(200, OrderPage)
    def get(self, query: dict[str, Any]) -> Any:
        rows = db.session.scalars(select_orders(current_user.id, **query)).all()
        items, cursor = cut(rows, query["limit"])
        return {"items": items, "next_cursor": cursor}


@auth.route("/login")
class Login(MethodView):
    @auth.arguments(Credentials)
    @auth.response(200, Token)
    def post(self, data: dict[str, Any]) -> Any:
        user = db.session.scalar(select(User).where(User.email == data["email"]))
        try:
            if user is None or not user.is_active:
                abort(401)
            hasher.verify(user.password_hash, data["password"])
        except VerifyMismatchError:
            abort(401)
        token = create_access_token(str(user.id), additional_claims={"role": user.role})
        return {"access_token": token, "token_type": "Bearer", "expires_in": 900}


for blueprint in (products, tasks, orders, auth):
    api.register_blueprint(blueprint)
