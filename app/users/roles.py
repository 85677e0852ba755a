"""Roles and their permissions. Routes name permissions, never roles."""

from app.config import StartError

# In ascending order: each role has the permissions of those before it.
ROLES: dict[str, frozenset[str]] = dict.fromkeys(("user", "editor", "admin"), frozenset())


def grant(role: str, *permissions: str) -> None:
    """Grant permissions to a role and to every higher role.

    A feature calls it in its `__init__.py`: see `app/features.py`.

    A role that does not exist stops the start, by `check_grants`.
    """
    if role not in ROLES:
        granted = ", ".join(permissions)
        _unknown_roles.append(f"{granted}: there is no role {role!r}, only {', '.join(ROLES)}")
        return
    names = list(ROLES)
    for name in names[names.index(role) :]:
        ROLES[name] |= frozenset(permissions)


# Features grant at their import, before there is an application whose start could fail.
_unknown_roles: list[str] = []


def check_grants() -> None:
    """Check that each role to which a feature has granted permissions exists.

    Raises:
        StartError: names the permissions and the roles.
    """
    if _unknown_roles:
        raise StartError("; ".join(_unknown_roles))


def all_permissions() -> frozenset[str]:
    """Return the permissions of all roles."""
    return frozenset().union(*ROLES.values())


grant("admin", "users:manage")
