"""`/.well-known/jwks.json`: public keys for services that verify our access tokens themselves."""

from flask import current_app

from app.auth.signing_keys import Key
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import internal
from app.core.web import strict_json
from app.core.web.etags import etag_of, make_conditional
from app.core.web.flask_app import Response
from app.core.web.problems import Problem

MAX_AGE = 300  # seconds; a new key must not sign before copies have expired

jwks = Blueprint("jwks", __name__, documented=False)


@jwks.get("/.well-known/jwks.json", access=internal)
def send_jwks() -> Response:
    """The public halves of the asymmetric keys (RFC 7517 section 5); 404 where there are none."""
    keys: list[Key] = list(current_app.extensions["token_keys"].values())
    public = [key.public_jwk() for key in keys if not key.is_symmetric]
    if not public:
        raise Problem("not-found")
    response = Response(strict_json.dumps({"keys": public}), mimetype="application/jwk-set+json")
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE}"
    return make_conditional(response, etag_of(response.get_data()))
