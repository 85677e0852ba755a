"""What the tests of a failing database send and expect."""

from werkzeug.test import TestResponse

from tests.core.web.problems import check_problem

MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"}

NOWHERE = "00000000-0000-7000-8000-000000000000"

ACCOUNT = {"email": "ada@example.com", "name": "Ada", "password": "a long enough password"}


def check_unavailable(response: TestResponse, slug: str = "service-unavailable") -> None:
    """Check for a 503 with Retry-After and without details of the database."""
    check_problem(response, slug)
    assert 0 < int(response.headers["Retry-After"]) < 60
    for word in ("sql", "psycopg", "SELECT", "INSERT", "articles", "lock"):
        assert word not in response.text
