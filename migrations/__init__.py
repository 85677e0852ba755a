"""The environment of Alembic, the migrations of the core, and what writes a new migration."""
