"""Authentication: the caller of a request.

Here belong sessions, access and refresh tokens, cookies, API keys, signing keys, throttling of
logins and tokens sent by e-mail. Accounts and roles belong to `app.users`; access rules of routes
to `app.core.security`.
"""

from flask import Flask

from app.core.security import authorization


def init_app(app: Flask) -> None:
    """Register the authentication of callers, the routes and `flask signing-keys`."""
    from app.auth import jwt_manager, tokens, user_routes  # noqa: F401 - routes of /users
    from app.auth.commands import signing_keys
    from app.auth.jwks import jwks
    from app.auth.models import SESSION_IS_RECENT, SESSION_IS_VALID
    from app.auth.routes import auth

    jwt_manager.init_app(app, app.extensions["settings"])
    authorization.init_app(app, tokens.load_caller, SESSION_IS_VALID, SESSION_IS_RECENT)
    app.register_blueprint(auth)
    app.register_blueprint(jwks)
    app.cli.add_command(signing_keys)
