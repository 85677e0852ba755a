"""Callers and access rules. Every view declares its rule; the service does not start otherwise."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from flask import Flask, current_app, request
from sqlalchemy import ColumnElement, Select, literal, select
from werkzeug.local import LocalProxy

from app.config import StartError
from app.core.database import execute
from app.core.database.types import now
from app.core.web.app_state import app_state, init_app_state
from app.core.web.client_address import client_network
from app.core.web.problems import INSUFFICIENT_AUTHENTICATION, ErrorDetail, Problem
from app.core.web.request_state import current_request, request_state

CHALLENGE = 'Bearer realm="api"'  # RFC 6750 section 3


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: a user, by session or API key, or anonymous (`id` is None)."""

    id: UUID | None = None
    role: str | None = None
    permissions: frozenset[str] = frozenset()
    session_id: UUID | None = None
    api_key_id: UUID | None = None

    @property
    def label(self) -> str | None:
        """`key:<id>` of the API key, or else `user:<id>`; None for anonymous callers."""
        if self.api_key_id:
            return f"key:{self.api_key_id}"
        return f"user:{self.id}" if self.id else None

    def can(self, permission: str) -> bool:
        """Whether the caller has the permission: by role, and by scope where it is an API key."""
        return permission in self.permissions


ANONYMOUS = Caller()


@dataclass(frozen=True, slots=True)
class Access:
    """An access rule: who may call a view."""

    name: str
    anonymous: bool = False
    permission: str | None = None
    skip_authentication: bool = False
    ignores_dead_cookies: bool = False  # a browser cannot leave them out
    needs_recent_login: bool = False


# Credentials are optional, and validated where sent; dead ones in cookies count as none:
# docs/decisions.md#74-dead-cookies
public = Access("public", anonymous=True, ignores_dead_cookies=True)
# Credentials are ignored: a client that sends an expired token can still obtain a new one.
no_auth = Access("no_auth", anonymous=True, skip_authentication=True)
internal = Access("internal", anonymous=True, skip_authentication=True)  # probes
authenticated = Access("authenticated")  # in a session; an API key is limited to its scopes
# In a session whose login is not older than RECENT_LOGIN_MINUTES, for changes of credentials.
recently_authenticated = Access("authenticated", needs_recent_login=True)
leaving = Access("authenticated", ignores_dead_cookies=True)  # in a session, or after its end


def permission(permission: str) -> Access:
    """The access rule of routes for callers who have the permission.

    The start fails where no role has it.
    """
    return Access(permission, permission=permission)


def _load_current_caller() -> Caller:
    """The caller of this request, loaded once; `ANONYMOUS` where authentication is skipped.

    Raises:
        Problem: 401, the credentials are not valid (also where none are required).
        Exception: the caller could not be loaded. It is kept and raised again, so that a request
            waits only once for a database that does not answer.
    """
    state = request_state()
    caller: Caller | None = state.caller
    if caller is not None:
        return caller
    if state.caller_error:
        raise state.caller_error
    try:
        skipped = _skips_authentication(current_request().endpoint)
        state.caller = caller = ANONYMOUS if skipped else app_state().load_caller()
    except Exception as error:
        state.caller_error = error
        raise
    return caller


def _skips_authentication(endpoint: str | None) -> bool:
    # Not decided in `check_access`: rate limit and log need the caller before it runs.
    access = _access_of(endpoint)
    return access is not None and access.skip_authentication


def _access_of(endpoint: str | None) -> Access | None:
    access = getattr(current_app.view_functions.get(endpoint or ""), "access", None)
    return access if isinstance(access, Access) else None


def forget_ended_cookie_session() -> bool:
    """Make the caller of a cookie anonymous, after a 401, if the route allows it."""
    state = request_state()
    return state.caller_is_from_cookie and not state.session_is_valid and ignore_dead_cookie()


def ignore_dead_cookie() -> bool:
    """Make the caller anonymous, if the credentials in cookies are dead and the route allows it."""
    access, state = _access_of(request.endpoint), request_state()
    if access is None or not access.ignores_dead_cookies:
        return False
    state.caller, state.cookie_is_dead, state.caller_is_from_cookie = ANONYMOUS, True, False
    return True


current_caller: Caller = LocalProxy(_load_current_caller)  # type: ignore[assignment]


def current_caller_or_anonymous() -> Caller:
    """The caller, or `ANONYMOUS` where the credentials are invalid or not checkable now."""
    try:
        return _load_current_caller()
    except Exception:
        return ANONYMOUS


def caller_key() -> str:
    """The key of the sender of a request, for rate limits and Idempotency-Key: user, else network.

    All API keys and sessions of a user share it. With invalid credentials it is that of the
    network.
    """
    caller = current_caller_or_anonymous()
    return f"user:{caller.id}" if caller.id else network_key()


def network_key() -> str:
    """The key by which requests of the client without valid credentials are counted."""
    return f"address:{client_network(request)}"


def caller_params() -> dict[str, Any]:
    """Bind values for `CALLER_ID_PARAM` and for the condition of `session_is_valid_clause`."""
    caller = _load_current_caller()
    return {"caller_id": caller.id, "session_id": caller.session_id, "caller_role": caller.role}


