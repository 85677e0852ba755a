"""`/docs` is Swagger UI out of a package, without any CDN; `/problems` explains every `type`."""

from pathlib import Path

import flask
import flask_swagger_ui
from flask import Blueprint, current_app, render_template, request, send_from_directory

from app.core.security.authorization import public, require_access
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

docs = Blueprint("docs", __name__, template_folder="assets")


@docs.get("/openapi.json")
@require_access(public)
def send_openapi() -> Response:
    """The OpenAPI document."""
    document = current_app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec.to_dict()
    return _kept(_json(document))


@docs.get("/docs")
@require_access(public)
def show_docs() -> Response:
    """The OpenAPI document, readable and with "try it out"."""
    return _page(render_template("docs.html"))


@docs.get("/docs/<path:name>")
@require_access(public)
def send_asset(name: str) -> flask.Response:
    """A file of Swagger UI, or one of ours beside it."""
    folder = ASSETS if name in ("start.js", "pages.css") else SWAGGER_UI
    return send_from_directory(folder, name, max_age=3600)


@docs.get("/problems")
@require_access(public)
def list_problems() -> Response:
    """All problem types."""
    if _wants_json():
        return _json({"items": [_described(kind) for kind in TYPES.values()]})
    return _page(render_template("problems.html", kinds=list(TYPES.values())))


@docs.get("/problems/<slug>")
@require_access(public)
def show_problem(slug: str) -> Response:
    """What one problem type means; errors link here with `type`."""
    if slug not in TYPES:
        raise Problem("not-found")
    if _wants_json():
        return _json(_described(TYPES[slug]))
    example = current_app.json.dumps(TYPES[slug].example(), indent=2)
    return _page(render_template("problems.html", kinds=[TYPES[slug]], example=example))


def _described(kind: ProblemType) -> dict[str, object]:
    return {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.default_detail,
    }


def _wants_json() -> bool:
    best = request.accept_mimetypes.best_match(("text/html", "application/json"), "text/html")
    return best == "application/json"


def _kept(response: Response) -> Response:
    """Anyone may keep it, and ask with its tag whether it still holds."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return make_conditional(response, etag_of(response.get_data()))


def _page(html: str) -> Response:
    response = Response(html, mimetype="text/html")
    response.security = SECURITY_HEADERS | {"Content-Security-Policy": POLICY}
    return response


def _json(value: object) -> Response:
    return Response(strict_json.dumps(value), mimetype="application/json")
