"""Roles and their permissions. Routes name permissions, never roles."""

# In ascending order: each role has the permissions of those before it.
ROLES: dict[str, frozenset[str]] = dict.fromkeys(("user", "editor", "admin"), frozenset())


def grant(role: str, *permissions: str) -> None:
    """Grant permissions to a role and to every higher role.

    A feature calls it in its `__init__.py`: see `app/features.py`.

    Raises:
        ValueError: there is no such role.
    """
    names = list(ROLES)
    for name in names[names.index(role) :]:
        ROLES[name] |= frozenset(permissions)


def all_permissions() -> frozenset[str]:
    """Return the permissions of all roles."""
    return frozenset().union(*ROLES.values())


grant("admin", "users:manage")
