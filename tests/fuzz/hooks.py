"""What Schemathesis cannot know of the service: accounts to throw away, and rules past any schema.

It is loaded by `schemathesis.toml`, in the process of the tool.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

PASSWORD = "the password of an account to throw away"
NEEDED = os.environ["FUZZ_NEEDED_USERS"].split()  # ids of those whom the run acts as

ENDS_THE_ACCOUNT = ("DELETE /api/v1/users/me", "PUT /api/v1/users/me/password")
CHANGES_AN_ACCOUNT = ("PATCH /api/v1/users/{user_id}", "DELETE /api/v1/users/{user_id}")
LOGS_IN = ("POST /api/v1/auth/login", "POST /api/v1/auth/cookies")
REFRESHES = "POST /api/v1/auth/refresh"
REFRESHES_COOKIES = "POST /api/v1/auth/cookies/refresh"
ACCESS_COOKIE, REFRESH_COOKIE = "__Host-access_token", "__Secure-refresh_token"
USES_AN_ACCOUNT_UP = (*ENDS_THE_ACCOUNT, *CHANGES_AN_ACCOUNT, REFRESHES, REFRESHES_COOKIES)


@dataclass(frozen=True)
class Account:
    """Somebody who may be lost."""

    id: str
    access_token: str
    refresh_token: str
    csrf_token: str


_numbers = count(1)
_spare: list[Account] = []


def spare_account(base_url: str) -> Account:
    """An account that is still in order; the same one until `after_call` sees it used up."""
    if not _spare:
        email = f"spare{next(_numbers)}@example.com"
        user = _post(base_url, "users", email=email, name="Spare", password=PASSWORD)
        login = _post(base_url, "auth/cookies", email=email, password=PASSWORD)
        tokens = [login.cookies[name] for name in (ACCESS_COOKIE, REFRESH_COOKIE)]
        _spare.append(Account(user.json()["id"], *tokens, login.json()["csrf_token"]))
    return _spare[0]


def _post(base_url: str, path: str, **body: str) -> requests.Response:
    response = requests.post(f"{base_url.rstrip('/')}/api/v1/{path}", json=body, timeout=10)
    response.raise_for_status()
    return response


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Point what would end one of the run's own accounts at one that was made for it.

    Logging out and ending sessions need no such care: whose session is gone logs in anew.
    """
    label, base_url = case.operation.label, case.operation.schema.get_base_url()
    if "Authorization" in case.headers:  # then cookies are a 400, which no schema can say
        case.cookies.pop(ACCESS_COOKIE, None)
        case.headers.pop("X-CSRF-Token", None)
    valid = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if label in ENDS_THE_ACCOUNT and case.auth_identity:
        case.headers["Authorization"] = f"Bearer {spare_account(base_url).access_token}"
    elif label in CHANGES_AN_ACCOUNT and case.path_parameters.get("user_id") in NEEDED:
        case.path_parameters["user_id"] = spare_account(base_url).id
    if valid and label == "PUT /api/v1/users/me/password":
        case.body["current_password"] = PASSWORD
    elif valid and label == REFRESHES:
        case.body["refresh_token"] = spare_account(base_url).refresh_token
    elif valid and label == REFRESHES_COOKIES:
        case.cookies[REFRESH_COOKIE] = spare_account(base_url).refresh_token
        case.headers["X-CSRF-Token"] = spare_account(base_url).csrf_token
    elif valid and "cursor" in case.query:
        _send_a_cursor_that_was_given(case)
    elif valid and case.method == "POST":
        _make_unique(case)


_used: set[str] = set()


def _make_unique(case: Case) -> None:
    """Replace what exists already: the outcome must not depend on what was sent before.

    Otherwise Hypothesis, which sends the same again, takes the service for unpredictable, and
    ends the stateful phase without a word.
    """
    for values, name, form in (
        (case.headers, "Idempotency-Key", "key-{}"),
        (case.body, "email", "user{}@example.com"),
        (case.body, "sku", "SKU-{}"),
    ):
        if isinstance(values, Mapping) and name in values and case.operation.label not in LOGS_IN:
            if values[name].casefold() in _used:
                values[name] = form.format(next(_numbers))
            _used.add(values[name].casefold())


_cursors: dict[str, str] = {}  # the last that each list gave


def _send_a_cursor_that_was_given(case: Case) -> None:
    """One that was made up is a 400; one that was given carries sort and filters by itself."""
    cursor = _cursors.pop(case.operation.label, None)
    if cursor is None:
        del case.query["cursor"]
    else:
        for name in case.query.keys() - {"limit", "count"}:
            del case.query[name]
        case.query["cursor"] = cursor


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Forget a spare account that was used up; remember the cursor of a page."""
    if response.status_code >= 300:
        return
    if case.operation.label in USES_AN_ACCOUNT_UP:
        _spare.clear()
    elif case.method == "GET" and (cursor := response.json().get("next_cursor")):
        _cursors[case.operation.label] = cursor


@schemathesis.check
def unknown_names_are_refused(ctx: CheckContext, response: Response, case: Case) -> None:
    """No member of a body, and no query parameter, is accepted that the document does not name.

    Schemathesis lets servers ignore them, also where the document forbids them; this one does not.
    """
    document = case.operation.schema.raw_schema
    operation = document["paths"][case.operation.path].get(case.method.lower())
    if response.status_code >= 300 or operation is None:  # as for OPTIONS
        return
    known = {p["name"] for p in operation.get("parameters", ()) if p.get("in") == "query"}
    given = set(parse_qs(urlsplit(response.request.url).query, keep_blank_values=True))
    if isinstance(case.body, Mapping):
        (media_type, *_) = operation["requestBody"]["content"].values()
        schema = media_type["schema"]["$ref"].rpartition("/")[2]
        known |= document["components"]["schemas"][schema]["properties"].keys()
        given |= case.body.keys()
    assert given <= known, f"Accepted although unknown: {', '.join(sorted(given - known))}"


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Whether a failure counts; the refusal of a valid request does not for what is listed here."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = response.json()
    places = [(e["detail"], e.get("pointer")) for e in problem.get("errors", ())]
    match problem["type"], case.operation.label, places:
        case "/problems/idempotency-key-reused", _, _:
            return False  # `"a"` and `a` are one key
        case _, "POST /api/v1/auth/api-keys", [(detail, "#/scopes")]:
            return "role does not hold" not in detail  # which scopes there are depends on the role
        case _, "PATCH /api/v1/products/{product_id}", [(detail, "#/price")]:
            # Of price and currency one was sent, the row knows the other.
            return "more decimals" not in detail or {"price", "currency"} <= case.body.keys()
    return True
