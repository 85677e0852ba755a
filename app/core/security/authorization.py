"""Who is asking, and what a route demands of them. A route that demands nothing does not start."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any
from uuid import UUID

from flask import Flask, request
from sqlalchemy import ColumnElement, Select, literal, select
from werkzeug.local import LocalProxy

from app.core.database import execute
from app.core.web.app_state import app_state, init_app_state
from app.core.web.client_address import client_network
from app.core.web.problems import ErrorDetail, Problem
from app.core.web.request_state import request_state

View = Callable[..., Any]
CHALLENGE = 'Bearer realm="api"'  # RFC 6750 section 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends the request: a signed-in user, or nobody (`id` is None)."""

    id: UUID | None = None
    role: str | None = None
    permissions: frozenset[str] = frozenset()
    session_id: UUID | None = None
    api_key_id: UUID | None = None

    def can(self, permission: str) -> bool:
        """Whether the caller's role holds the permission."""
        return permission in self.permissions


ANONYMOUS = Caller()


@dataclass(frozen=True, slots=True)
class Access:
    """What a route demands: nothing, a signed-in caller, or a permission of theirs."""

    name: str
    anonymous: bool = False
    permission: str | None = None
    skip_authentication: bool = False  # credentials are not even looked at


public = Access("anyone", anonymous=True)
no_auth = Access("newcomer", anonymous=True, skip_authentication=True)  # comes for credentials
internal = Access("probe", anonymous=True, skip_authentication=True)
authenticated = Access("signed-in")  # in a session: a key does only what its scopes name


def permission(permission: str) -> Access:
    """The access rule of routes for callers who hold the permission."""
    return Access(permission, permission=permission)


def _current() -> Caller:
    """The caller of this request, established once.

    Raises:
        Problem: 401, the credentials are not valid (also where none were needed).
        Exception: it could not be found out. That too is remembered: whoever asks again would wait
            again for a database that is away.
    """
    state = request_state()
    if state.caller_error:
        raise state.caller_error
    if state.caller is None:
        try:
            state.caller = app_state().load_caller()
        except Exception as error:
            state.caller_error = error
            raise
    found: Caller = state.caller
    return found


current_caller: Caller = LocalProxy(_current)  # type: ignore[assignment]


def current_caller_or_anonymous() -> Caller:
    """The caller, or `ANONYMOUS` where there is no telling who that is. Never raises."""
    try:
        return _current()
    except Exception:
        return ANONYMOUS


def rate_limit_key() -> str:
    """Who is counted: an API key, a user at any address, else the address (bad credentials too)."""
    who = current_caller_or_anonymous()
    if who.api_key_id:
        return f"key:{who.api_key_id}"
    return f"user:{who.id}" if who.id else f"address:{client_network(request)}"


def caller_params() -> dict[str, Any]:
    """Values for what selects say of the caller: `CALLER_ID`, and the condition of `is_alive`."""
    who = _current()
    return {"caller_id": who.id, "session_id": who.session_id, "caller_role": who.role}


def session_is_valid_clause() -> ColumnElement[bool] | None:
    """The condition that the caller's session still stands; None for whoever has no session.

    A statement that reads or writes takes it up, and so costs no second round trip: where it finds
    rows, the session stands. Where it finds none, and before everything else, `require_alive` asks.
    """
    condition: ColumnElement[bool] = app_state().session_is_valid
    return None if _current().session_id is None else condition


def require_valid_session() -> None:
    """Make sure that the caller's session still stands.

    Raises:
        Problem: 401, it was ended, or its user was disabled or has another role by now.
    """
    condition = session_is_valid_clause()
    if condition is None or request_state().session_is_valid:
        return
    if not execute.fetch_autocommit(_select_valid_session(condition), caller_params()):
        raise invalid_token_problem()
    request_state().session_is_valid = True


@cache
def _select_valid_session(condition: ColumnElement[bool]) -> Select[Any]:
    return select(literal(1)).where(condition)


def check_access(access: Access) -> None:
    """Let the request pass as far as its credentials say, or raise.

    Raises:
        Problem: 401 with a challenge (RFC 6750 section 3), or 403 where the role does not suffice.
    """
    if access.skip_authentication:
        return
    who = _current()
    if access.anonymous:
        return
    if who.id is None:
        raise unauthorized_problem()
    by_key_alone = who.api_key_id is not None and access.permission is None
    if by_key_alone or (access.permission and not who.can(access.permission)):
        raise forbidden_problem()


def unauthorized_problem(detail: str | None = None, *, error: str = "") -> Problem:
    """A 401 and its challenge; `error` only where credentials were sent (RFC 6750 section 3.1)."""
    challenge = f'{CHALLENGE}, error="{error}"' if error else CHALLENGE
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": challenge})


def forbidden_problem(*errors: ErrorDetail) -> Problem:
    """A 403 and its challenge; `errors` name what of the request is not allowed."""
    headers = {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope"'}
    return Problem("forbidden", errors=errors, headers=headers)


def invalid_token_problem() -> Problem:
    """The one answer to credentials that do not, or no longer, hold."""
    return unauthorized_problem("The access token is not valid.", error="invalid_token")


def init_app(app: Flask, load_caller: Callable[[], Caller], is_alive: ColumnElement[bool]) -> None:
    """Tell the kit how a caller is found in a request, and when its session stands."""
    state = init_app_state(app)
    state.load_caller, state.session_is_valid = load_caller, is_alive


def require_access(access: Access) -> Callable[[View], View]:
    """Declare who may call a plain Flask view; routes of our `Blueprint` have `access=`."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            check_access(access)
            return view(*args, **kwargs)

        checked.access = access  # type: ignore[attr-defined]
        return checked

    return decorate


def assert_all_views_protected(app: Flask) -> None:
    """Deny by default: called when all routes are registered.

    Raises:
        RuntimeError: a view says nowhere who may call it.
    """
    open_views = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if not isinstance(getattr(app.view_functions[rule.endpoint], "access", None), Access)
    }
    if open_views:
        raise RuntimeError(f"no access is declared for: {', '.join(sorted(open_views))}")
