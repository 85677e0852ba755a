"""The name and the features of this service; an upgrade of a clone only adds new features.

A feature is a package with `init_app(app)`, which registers its routes, commands, job types and
periodic tasks. Importing the package grants its permissions to roles (`app.users.roles`). Its
migrations are in its folder `migrations/`, its tests in `tests/<feature>/`.

`init_app` imports the other modules of its package: schemas enumerate the permissions when they are
imported, and only then have all features granted theirs.
"""

from types import ModuleType

from app import (
    audit,
    auth,
    docs,
    jobs,
    mfa,
    oidc,
    products,
    tasks,
    users,
)

# Of the OpenAPI document; the version is that of the API.
TITLE = "Flask REST reference"
VERSION = "1.1.0"

# The order of initialisation, and of the OpenAPI document.
FEATURES: tuple[ModuleType, ...] = (
    auth,
    oidc,
    users,
    mfa,
    products,
    tasks,
    jobs,
    audit,
    docs,
)
