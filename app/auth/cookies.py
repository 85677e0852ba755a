"""Tokens in cookies, for pages of the service's own origin (setting AUTH_COOKIES).

The cookies with tokens are HttpOnly and SameSite=Strict. A browser also attaches cookies to forged
requests, so an unsafe request must repeat the value of the CSRF cookie in X-CSRF-Token: only pages
of this origin can read that cookie. The CSRF token is derived from the session (OWASP: signed
double-submit cookie). docs/decisions.md#27-cookie-transport
"""

from hmac import compare_digest
from typing import Any
from uuid import UUID

from flask import Flask, after_this_request, current_app, request
from flask_jwt_extended import set_access_cookies, unset_access_cookies

from app.auth.refresh_token_format import split_refresh_token
from app.auth.sessions import revoke_session
from app.core.security.authorization import CHALLENGE, unauthorized_problem
from app.core.security.signing import sign
from app.core.web.flask_app import Response
from app.core.web.problems import Problem
from app.core.web.urls import below_prefix

# Browsers accept these names only with Secure and, after __Host-, without Domain and for all paths:
# no other host of the domain can set one (RFC 6265bis section 4.1.3).
ACCESS_COOKIE = "__Host-access_token"
CSRF_COOKIE = "__Host-csrf_token"
REFRESH_COOKIE = "__Secure-refresh_token"
CSRF_HEADER = "X-CSRF-Token"
_COOKIE_OPTIONS: dict[str, Any] = {"secure": True, "samesite": "Strict"}
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # RFC 9110 section 9.2.1


def init_app(app: Flask, *, enabled: bool) -> None:
    """Configure the cookies. They have no Max-Age: the browser deletes them when it is closed."""
    app.config |= {
        "JWT_TOKEN_LOCATION": ["headers", "cookies"] if enabled else ["headers"],
        "JWT_ACCESS_COOKIE_NAME": ACCESS_COOKIE,
        "JWT_COOKIE_SECURE": True,  # for browsers http://127.0.0.1 and localhost are secure
        "JWT_COOKIE_SAMESITE": "Strict",
        "JWT_COOKIE_CSRF_PROTECT": False,  # it requires a claim; refresh tokens are no JWTs
    }
    if enabled:
        app.after_request(_add_cookie_to_vary)


def access_token_from_cookie() -> str | None:
    """Return the access token in the cookie; None without one, or if cookies are disabled."""
    return request.cookies.get(ACCESS_COOKIE) if _is_enabled() else None


def is_session_left() -> bool:
    """Whether the browser still has the refresh token of a session; it sends it to /auth only."""
    return _is_enabled() and REFRESH_COOKIE in request.cookies


def session_left() -> UUID | None:
    """The session of the refresh token in the cookie; None where the CSRF token does not match."""
    try:
        session_id, _ = split_refresh_token(request.cookies.get(REFRESH_COOKIE, ""))
        check_csrf(session_id)
    except Problem:
        return None
    return session_id


def refresh_token_from_cookie() -> str:
    """Return the refresh token in the cookie. A response with 401 deletes the cookies.

    Raises:
        Problem: 401, there is none; 403, the CSRF token is missing or wrong; 404, cookies are
            disabled.
    """
    require_enabled()
    after_this_request(_unset_cookies_on_401)
    token = request.cookies.get(REFRESH_COOKIE)
    if not token:
        raise unauthorized_problem("The cookie with the refresh token is missing.")
    check_csrf(split_refresh_token(token)[0])
    return token


def require_enabled() -> None:
    """Check that cookies are enabled.

    Raises:
        Problem: 404, they are not.
    """
    if not _is_enabled():
        raise Problem("not-found")


def set_auth_cookies(tokens: dict[str, Any]) -> dict[str, Any]:
    """Set the tokens as cookies of the response and return the response body.

    The session of the cookies that they replace ends, if the request has its CSRF token.
    """
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    session_id, replaced = split_refresh_token(refresh)[0], session_left()
    if replaced not in (None, session_id):
        revoke_session(replaced)
    csrf = _csrf_token(session_id)

    def set_cookies(response: Response) -> Response:
        if response.status_code < 400:  # the session was committed
            set_access_cookies(response, access)
            options = _COOKIE_OPTIONS | {"httponly": True, "path": _refresh_path()}
            response.set_cookie(REFRESH_COOKIE, refresh, **options)
            response.set_cookie(CSRF_COOKIE, csrf, **_COOKIE_OPTIONS)
        return response

    after_this_request(set_cookies)
    return {"expires_in": tokens["expires_in"], "csrf_token": csrf}


def clear_auth_cookies() -> None:
    """Delete the cookies with the response, if the request carries them."""
    if request.cookies.keys() & {ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE}:
        after_this_request(_unset_cookies)


def check_csrf(session_id: UUID | None) -> None:
    """Check the CSRF token of a request with cookies, unless its method is safe.

    Raises:
        Problem: 403, the CSRF token is missing, or not the one of the session.
    """
    sent = request.headers.get(CSRF_HEADER, "").encode()
    expected = _csrf_token(session_id).encode()
    if request.method in _SAFE_METHODS or compare_digest(sent, expected):
        return
    detail = (
        f"A request with cookies needs {CSRF_HEADER}, with the value of the cookie {CSRF_COOKIE}."
    )
    raise Problem("forbidden", detail, headers={"WWW-Authenticate": CHALLENGE})


def _is_enabled() -> bool:
    return "cookies" in current_app.config["JWT_TOKEN_LOCATION"]


def _csrf_token(session_id: UUID | None) -> str:
    return sign("csrf tokens", str(session_id).encode()).hex()


def _unset_cookies(response: Response) -> Response:
    unset_access_cookies(response)
    response.delete_cookie(REFRESH_COOKIE, **_COOKIE_OPTIONS, path=_refresh_path())
    response.delete_cookie(CSRF_COOKIE, **_COOKIE_OPTIONS)
    # What the browser has stored to revalidate it (W3C Clear Site Data section 3.1).
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def _refresh_path() -> str:
    # The other names begin with __Host-, which requires the path "/".
    return below_prefix("/api/v1/auth")


def _unset_cookies_on_401(response: Response) -> Response:
    return _unset_cookies(response) if response.status_code == 401 else response


def _add_cookie_to_vary(response: Response) -> Response:
    """Add Cookie to Vary where the response depends on the caller (RFC 9110 section 12.5.5)."""
    if "Authorization" in response.vary:
        response.vary.add("Cookie")
    return response
