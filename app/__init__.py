"""The application factory."""

import traceback
from collections.abc import Sequence
from dataclasses import asdict
from types import ModuleType

from flask import Flask

from app import cli, telemetry
from app.config import INSTANCE, ConfigError, Settings, StartError
from app.core import background
from app.core.background import job_types
from app.core.database import engine, migrations
from app.core.openapi import document
from app.core.resources import model_checks
from app.core.security import authorization
from app.core.web import cache, database_errors, forwarded, host, problems, rate_limit
from app.core.web.cors import init_cors
from app.core.web.flask_app import FlaskApp
from app.core.web.strict_json import ORJSONProvider
from app.extensions import db
from app.features import FEATURES, TITLE, VERSION
from app.telemetry import health
from app.users import roles


def create_app(
    settings: Settings | None = None, *, features: Sequence[ModuleType] = FEATURES
) -> Flask:
    """Create and configure the application.

    Args:
        settings: by default those of the environment.
        features: packages with `init_app`, in the order of the OpenAPI document.

    Raises:
        ConfigError: the settings are invalid or unsafe.
        StartError: a declaration of a feature is not valid; the message names it.
    """
    settings = settings or Settings.from_env()
    app = FlaskApp(__name__, static_folder=None, instance_path=str(INSTANCE))
    if app.debug and settings.is_production:
        raise ConfigError(["FLASK_DEBUG would let clients run code; it is for development"])
    _configure(app, settings)

    # Flask calls hooks in this order: telemetry is first, so that it covers every request.
    telemetry.init_app(app, settings)
    init_cors(app, settings.cors_origins)
    problems.init_app(app)
    host.init_app(app, settings.trusted_hosts, exempt=health.health.name)
    db.init_app(app)
    engine.init_app(app)
    database_errors.init_app(app)
    migrations.init_app(app, features)
    cache.init_app(app, settings)
    rate_limit.init_app(app, settings, key_func=authorization.caller_key)
    document.init_app(app, TITLE, VERSION)
    cli.init_app(app)
    background.init_app(app)
    for feature in features:
        _init_feature(app, feature)
    health.init_app(app)
    _check_declarations(app)
    return app


def _check_declarations(app: Flask) -> None:
    roles.check_grants()
    model_checks.check_models(app)
    authorization.assert_all_views_protected(app, roles.all_permissions())
    job_types.check_permissions(roles.all_permissions())


def _init_feature(app: Flask, feature: ModuleType) -> None:
    try:
        feature.init_app(app)
    except StartError:
        raise
    except Exception as error:  # such as an argument that a field lacks
        frames = traceback.walk_tb(error.__traceback__)
        lines = [(frame.f_globals["__name__"], line) for frame, line in frames]
        own = [line for line in lines if f"{line[0]}.".startswith(f"{feature.__name__}.")]
        place = "{}, line {}".format(*own[-1]) if own else feature.__name__
        raise StartError(f"{place}: {type(error).__name__}: {error}") from error


def _configure(app: Flask, settings: Settings) -> None:
    app.extensions["settings"] = settings
    app.config.from_mapping({name.upper(): value for name, value in asdict(settings).items()})
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine.engine_options(settings.database_url, settings)
    app.config["TRUSTED_HOSTS"] = None  # app/core/web/host.py checks them
    app.json = ORJSONProvider(app)
    app.url_map.merge_slashes = False  # a redirect would trust the Host header
    forwarded.init_app(app, settings.trusted_proxies)
