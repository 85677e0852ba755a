"""The environment of Alembic, the migrations of the core, and how `flask db revision` writes one."""
