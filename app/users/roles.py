"""Roles and the permissions that each has. Routes name permissions, never roles."""

# In ascending order: each role has the permissions of those before it.
ROLES: dict[str, frozenset[str]] = dict.fromkeys(("user", "editor", "admin"), frozenset())


def grant(role: str, *permissions: str) -> None:
    """Give permissions to a role and to every higher role.

    A feature calls it when its package is imported, because schemas enumerate the permissions.

    Raises:
        ValueError: there is no such role.
    """
    names = list(ROLES)
    for name in names[names.index(role) :]:
        ROLES[name] |= frozenset(permissions)


def all_permissions() -> frozenset[str]:
    """The permissions that some role has."""
    return frozenset().union(*ROLES.values())


grant("admin", "users:manage")
