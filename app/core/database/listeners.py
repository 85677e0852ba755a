"""Functions that are called around every statement, whether SQLAlchemy or psycopg executes it."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event

Listener = Callable[[Engine, str, Any], None]  # engine, SQL, parameters

before_statement: list[Listener] = []
after_statement: list[Listener] = []


def on_statement(before: Listener, after: Listener | None = None) -> Callable[[], None]:
    """Call `before` and `after` around every statement of every engine.

    `after` is not called for a statement that fails.

    Returns:
        A function that removes both listeners.
    """
    before_statement.append(before)
    if after:
        after_statement.append(after)

    def remove() -> None:
        before_statement.remove(before)
        if after:
            after_statement.remove(after)

    return remove


@event.listens_for(Engine, "before_cursor_execute")
def _before(connection: Connection, _cursor: Any, sql: str, parameters: Any, *_rest: Any) -> None:
    for listener in before_statement:
        listener(connection.engine, sql, parameters)


@event.listens_for(Engine, "after_cursor_execute")
def _after(connection: Connection, _cursor: Any, sql: str, parameters: Any, *_rest: Any) -> None:
    for listener in after_statement:
        listener(connection.engine, sql, parameters)
