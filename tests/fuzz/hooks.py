"""Hooks of Schemathesis: disposable accounts, and rules that no schema can express.

Loaded by `schemathesis.toml` in the process of the tool.
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
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import IgnoredAuth, RejectedPositiveData

from app.core.schemas.email_address import canonical_email
from tests import services

PASSWORD = "a password of disposable accounts"
NEEDED = os.environ["FUZZ_NEEDED_USERS"].split()  # ids and addresses of the accounts of the run
LOG = Path(os.environ["FUZZ_LOG"])  # the service also writes its e-mails there

ENDS_ACCOUNT = ("DELETE /api/v1/users/me", "PUT /api/v1/users/me/password")
UPDATES_ACCOUNT = ("PATCH /api/v1/users/{user_id}", "DELETE /api/v1/users/{user_id}")
CREATES = (
    "POST /api/v1/users",
    "POST /api/v1/auth/api-keys",
    # begin products
    "POST /api/v1/products",
    # end products
    # begin tasks
    "POST /api/v1/tasks",
    "POST /api/v1/tasks/batch",
    # end tasks
)
LOGS_IN = ("POST /api/v1/auth/login", "POST /api/v1/auth/cookies")
REFRESHES = "POST /api/v1/auth/refresh"
REFRESHES_COOKIES = "POST /api/v1/auth/cookies/refresh"
TAKES_EMAIL_TOKEN = {  # and the page that the e-mail links to
    "POST /api/v1/auth/email/verify": "/verify-email",
    "POST /api/v1/auth/password/reset": "/reset-password",
    "POST /api/v1/auth/email/change/confirm": "/confirm-email-change",
}
USES_ACCOUNT = (
    *ENDS_ACCOUNT,
    *UPDATES_ACCOUNT,
    *TAKES_EMAIL_TOKEN,
    REFRESHES,
    REFRESHES_COOKIES,
)
ACCESS_COOKIE, REFRESH_COOKIE = "__Host-access_token", "__Secure-refresh_token"

_numbers = count(1)


@schemathesis.serializer("application/x-ndjson")
def send_lines(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Send bytes unchanged, and other generated values as text."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


class Account:
    """A disposable account, logged in."""

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
        """The token of the last e-mail that links to a page; resets and changes are requested."""
        deadline = time.monotonic() + services.SECONDS
        if page == "/confirm-email-change":  # once, because each request cancels the one before
            self._post("auth/email/change", email=f"moved-{self.email}")
        while not (tokens := self._mailed_tokens(page)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no e-mail with a link to {page}")
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
        token = getattr(self, "access_token", None)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = requests.post(
            f"{self.api}/{path}", json=body, headers=headers, timeout=services.SECONDS
        )
        response.raise_for_status()
        return response


_spare: list[Account] = []


def spare_account(case: Case) -> Account:
    """An unused account; the same one until `after_call` finds it used."""
    if not _spare:
        _spare.append(Account(case.operation.schema.get_base_url()))
    return _spare[0]


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Protect the accounts of the run, and add values that only the service knows."""
    if "Authorization" in case.headers:  # then cookies are a 400, which no schema can express
        case.cookies.pop(ACCESS_COOKIE, None)
        case.headers.pop("X-CSRF-Token", None)
    _protect_needed_accounts(case)
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        _complete(case)


def _protect_needed_accounts(case: Case) -> None:
    """Use a disposable account in requests that would end an account of the run.

    Logout and revoked sessions are harmless: the tool logs in again.
    """
    label = case.operation.label
    if label in ENDS_ACCOUNT and case.auth_identity:
        case.headers["Authorization"] = f"Bearer {spare_account(case).access_token}"
    elif label in UPDATES_ACCOUNT and case.path_parameters.get("user_id") in NEEDED:
        case.path_parameters["user_id"] = spare_account(case).id
    elif label in LOGS_IN and isinstance(case.body, dict) and case.body.get("email") in NEEDED:
        case.body["email"] = spare_account(case).email  # too many guesses lock an account


