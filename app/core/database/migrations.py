"""Where migrations are, and whether the schema of the database suits this code.

Each feature has a branch of its own in the folder `migrations/` of its package; the tables of the
core have theirs in `migrations/versions/`. docs/decisions.md#54-migrations-by-feature
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import to_tuple
from flask import Flask, current_app

from app.extensions import MIGRATIONS, db, migrate


def init_app(app: Flask, features: Iterable[ModuleType]) -> None:
    """Find the migrations of the core and of these features."""
    folders = [MIGRATIONS / "versions"]
    folders += [Path(feature.__file__ or "").parent / "migrations" for feature in features]
    app.extensions["migration_folders"] = tuple(folders)
    migrate.init_app(app, db)


@migrate.configure  # type: ignore[untyped-decorator]
def _set_version_locations(config: Config) -> Config:
    """Complete Alembic's configuration; called by Flask-Migrate for each command."""
    folders: tuple[Path, ...] = current_app.extensions["migration_folders"]
    # Flask-Migrate looks for it below the escaped path.
    config.file_config.read(MIGRATIONS / "alembic.ini")
    locations = os.pathsep.join(map(str, folders))
    config.set_main_option("version_locations", locations.replace("%", "%%"))
    return config


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revisions that this code knows.

    Args:
        heads: what `alembic_version` holds when everything is applied.
        known: all of them.
        outdated: those that a later revision of the same branch follows.
    """

    heads: frozenset[str]
    known: frozenset[str]
    outdated: frozenset[str]

    def is_current(self, applied: set[str]) -> bool:
        """Whether the schema has everything that this code needs."""
        if not applied or applied & self.outdated:
            return False
        # Unknown revisions are those of a newer release, after a roll-back of the code:
        # docs/decisions.md#53-readiness-and-the-schema
        return bool(applied - self.known) or applied >= self.heads


def known_revisions() -> Revisions:
    """The revisions of the core and of the current application's features."""
    return _read_revisions(current_app.extensions["migration_folders"])


@cache
def _read_revisions(folders: tuple[Path, ...]) -> Revisions:
    scripts = ScriptDirectory(str(MIGRATIONS), version_locations=list(map(str, folders)))
    revisions = list(scripts.walk_revisions())
    known = frozenset(script.revision for script in revisions)
    heads = frozenset(scripts.get_heads())
    # Alembic does not store a head on which another applied revision depends.
    implied = {name for script in revisions for name in to_tuple(script.dependencies, ())}
    return Revisions(heads - implied, known, known - heads)
