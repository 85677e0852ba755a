"""Second factors: TOTP (RFC 6238), passkeys (WebAuthn level 2) and recovery codes.

Here belong the factors of users, the rule which roles need one, and the logins that a factor
completes. The login itself, and where it is interrupted, belong to `app.auth`. Nothing else in the
repository refers to this package, except its line in `app/features.py`.
docs/decisions.md#90-factors
"""

import os

from flask import Flask


def init_app(app: Flask) -> None:
    """Read the settings from the environment, and register the routes and the check of logins.

    Raises:
        ConfigError: a role does not exist, or passkeys cannot work at an origin.
    """
    from app.mfa import policy  # noqa: F401 - interrupts logins
    from app.mfa.routes import mfa
    from app.mfa.settings import read_settings

    settings = app.extensions["settings"]
    app.extensions["mfa"] = read_settings(os.environ, settings.public_url)
    app.register_blueprint(mfa)
