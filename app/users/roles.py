"""Roles and their permissions. Routes name permissions, never roles."""

_USER = frozenset({"products:read", "tasks:own", "jobs:own"})
_EDITOR = _USER | {"products:write"}
_ADMIN = _EDITOR | {"users:manage", "audit:read", "jobs:manage"}

ROLES: dict[str, frozenset[str]] = {"user": _USER, "editor": _EDITOR, "admin": _ADMIN}
PERMISSIONS: frozenset[str] = frozenset().union(*ROLES.values())
