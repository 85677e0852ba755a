"""Actions: a POST on an item whose view decides on the locked row, such as the payment of an order.

Row, audit event and whatever else the view writes are committed in one transaction:
docs/decisions.md#73-actions
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from app.core.openapi.operation import DeclarationError, View
from app.core.resources import repository
from app.core.resources.row_locks import lock
from app.core.resources.scoped_query import ScopedSelect
from app.core.resources.statements import model_of
from app.core.schemas.base import Schema
from app.core.security.authorization import Caller, current_caller
from app.core.web.etags import precondition

_VERB = re.compile(r"[a-z][a-z_]{0,49}")
_ACTIONS_OF_THE_REPOSITORY = ("create", "update", "delete")


def with_locked_row(
    view: View, rows: Callable[[Caller], ScopedSelect], schema: Schema, verb: str
) -> View:
    """The view of an action as dispatch calls it: without the row, and it returns the new one.

    Args:
        view: takes the locked row, then the arguments of the request; returns new values by column.
        rows: the scoped query of a caller.
        verb: of the audit event.

    Raises:
        DeclarationError: the verb is not one of an action, or `rows` is no function.
    """
    if not _VERB.fullmatch(verb) or verb in _ACTIONS_OF_THE_REPOSITORY:
        raise DeclarationError(view, f"audit={verb!r} is no verb of its own in small letters")
    if not callable(rows):
        text = "rows is no function of the caller, such as Order.visible_to"
        raise DeclarationError(view, text)

    @wraps(view)
    def act(*arguments: Any, **path: Any) -> Any:
        scoped, item_id = rows(current_caller), next(reversed(path.values()))
        # Before the view, so that a 412 comes before its 409:
        # docs/decisions.md#3-order-of-preconditions
        row = lock(scoped, item_id, precondition(), schema)
        values = view(row, *arguments, **path)
        return repository.update_locked(model_of(scoped), row, values, schema, verb)

    return act