def _complete(case: Case) -> None:
    """Add passwords, tokens and cursors that the service issued, and addresses that can exist."""
    label = case.operation.label
    _make_address_valid(case)
    if label == "PUT /api/v1/users/me/password":
        case.body["current_password"] = PASSWORD
    elif label in TAKES_EMAIL_TOKEN:
        case.body["token"] = spare_account(case).mailed_token(TAKES_EMAIL_TOKEN[label])
    elif label == REFRESHES:
        case.body["refresh_token"] = spare_account(case).refresh_token
    elif label == REFRESHES_COOKIES:
        case.cookies[REFRESH_COOKIE] = spare_account(case).refresh_token
        case.headers["X-CSRF-Token"] = spare_account(case).csrf_token
    elif "cursor" in case.query:
        _send_issued_cursor(case)
    elif label in CREATES:
        _make_unique(case)


def _make_address_valid(case: Case) -> None:
    """Replace an address whose international domain IDNA does not allow: no pattern can say so."""
    if isinstance(case.body, dict) and isinstance(case.body.get("email"), str):
        try:
            canonical_email(case.body["email"])
        except ValueError:
            case.body["email"] = f"user{next(_numbers)}@example.com"


_used: set[str] = set()


def _make_unique(case: Case) -> None:
    """Replace used values: the result must not depend on earlier requests.

    Otherwise Hypothesis, which repeats requests, considers the service flaky and ends the stateful
    phase silently.
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


_cursors: dict[str, str] = {}  # the last one of each list


def _send_issued_cursor(case: Case) -> None:
    """Send a cursor of the service, which contains sort and filters; a generated one is a 400."""
    cursor = _cursors.pop(_list_of(case), None)
    if cursor is None:
        del case.query["cursor"]
    else:
        for name in case.query.keys() - {"limit", "count"}:
            del case.query[name]
        case.query["cursor"] = cursor


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Discard a used account; remember the cursor of a page."""
    if response.status_code >= 300:
        return
    if case.operation.label in USES_ACCOUNT:
        _spare.clear()
    elif case.method == "GET" and (cursor := _next_cursor(response)):
        _cursors[_list_of(case)] = cursor


def _list_of(case: Case) -> str:
    """The list that a request reads: below another parent it is another one."""
    return f"{case.operation.label} {sorted((case.path_parameters or {}).items())}"


def _next_cursor(response: Response) -> str | None:
    is_json = response.headers["content-type"] == ["application/json"]
    return response.json().get("next_cursor") if is_json else None


@schemathesis.check
def unknown_names_are_rejected(ctx: CheckContext, response: Response, case: Case) -> None:
    """Members of a body and query parameters that are not in the document are rejected.

    Schemathesis permits servers to ignore them, even if the document forbids them.
    """
    document = case.operation.schema.raw_schema
    operation = document["paths"][case.operation.path].get(case.method.lower())
    if response.status_code >= 300 or operation is None:  # as for OPTIONS
        return
    known = {p["name"] for p in operation.get("parameters", ()) if p.get("in") == "query"}
    sent = set(parse_qs(urlsplit(response.request.url).query, keep_blank_values=True))
    (media_type, *_) = operation.get("requestBody", {"content": {"": {}}})["content"].values()
    if isinstance(case.body, Mapping) and "$ref" in media_type["schema"]:  # else it is a file
        schema = media_type["schema"]["$ref"].rpartition("/")[2]
        known |= document["components"]["schemas"][schema]["properties"].keys()
        sent |= case.body.keys()
    assert sent <= known, f"Accepted although unknown: {', '.join(sorted(sent - known))}"


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Whether a failure counts; some valid requests are rejected for reasons outside the schema."""
    if isinstance(failure, IgnoredAuth):
        # Dead cookies are deleted: docs/decisions.md#74-dead-cookies
        return case.operation.label != "POST /api/v1/auth/logout"
    if isinstance(failure, AcceptedNegativeData):
        # Any value is text, once it is in a file: the job finds what is wrong with it.
        return not case.operation.label.endswith("/imports")
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
            )  # common or guessable passwords
        case _, "POST /api/v1/auth/api-keys", [(detail, "#/scopes")]:
            return "role does not hold" not in detail  # scopes depend on the role
        case "/problems/batch-failed", _, _:
            # Only the service knows ids and versions, and a schema cannot forbid repeated ids.
            return not all(
                e["status"] in (404, 412) or e["detail"] == "Is named more than once."
                for e in problem["errors"]
            )
        # begin products
        case _, "PATCH /api/v1/products/{product_id}", [(detail, "#/price")]:
            # One of price and currency was sent; the row has the other.
            return "more decimals" not in detail or {"price", "currency"} <= case.body.keys()
        # end products
    return True
