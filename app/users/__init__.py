"""Users: accounts, roles and passwords.

Here belong what an account is, who may change it, and what a role may do. Credentials other than
the password, sessions and e-mailed tokens belong to `app.auth`.
"""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the routes, `flask users` and the demo account."""
    from app.users import seed  # noqa: F401 - registers the demo account
    from app.users.commands import users as commands
    from app.users.routes import users

    app.register_blueprint(users)
    app.cli.add_command(commands)
