"""Every change is told here, within its transaction; `app.audit` listens and writes it down."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from blinker import Signal

recorded = Signal("A change that is about to be committed; the sender is a `Change`.")

_COUNTED = ("version", "updated_at")  # they change with everything, and say nothing


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to what. `before` and `after` hold the members that differ, never secrets."""

    action: str
    resource: str
    resource_id: UUID | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def record(
    action: str,
    resource: str,
    resource_id: UUID | None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Tell of a change; call it in the transaction that makes it.

    Args:
        action: create, change, delete, or a verb of the resource's own.
        resource: the name of the table.
        before: members as they were, as they are given out.
        after: members as they are now.
    """
    if before is not None and after is not None:
        differing = [k for k in after if before.get(k) != after[k] and k not in _COUNTED]
        before = {name: before.get(name) for name in differing}
        after = {name: after[name] for name in differing}
    recorded.send(Change(action, resource, resource_id, before, after))
