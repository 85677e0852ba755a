"""OpenID Connect: log in and register with accounts of other providers.

Here belong the providers of the setting OIDC_PROVIDERS, identities (an account at a provider that
is linked to a user), and back-channel logout. The session that a login ends in is that of
`app.auth`. docs/auth.md shows the flows.
"""

import os

from flask import Flask


def init_app(app: Flask) -> None:
    """Read the providers from the environment and register the routes.

    Raises:
        ConfigError: a setting of a provider is invalid or unsafe.
    """
    from app.oidc.provider import Provider
    from app.oidc.routes import browser, oidc
    from app.oidc.settings import read_providers

    found = read_providers(os.environ, production=app.extensions["settings"].is_production)
    app.extensions["oidc"] = {settings.name: Provider(settings) for settings in found}
    app.register_blueprint(oidc)
    app.register_blueprint(browser)
