"""Django REST framework: generic views, model serializers, django-filter, Simple JWT."""

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings

NAME = "flask-rest-reference"
database = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    SECRET_KEY="signs nothing here",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    TIME_ZONE="UTC",
    APPEND_SLASH=False,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django_filters",
        "rest_framework",
        "bench.peers.drf",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    AUTH_USER_MODEL="drf.User",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.path[1:],
            "USER": database.username,
            "PASSWORD": database.password,
            "HOST": database.hostname,
            "PORT": database.port,
            "CONN_MAX_AGE": 600,
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication"
        ],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    },
    SIMPLE_JWT={
        "SIGNING_KEY": bytes.fromhex(os.environ["TOKEN_KEY"]),
        "AUDIENCE": NAME,
        "ISSUER": NAME,
        "USER_ID_CLAIM": "sub",
        "TOKEN_TYPE_CLAIM": "type",
    },
)
django.setup()

from argon2 import PasswordHasher  # noqa: E402
from argon2.exceptions import VerifyMismatchError  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import transaction  # noqa: E402
from django.urls import path  # noqa: E402
from django_filters import rest_framework as filters  # noqa: E402
from rest_framework import exceptions, generics, serializers, status  # noqa: E402
from rest_framework.pagination import CursorPagination  # noqa: E402
from rest_framework.permissions import SAFE_METHODS, AllowAny, IsAuthenticated  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken  # noqa: E402

from bench.peers.drf.models import Order, OrderItem, Product, Task, User  # noqa: E402

hasher = PasswordHasher()


class PreconditionFailed(exceptions.APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED


class ProductSerializer(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = (
            "id", "version", "created_at", "updated_at", "sku", "name", "description", "category",
            "price", "currency", "stock", "is_active",
        )  # fmt: skip


class TaskSerializer(serializers.ModelSerializer[Task]):
    priority = serializers.SerializerMethodField()

    class Meta:
        model = Task
        fields = (
            "id", "version", "created_at", "updated_at", "title", "description", "done",
            "priority", "due_at", "completed_at",
        )  # fmt: skip

    def get_priority(self, task: Task) -> str:
        return Task.PRIORITIES[task.priority]


class OrderItemSerializer(serializers.ModelSerializer[OrderItem]):
    class Meta:
        model = OrderItem
        fields = ("product_id", "quantity", "price")


class OrderSerializer(serializers.ModelSerializer[Order]):
    items = OrderItemSerializer(many=True)

    class Meta:
        model = Order
        fields = (
            "id", "version", "created_at", "updated_at", "customer_id", "currency", "items",
            "total", "state", "paid_at",
        )  # fmt: skip


class Pages(CursorPagination):
    page_size = 20
    max_page_size = 100
    page_size_query_param = "limit"
    ordering = ("-created_at", "-id")

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> Any:
        sort = request.query_params.get("sort")
        if sort is None:
            return self.ordering
        if sort.removeprefix("-") not in ("created_at", "price"):
            raise exceptions.ValidationError({"sort": "Unknown."})
        return (sort, "-id" if sort[0] == "-" else "id")

    def get_paginated_response(self, data: Any) -> Response:
        link = self.get_next_link()
        cursor = parse_qs(urlsplit(link).query)["cursor"][0] if link else None
        return Response({"items": data, "next_cursor": cursor})


class ProductFilter(filters.FilterSet):
    in_stock = filters.BooleanFilter(method="filter_in_stock")
    price_min = filters.NumberFilter(field_name="price", lookup_expr="gte")

    class Meta:
        model = Product
        fields = ("category", "currency")

    def filter_in_stock(self, queryset: Any, name: str, value: bool) -> Any:
        return queryset.filter(stock__gt=0) if value else queryset.filter(stock=0)


class EditorsWrite(IsAuthenticated):
    def has_permission(self, request: Request, view: Any) -> bool:
        may = request.method in SAFE_METHODS or request.user.role in ("editor", "admin")
        return super().has_permission(request, view) and may


class ProductList(generics.ListCreateAPIView[Product]):
    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    pagination_class = Pages
    filterset_class = ProductFilter
    permission_classes = (EditorsWrite,)


class ProductDetail(generics.RetrieveUpdateAPIView[Product]):
    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    permission_classes = (EditorsWrite,)
    http_method_names = ("get", "patch", "head", "options")

    @transaction.atomic
    def patch(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.queryset = Product.objects.select_for_update()
        return super().patch(request, *args, **kwargs)

    def perform_update(self, serializer: Any) -> None:
        version = serializer.instance.version
        if self.request.headers.get("If-Match") != f'"{version}"':
            raise PreconditionFailed
        serializer.save(version=version + 1)


class TaskList(generics.ListAPIView[Task]):
    serializer_class = TaskSerializer
    pagination_class = Pages

    def get_queryset(self) -> Any:
        return Task.objects.filter(owner=self.request.user)


class OrderList(generics.ListAPIView[Order]):
    serializer_class = OrderSerializer
    pagination_class = Pages

    def get_queryset(self) -> Any:
        return Order.objects.filter(owner=self.request.user).prefetch_related("items")


class Credentials(serializers.Serializer[Any]):
    email = serializers.EmailField()
    password = serializers.CharField()


class Login(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        given = Credentials(data=request.data)
        given.is_valid(raise_exception=True)
        user = User.objects.filter(email=given.validated_data["email"], is_active=True).first()
        try:
            if user is None:
                raise exceptions.AuthenticationFailed
            hasher.verify(user.password_hash, given.validated_data["password"])
        except VerifyMismatchError as error:
            raise exceptions.AuthenticationFailed from error
        token = AccessToken.for_user(user)
        token["role"] = user.role
        answer = {"access_token": str(token), "token_type": "Bearer", "expires_in": 600}
        return Response(answer)


urlpatterns = [
    path("api/v1/products", ProductList.as_view()),
    path("api/v1/products/<uuid:pk>", ProductDetail.as_view()),
    path("api/v1/tasks", TaskList.as_view()),
    path("api/v1/orders", OrderList.as_view()),
    path("api/v1/auth/login", Login.as_view()),
]
app = get_wsgi_application()
