"""Checks of problem details (RFC 9457)."""

from typing import Any

from sqlalchemy import insert
from werkzeug.test import TestResponse

from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from app.core.web.problems import TYPES
from app.extensions import db
from tests.api import Api
from tests.articles.models import Article
from tests.conftest import MakeApp

MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}


def check_problem(response: TestResponse, slug: str) -> dict[str, Any]:
    """Check the status, headers and common members of a problem; its body."""
    kind = TYPES[slug]
    assert response.status_code == kind.status, response.text
    assert response.mimetype == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = response.json
    assert set(body) - {"errors"} == MEMBERS
    assert body["type"] == f"/problems/{slug}"
    assert (body["title"], body["status"]) == (kind.title, kind.status)
    assert body["instance"].startswith("urn:uuid:")
    assert body["request_id"] == response.headers["X-Request-ID"]
    return body


def fail(make_app: MakeApp, error: Exception | None = None, **values: Any) -> TestResponse:
    """The response of a view that raises the error, or inserts an article without validation."""
    odd = Blueprint("odd", __name__, url_prefix="/odd", description="Fails.")

    @odd.post("", access=public)
    @odd.response(204)
    def fail() -> None:
        """Fail."""
        if error:
            raise error
        db.session.execute(insert(Article), values)

    return Api(make_app(odd)).post("odd")


def is_problem(response: TestResponse, slug: str) -> bool:
    return response.mimetype == "application/problem+json" and response.json["type"].endswith(slug)
