"""`/docs` is Swagger UI from a Python package, without a CDN; `/problems` explains each `type`."""

from pathlib import Path

import flask
import flask_swagger_ui
from flask import current_app, render_template, request, send_from_directory

from app.core.openapi.document import openapi_document
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from app.core.web import strict_json
from app.core.web.etags import etag_of, make_conditional
from app.core.web.flask_app import SECURITY_HEADERS, Response
from app.core.web.problems import TYPES, Problem, ProblemType

ASSETS = Path(__file__).parent / "assets"
SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

docs = Blueprint("docs", __name__, documented=False, template_folder="assets")


@docs.get("/openapi.json", access=public)
def send_openapi() -> Response:
    """The OpenAPI document."""
    return _cacheable(_json(openapi_document(current_app)))


@docs.get("/docs", access=public)
def show_docs() -> Response:
    """The OpenAPI document, readable and with "try it out"."""
    return _page(render_template("docs.html"))


@docs.get("/docs/<path:name>", access=public)
def send_asset(name: str) -> flask.Response:
    """A file of Swagger UI, or one of the page's own."""
    folder = ASSETS if name in ("start.js", "pages.css") else SWAGGER_UI
    return send_from_directory(folder, name, max_age=3600)


@docs.get("/problems", access=public)
def list_problems() -> Response:
    """All problem types."""
    if _wants_json():
        return _json({"items": [_problem_as_json(kind) for kind in TYPES.values()]})
    return _page(render_template("problems.html", kinds=list(TYPES.values())))


@docs.get("/problems/<slug>", access=public)
def show_problem(slug: str) -> Response:
    """What one problem type means; errors link here with `type`."""
    if slug not in TYPES:
        raise Problem("not-found")
    if _wants_json():
        return _json(_problem_as_json(TYPES[slug]))
    example = current_app.json.dumps(TYPES[slug].example(), indent=2)
    return _page(render_template("problems.html", kinds=[TYPES[slug]], example=example))


def _problem_as_json(kind: ProblemType) -> dict[str, object]:
    return {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.default_detail,
    }


def _wants_json() -> bool:
    best = request.accept_mimetypes.best_match(("text/html", "application/json"), "text/html")
    return best == "application/json"


def _cacheable(response: Response) -> Response:
    """Allow any cache to keep it and to revalidate it by its ETag."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return make_conditional(response, etag_of(response.get_data()))


def _page(html: str) -> Response:
    response = Response(html, mimetype="text/html")
    response.security = SECURITY_HEADERS | {"Content-Security-Policy": POLICY}
    return response


def _json(value: object) -> Response:
    return Response(strict_json.dumps(value), mimetype="application/json")
