"""What Schemathesis cannot know of the service: accounts to throw away, and rules past any schema.

It is loaded by `schemathesis.toml`, in the process of the tool.
"""

import os
import re
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

PASSWORD = "none that anybody will miss"
NEEDED = os.environ["FUZZ_NEEDED_USERS"].split()  # ids and addresses of those whom the run acts as
LOG = Path(os.environ["FUZZ_LOG"])  # where the service writes its mails, too

ENDS_THE_ACCOUNT = ("DELETE /api/v1/users/me", "PUT /api/v1/users/me/password")
CHANGES_AN_ACCOUNT = ("PATCH /api/v1/users/{user_id}", "DELETE /api/v1/users/{user_id}")
BATCH = "POST /api/v1/tasks/batch"
CREATES = (
    *(f"POST /api/v1/{name}" for name in ("users", "products", "tasks", "auth/api-keys")),
    BATCH,
)
LOGS_IN = ("POST /api/v1/auth/login", "POST /api/v1/auth/cookies")
REFRESHES = "POST /api/v1/auth/refresh"
REFRESHES_COOKIES = "POST /api/v1/auth/cookies/refresh"
TAKES_A_MAILED_TOKEN = {  # and the page that the mail links to
    "POST /api/v1/auth/email/verify": "/verify-email",
    "POST /api/v1/auth/password/reset": "/reset-password",
}
USES_AN_ACCOUNT_UP = (
    *ENDS_THE_ACCOUNT,
    *CHANGES_AN_ACCOUNT,
    *TAKES_A_MAILED_TOKEN,
    REFRESHES,
    REFRESHES_COOKIES,
)
ACCESS_COOKIE, REFRESH_COOKIE = "__Host-access_token", "__Secure-refresh_token"

_numbers = count(1)


@schemathesis.serializer("application/x-ndjson")
def send_lines(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Send a file as it is; what was generated in place of one, as text."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


class Account:
    """Somebody who may be lost."""

    def __init__(self, base_url: str) -> None:
        self.api = f"{base_url.rstrip('/')}/api/v1"
        self.log_before = LOG.stat().st_size
        self.email = f"spare{next(_numbers)}@example.com"
        user = self._post("users", name="Spare", password=PASSWORD)
        login = self._post("auth/cookies", password=PASSWORD)
        self.id: str = user.json()["id"]
        self.access_token = login.cookies[ACCESS_COOKIE]
        self.refresh_token = login.cookies[REFRESH_COOKIE]
        self.csrf_token: str = login.json()["csrf_token"]

    def mailed_token(self, page: str) -> str:
        """The token of the last mail that links to a page; one for a new password is asked for."""
        deadline = time.monotonic() + 10
        while not (tokens := self._mailed_tokens(page)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no mail came with a link to {page}")
            if page == "/reset-password":
                self._post("auth/password/forgot")
            time.sleep(0.05)
        return tokens[-1]

    def _mailed_tokens(self, page: str) -> list[str]:
        with LOG.open("rb") as log:
            log.seek(self.log_before)
            mails = [line for line in log if f'"{self.email}"'.encode() in line]
        return re.findall(rf"{page}#token=([\w-]+)", b"".join(mails).decode())

    def _post(self, path: str, **body: str) -> requests.Response:
        body = {"email": self.email, **body}
        response = requests.post(f"{self.api}/{path}", json=body, timeout=10)
        response.raise_for_status()
        return response


_spare: list[Account] = []


def spare_account(case: Case) -> Account:
    """An account that is still in order; the same one until `after_call` sees it used up."""
    if not _spare:
        _spare.append(Account(case.operation.schema.get_base_url()))
    return _spare[0]


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Keep the accounts of the run from harm, and fill in what a valid request needs to know."""
    if "Authorization" in case.headers:  # then cookies are a 400, which no schema can say
        case.cookies.pop(ACCESS_COOKIE, None)
        case.headers.pop("X-CSRF-Token", None)
    _spare_the_needed(case)
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        _complete(case)


def _spare_the_needed(case: Case) -> None:
    """Point what would end one of the run's own accounts at one that was made for it.

    Logging out and ending sessions need no such care: whose session is gone logs in anew.
    """
    label = case.operation.label
    if label in ENDS_THE_ACCOUNT and case.auth_identity:
        case.headers["Authorization"] = f"Bearer {spare_account(case).access_token}"
    elif label in CHANGES_AN_ACCOUNT and case.path_parameters.get("user_id") in NEEDED:
        case.path_parameters["user_id"] = spare_account(case).id
    elif label in LOGS_IN and isinstance(case.body, dict) and case.body.get("email") in NEEDED:
        case.body["email"] = spare_account(case).email  # too many guesses lock an account


def _complete(case: Case) -> None:
    """Fill in what the service gave to somebody, which nobody can make up."""
    label = case.operation.label
    if label == "PUT /api/v1/users/me/password":
        case.body["current_password"] = PASSWORD
    elif label in TAKES_A_MAILED_TOKEN:
        case.body["token"] = spare_account(case).mailed_token(TAKES_A_MAILED_TOKEN[label])
    elif label == REFRESHES:
        case.body["refresh_token"] = spare_account(case).refresh_token
    elif label == REFRESHES_COOKIES:
        case.cookies[REFRESH_COOKIE] = spare_account(case).refresh_token
        case.headers["X-CSRF-Token"] = spare_account(case).csrf_token
    elif "cursor" in case.query:
        _send_a_cursor_that_was_given(case)
    elif label in CREATES:
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
        if name in values:
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
    elif case.method == "GET" and (cursor := _next_cursor(response)):
        _cursors[case.operation.label] = cursor


def _next_cursor(response: Response) -> str | None:
    is_json = response.headers["content-type"] == ["application/json"]
    return response.json().get("next_cursor") if is_json else None


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
        case _, _, [(detail, "#/password" | "#/new_password")]:
            return not detail.startswith(
                ("This password is too", "Too similar to")
            )  # known or guessable ones
        case _, "POST /api/v1/auth/api-keys", [(detail, "#/scopes")]:
            return "role does not hold" not in detail  # which scopes there are depends on the role
        case "/problems/batch-failed", _, _:
            # Which items there are, in which version, only the service knows; and a schema cannot
            # say that each is named once.
            return not all(
                e["status"] in (404, 412) or e["detail"] == "Is named more than once."
                for e in problem["errors"]
            )
        case _, "PATCH /api/v1/products/{product_id}", [(detail, "#/price")]:
            # Of price and currency one was sent, the row knows the other.
            return "more decimals" not in detail or {"price", "currency"} <= case.body.keys()
    return True
