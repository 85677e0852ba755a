"""`/.well-known/jwks.json`: public keys for other services that verify access tokens."""

from app.auth.state import auth_state
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import internal
from app.core.web import strict_json
from app.core.web.etags import etag_of, make_conditional
from app.core.web.flask_app import Response
from app.core.web.problems import Problem

# In seconds; a new key must not sign before cached copies have expired:
# docs/decisions.md#25-key-rotation
MAX_AGE = 300

jwks = Blueprint("jwks", __name__, documented=False)


@jwks.get("/.well-known/jwks.json", access=internal)
def send_jwks() -> Response:
    """Return the public keys as a JWK Set (RFC 7517 section 5); 404 if all keys are symmetric."""
    public = [key.public_jwk() for key in auth_state().keys.values() if not key.is_symmetric]
    if not public:
        raise Problem("not-found")
    response = Response(strict_json.dumps({"keys": public}), mimetype="application/jwk-set+json")
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE}"
    return make_conditional(response, etag_of(response.get_data()))
