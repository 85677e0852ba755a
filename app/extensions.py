"""The extension objects, unbound. `create_app` binds them to one application."""

from pathlib import Path

from flask import current_app
from flask_caching import Cache
from flask_cors import CORS
from flask_limiter import Limiter
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The base of every model. Each constraint has a name, which identifies it in errors."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )


db = SQLAlchemy(
    model_class=Base,
    disable_autonaming=True,
    session_options={"expire_on_commit": False},
)
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
# Flask-Migrate passes the path to a configparser, in which % starts an interpolation.
migrate = Migrate(directory=str(MIGRATIONS).replace("%", "%%"))
limiter = Limiter(
    key_func=lambda: current_app.extensions["core"].rate_limit_key(),
    request_identifier=lambda: current_app.extensions["core"].identify_limited_request(),
    strategy="sliding-window-counter",
    headers_enabled=False,  # `app.core.web.rate_limit` sets the fields of the current draft
)
cache = Cache()
cors = CORS()
