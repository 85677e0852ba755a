"""The service. `create_app` is the one place where everything is wired."""

from dataclasses import asdict

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app import cli, telemetry
from app.audit.routes import audit_events
from app.auth import jwt_manager, tokens
from app.auth.jwks import jwks
from app.auth.models import SESSION_IS_VALID
from app.auth.routes import auth
from app.config import INSTANCE, Settings
from app.core.database import engine
from app.core.openapi import document
from app.core.resources.blueprint import Blueprint
from app.core.security import authorization
from app.core.web import cache, database_errors, problems, rate_limit
from app.core.web.cors import init_cors
from app.core.web.flask_app import FlaskApp
from app.core.web.strict_json import ORJSONProvider
from app.docs.routes import docs
from app.extensions import db, migrate
from app.jobs import backends
from app.jobs.routes import jobs
from app.products.routes import products
from app.tasks.routes import tasks
from app.telemetry import health
from app.users.roles import PERMISSIONS
from app.users.routes import users

RESOURCES = (auth, users, products, tasks, jobs, audit_events)


def create_app(settings: Settings | None = None, *, also: tuple[Blueprint, ...] = ()) -> Flask:
    """A service, ready to be called.

    Args:
        settings: read from the environment where none are given.
        also: further resources to register, under the same prefix and the same rules.

    Raises:
        ConfigError: the settings would make the service unsafe.
        RuntimeError: a view has no valid access rule.
    """
    settings = settings or Settings.from_env()
    app = FlaskApp(__name__, static_folder=None, instance_path=str(INSTANCE))
    app.config.from_mapping({name.upper(): value for name, value in asdict(settings).items()})
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine.engine_options(settings.database_url, settings)
    app.config["TRUSTED_HOSTS"] = list(settings.trusted_hosts) or None
    app.json = ORJSONProvider(app)
    app.url_map.merge_slashes = False  # no redirects: their Location would trust the Host header
    if n := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]

    # In the order in which a request meets them.
    telemetry.init_app(app, settings)
    init_cors(app, settings.cors_origins)
    problems.init_app(app)
    db.init_app(app)
    engine.init_app(app)
    database_errors.init_app(app)
    migrate.init_app(app, db)
    cache.init_app(app, settings)
    jwt_manager.init_app(app, settings)
    authorization.init_app(app, tokens.load_caller, SESSION_IS_VALID)
    rate_limit.init_app(app, settings, key_func=authorization.rate_limit_key)
    backends.init_app(app, settings)

    for resource in (*RESOURCES, *also):
        app.register_blueprint(resource, url_prefix=f"/api/v1{resource.url_prefix}")
    app.register_blueprint(health.health)
    health.init_app(app)
    document.init_app(app)
    app.register_blueprint(docs)
    app.register_blueprint(jwks)
    cli.init_app(app)
    authorization.assert_all_views_protected(app, PERMISSIONS)
    return app
