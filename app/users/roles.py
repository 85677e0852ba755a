"""Roles and their permissions. Routes name permissions, never roles."""

from app.config import StartError

# In ascending order: each role has the permissions of those before it.
ROLES: dict[str, frozenset[str]] = dict.fromkeys(("user", "editor", "admin"), frozenset())


def grant(role: str, *permissions: str) -> None:
    """Grant permissions to a role and to every higher role.

    A feature calls it in its `__init__.py`: see `app/features.py`.

    A role that does not exist, or a list of permissions, stops the start, by `check_grants`.
    """
    granted = ", ".join(map(str, permissions))
    if role not in ROLES:
        _wrong_grants.append(f"{granted}: there is no role {role!r}, only {', '.join(ROLES)}")
        return
    if not all(isinstance(permission, str) for permission in permissions):
        _wrong_grants.append(f"{granted}: a permission is a string, such as 'notes:own'")
        return
    names = list(ROLES)
    for name in names[names.index(role) :]:
        ROLES[name] |= frozenset(permissions)


# Features grant at their import, before there is an application whose start could fail.
_wrong_grants: list[str] = []


def check_grants() -> None:
    """Check what the features have granted.

    Raises:
        StartError: names the permissions, and the roles if there is no such role.
    """
    if _wrong_grants:
        raise StartError("; ".join(_wrong_grants))


def all_permissions() -> frozenset[str]:
    """Return the permissions of all roles."""
    return frozenset().union(*ROLES.values())


grant("admin", "users:manage")
