"""The tables as Django sees them; migrations are not its business."""

import uuid

from django.db import models


class Resource(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.IntegerField(default=1, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class User(Resource):
    email = models.TextField(unique=True)
    name = models.TextField()
    password_hash = models.TextField()
    role = models.TextField()
    is_active = models.BooleanField()
    is_authenticated = True
    is_anonymous = False
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: list[str] = []

    class Meta:
        db_table = "users"
        managed = False


class Product(Resource):
    sku = models.TextField()
    name = models.TextField()
    description = models.TextField(null=True)
    category = models.TextField()
    price = models.DecimalField(max_digits=15, decimal_places=2)
    currency = models.TextField()
    stock = models.IntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        db_table = "products"
        managed = False


class Task(Resource):
    PRIORITIES = ("low", "normal", "high")

    owner = models.ForeignKey(User, on_delete=models.CASCADE)
    title = models.TextField()
    description = models.TextField(null=True)
    done = models.BooleanField(default=False)
    priority = models.SmallIntegerField(default=1)
    due_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "tasks"
        managed = False


class Order(Resource):
    owner = models.ForeignKey(User, on_delete=models.CASCADE)
    customer_id = models.UUIDField()
    currency = models.TextField()
    state = models.TextField(default="open")
    paid_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "orders"
        managed = False

    @property
    def total(self) -> int:
        return sum(item.quantity * item.price for item in self.items.all())


class OrderItem(models.Model):
    pk = models.CompositePrimaryKey("order_id", "position")
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items")
    position = models.IntegerField()
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.IntegerField()
    price = models.IntegerField()

    class Meta:
        db_table = "order_items"
        managed = False
        ordering = ("position",)