def session_is_valid_clause() -> ColumnElement[bool] | None:
    """The SQL condition that the caller's session is valid; None for callers without a session.

    If a statement with this condition returns rows, the session is valid. If it returns none,
    `require_valid_session` finds out whether that is the reason.
    """
    # In the statement itself it costs no round trip: docs/decisions.md#20-session-revocation
    condition: ColumnElement[bool] = app_state().session_is_valid
    return None if _load_current_caller().session_id is None else condition


def require_valid_session() -> None:
    """Check once per request that the caller's session is valid; other callers have none.

    Raises:
        Problem: 401, the session was revoked, or its user was disabled or has another role now.
    """
    condition = session_is_valid_clause()
    if condition is None or request_state().session_is_valid:
        return
    if not execute.fetch_autocommit(_select_valid_session(condition), caller_params()):
        raise invalid_token_problem()
    request_state().session_is_valid = True


def require_recent_login() -> None:
    """Check that the caller's session is valid and its login recent.

    Raises:
        Problem: 401, the session was revoked, or its login is too long ago (RFC 9470 section 3).
    """
    minutes = current_app.config["RECENT_LOGIN_MINUTES"]
    statement = _select_valid_session(app_state().session_is_recent)
    params = caller_params() | {"recent_since": now() - timedelta(minutes=minutes)}
    if not execute.fetch_autocommit(statement, params):
        require_valid_session()
        challenge = f'{CHALLENGE}, {INSUFFICIENT_AUTHENTICATION}, max_age="{minutes * 60}"'
        raise Problem("recent-login-required", headers={"WWW-Authenticate": challenge})
    request_state().session_is_valid = True


@cache
def _select_valid_session(condition: ColumnElement[bool]) -> Select[Any]:
    return select(literal(1)).where(condition)


def check_access(access: Access) -> None:
    """Check the caller against an access rule, as far as the credentials alone allow.

    Raises:
        Problem: 401 with a challenge (RFC 6750 section 3), or 403 without the permission.
    """
    if access.skip_authentication:
        return
    caller = _load_current_caller()
    if access.anonymous:
        return
    if caller.id is None:
        if access.ignores_dead_cookies and request_state().cookie_is_dead:
            return
        raise unauthorized_problem()
    # A route without a permission is for persons: docs/decisions.md#33-session-only-routes
    is_limited_key = caller.api_key_id is not None and access.permission is None
    if is_limited_key or (access.permission and not caller.can(access.permission)):
        raise forbidden_problem()


def unauthorized_problem(detail: str | None = None, *, error: str = "") -> Problem:
    """A 401 and its challenge; `error` only where credentials were sent (RFC 6750 section 3.1)."""
    challenge = f'{CHALLENGE}, error="{error}"' if error else CHALLENGE
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": challenge})


def forbidden_problem(*errors: ErrorDetail) -> Problem:
    """A 403 and its challenge; `errors` name the parts of the request that are not allowed."""
    headers = {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope"'}
    return Problem("forbidden", errors=errors, headers=headers)


def invalid_token_problem() -> Problem:
    """The 401 for every kind of invalid credentials: the reason is not disclosed."""
    return unauthorized_problem("The access token is not valid.", error="invalid_token")


def init_app(
    app: Flask,
    load_caller: Callable[[], Caller],
    session_is_valid: ColumnElement[bool],
    session_is_recent: ColumnElement[bool],
) -> None:
    """Set how the caller of a request is loaded, and the SQL conditions about its session."""
    state = init_app_state(app)
    state.load_caller, state.session_is_valid = load_caller, session_is_valid
    state.session_is_recent = session_is_recent


def assert_all_views_protected(app: Flask, permissions: Set[str]) -> None:
    """Deny by default: check the access rules of all views and filters, once they are registered.

    Args:
        permissions: those that at least one role has.

    Raises:
        StartError: a view has no access rule, something else in its place, or one that lets
            nobody in. Names module, view and endpoint of each.
    """
    errors = []
    for endpoint, view in sorted(app.view_functions.items()):
        access = getattr(view, "access", None)
        if access is None:
            error = "no access rule is declared"
        elif not isinstance(access, Access):
            error = f"access is {access!r}, which is no access rule"
        elif access.permission is not None and access.permission not in permissions:
            error = f"no role has the permission {access.permission!r}"
        else:
            continue
        errors.append(f"{view.__module__}.{view.__qualname__} ({endpoint}): {error}")
    errors += _filter_errors(app, permissions)
    if errors:
        raise StartError("; ".join(errors))


def _filter_errors(app: Flask, permissions: Set[str]) -> Iterator[str]:
    """The filters of lists whose permission no role has."""
    operations = (getattr(view, "operation", None) for view in app.view_functions.values())
    queries = {type(each.query): each.query for each in operations if each and each.query}
    for schema, query in queries.items():
        for name, field in query.fields.items():
            needed = field.metadata.get("permission")
            if needed and needed not in permissions:
                where = f"{schema.__module__}.{schema.__qualname__}.{name}"
                yield f"{where}: no role has the permission {needed!r}"
