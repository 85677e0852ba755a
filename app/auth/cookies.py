"""Tokens in cookies, for pages of the service's own origin (AUTH_COOKIES).

No script can read the cookies of the tokens, and no page of another site can send them. A browser
sends cookies by itself, though, whoever made the request: so one that may change something repeats
in X-CSRF-Token what is in the cookie of the CSRF token, which pages of our origin can read. It is
derived from the session: OWASP's "signed double-submit cookie".
"""

import hmac
from typing import Any
from uuid import UUID

from flask import Flask, after_this_request, current_app, request
from flask_jwt_extended import set_access_cookies, set_refresh_cookies, unset_jwt_cookies

from app.auth.sessions import split_refresh_token
from app.core.security.authorization import CHALLENGE, unauthorized_problem
from app.core.web.flask_app import Response
from app.core.web.problems import Problem

# A browser takes these names only with Secure and, after __Host-, without Domain and for all paths:
# so no other host of the domain can plant one (RFC 6265bis section 4.1.3).
ACCESS_COOKIE = "__Host-access_token"
CSRF_COOKIE = "__Host-csrf_token"
REFRESH_COOKIE = "__Secure-refresh_token"
CSRF_HEADER = "X-CSRF-Token"
_CSRF_COOKIE_OPTIONS: dict[str, Any] = {"secure": True, "samesite": "Strict"}
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # RFC 9110 section 9.2.1


def init_app(app: Flask, *, enabled: bool) -> None:
    """Configure the cookies. All of them end with the browser, and sooner with the session."""
    app.config |= {
        "JWT_TOKEN_LOCATION": ["headers", "cookies"] if enabled else ["headers"],
        "JWT_ACCESS_COOKIE_NAME": ACCESS_COOKIE,
        "JWT_REFRESH_COOKIE_NAME": REFRESH_COOKIE,
        "JWT_REFRESH_COOKIE_PATH": "/api/v1/auth",
        "JWT_COOKIE_SECURE": True,  # browsers take http://127.0.0.1 and localhost for secure
        "JWT_COOKIE_SAMESITE": "Strict",
        "JWT_COOKIE_CSRF_PROTECT": False,  # the library's cannot protect a token that is no JWT
    }
    if enabled:
        app.after_request(_vary)


def access_token_from_cookie() -> str | None:
    """The access token in the request's cookie, where cookies are enabled and there is one."""
    return request.cookies.get(ACCESS_COOKIE) if _enabled() else None


def refresh_token_from_cookie() -> str:
    """The refresh token in the request's cookie. If it is refused, the cookies are taken back.

    Raises:
        Problem: 401, there is none; 403, the CSRF token is missing or wrong; 404, cookies are not
            enabled.
    """
    require_enabled()
    after_this_request(_unset_cookies_on_401)
    token = request.cookies.get(REFRESH_COOKIE)
    if not token:
        raise unauthorized_problem("There is no cookie with a refresh token.")
    check_csrf(split_refresh_token(token)[0])
    return token


def require_enabled() -> None:
    """Make sure that the service gives cookies.

    Raises:
        Problem: 404, it does not.
    """
    if not _enabled():
        raise Problem("not-found")


def set_auth_cookies(tokens: dict[str, Any]) -> dict[str, Any]:
    """Set the tokens as cookies of the answer to this request; what is left is for its body."""
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    csrf = _csrf_token(split_refresh_token(refresh)[0])

    def set_cookies(response: Response) -> Response:
        if response.status_code == 200:  # and what the cookies stand for was stored
            set_access_cookies(response, access)
            set_refresh_cookies(response, refresh)
            response.set_cookie(CSRF_COOKIE, csrf, **_CSRF_COOKIE_OPTIONS)
        return response

    after_this_request(set_cookies)
    return {"expires_in": tokens["expires_in"], "csrf_token": csrf}


def clear_auth_cookies() -> None:
    """Have the answer to this request delete the cookies, where they were sent."""
    if ACCESS_COOKIE in request.cookies:
        after_this_request(_unset_cookies)


def check_csrf(session_id: UUID | None) -> None:
    """Make sure that a page of ours sent the request, where it may change something.

    Raises:
        Problem: 403, the CSRF token is missing, or not that of the session.
    """
    sent = request.headers.get(CSRF_HEADER, "").encode()
    if request.method in _SAFE_METHODS or hmac.compare_digest(
        sent, _csrf_token(session_id).encode()
    ):
        return
    detail = (
        f"A request with cookies needs {CSRF_HEADER}, with the value of the cookie {CSRF_COOKIE}."
    )
    raise Problem("forbidden", detail, headers={"WWW-Authenticate": CHALLENGE})


def _enabled() -> bool:
    return "cookies" in current_app.config["JWT_TOKEN_LOCATION"]


def _csrf_token(session_id: UUID | None) -> str:
    key = f"csrf tokens {current_app.config['SECRET_KEY']}"
    return hmac.digest(key.encode(), str(session_id).encode(), "sha256").hex()


def _unset_cookies(response: Response) -> Response:
    unset_jwt_cookies(response)
    response.delete_cookie(CSRF_COOKIE, **_CSRF_COOKIE_OPTIONS)
    return response


def _unset_cookies_on_401(response: Response) -> Response:
    return _unset_cookies(response) if response.status_code == 401 else response


def _vary(response: Response) -> Response:
    """What depends on who asks depends on the cookies too (RFC 9110 section 12.5.5)."""
    if "Authorization" in response.vary:
        response.vary.add("Cookie")
    return response
