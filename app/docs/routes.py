"""`/docs` (Swagger UI from a Python package, without a CDN), `/problems`, `/openapi.json`."""

from pathlib import Path
from typing import cast

import flask
import flask_swagger_ui
from flask import current_app, render_template, request, send_from_directory

from app.core.openapi.document import openapi_document
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from app.core.web import strict_json
from app.core.web.etags import etag_of, make_conditional
from app.core.web.flask_app import SECURITY_HEADERS, Response
from app.core.web.negotiation import accepted_media_type
from app.core.web.problems import TYPES, Problem, ProblemType
from app.core.web.urls import below_prefix

ASSETS = Path(__file__).parent / "assets"
SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

MEDIA_TYPES = ("text/html", "application/json")  # of the problem types

docs = Blueprint("docs", __name__, documented=False, template_folder="assets")


@docs.get("/openapi.json", access=public)
def send_openapi() -> Response:
    """Send the OpenAPI document."""
    document = openapi_document(current_app)
    server = {**document["servers"][0], "url": below_prefix("") or "/"}
    return _set_cache_headers(_json_response({**document, "servers": [server]}))


@docs.get("/docs", access=public)
def show_docs() -> Response:
    """Show the OpenAPI document in Swagger UI."""
    return _html_response(render_template("docs.html"))


@docs.get("/docs/<path:name>", access=public)
def send_asset(name: str) -> flask.Response:
    """Send a file of Swagger UI or of this package."""
    folder = ASSETS if name in ("start.js", "pages.css") else SWAGGER_UI
    if "HTTP_IF_MATCH" not in request.environ:
        return send_from_directory(folder, name, max_age=3600)
    # Werkzeug would answer 412 also where If-Match has the entity tag.
    response = cast(Response, send_from_directory(folder, name, max_age=3600, conditional=False))
    response.make_sequence()
    response.close()  # the file, which has been read
    return make_conditional(response, response.headers["ETag"])


@docs.get("/problems", access=public)
def list_problems() -> Response:
    """List the problem types, as HTML or JSON."""
    if _wants_json():
        items = [*map(_problem_type_as_json, TYPES.values())]
        return _vary_by_accept(_json_response({"items": items}))
    page = render_template("problems.html", problem_types=list(TYPES.values()))
    return _vary_by_accept(_html_response(page))


@docs.get("/problems/<slug>", access=public)
def show_problem(slug: str) -> Response:
    """Show a problem type, as HTML or JSON; `type` of a problem links here."""
    if slug not in TYPES:
        raise Problem("not-found")
    if _wants_json():
        return _vary_by_accept(_json_response(_problem_type_as_json(TYPES[slug])))
    example = current_app.json.dumps(TYPES[slug].example(), indent=2)
    page = render_template("problems.html", problem_types=[TYPES[slug]], example=example)
    return _vary_by_accept(_html_response(page))


def _problem_type_as_json(problem_type: ProblemType) -> dict[str, object]:
    return {
        "type": problem_type.uri,
        "title": problem_type.title,
        "status": problem_type.status,
        "detail": problem_type.default_detail,
    }


def _wants_json() -> bool:
    return accepted_media_type(request, MEDIA_TYPES) == "application/json"


def _vary_by_accept(response: Response) -> Response:
    response.vary.add("Accept")
    return response


def _set_cache_headers(response: Response) -> Response:
    """Let caches store the response, and revalidate it by its ETag."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return make_conditional(response, etag_of(response.get_data()))


def _html_response(html: str) -> Response:
    response = Response(html, mimetype="text/html")
    response.security = SECURITY_HEADERS | {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return response


def _json_response(value: object) -> Response:
    return Response(strict_json.dumps(value), mimetype="application/json")
