"""Users: accounts, roles and passwords.

Here belong the model of an account, its routes and the permissions of roles. Sessions, tokens and
other credentials than the password belong to `app.auth`.
"""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the routes, `flask users` and the demo account."""
    from app.users import seed  # noqa: F401 - registers the demo account
    from app.users.commands import users as commands
    from app.users.routes import users

    app.register_blueprint(users)
    app.cli.add_command(commands)
