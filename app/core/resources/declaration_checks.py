"""The checks at the start of what a routes file declares: a mistake stops it with one line."""

import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from flask import current_app

from app import setting_checks
from app.config import Settings
from app.core.files.file_types import check_content, known_types
from app.core.openapi.operation import DeclarationError, Operation, View
from app.core.security.authorization import Access
from app.core.web.problems import Problem

NOT_GIVEN: Any = object()  # instead of an access rule
_METHODS = {
    "returns": ("GET",),
    "returns_file": ("GET",),
    "paginated": ("GET",),
    "exports": ("GET",),
    "creates": ("POST",),
    "updates": ("PATCH", "PUT"),
    "deletes": ("DELETE",),
    "batch": ("POST",),
}
# A path of several segments, such as the name of a document, is written <path:name>.
_ID = re.compile(r"<(?:uuid|path):\w+>")
_PATH_NAME = re.compile(r"<(?:[^<>]*:)?(\w+)>")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/([\w.+-]+|\*)")
_SETTINGS = {field.name.upper(): field.type for field in fields(Settings)}


def check_route(
    view: View, method: str, rule: str, access: Access, *, documented: bool = True
) -> None:
    """Check a route: its access rule, and that rule and method fit what its view declares."""
    if access is NOT_GIVEN:
        raise DeclarationError(view, "an access rule is missing")
    if not isinstance(access, Access):
        raise DeclarationError(view, f"access={access!r} is no access rule")
    if inspect.iscoroutinefunction(view):
        raise DeclarationError(view, "async views are not supported")
    operation: Operation | None = getattr(view, "operation", None)
    problem = _route_problem(operation, method, rule) if operation and documented else ""
    if problem:
        raise DeclarationError(view, problem)
    passed: list[str] = []
    if operation is not None:
        passed += ["row"] if operation.response_kind == "action" else []
        passed += ["body"] if operation.body else []
        passed += ["file", "query"] if operation.upload else []
    _check_parameters(view, passed, _PATH_NAME.findall(rule))


def _route_problem(operation: Operation, method: str, rule: str) -> str:
    kind, body = operation.response_kind, operation.body
    if rule.endswith("/"):
        return f"the path {rule!r} ends with a slash"
    if kind == "action" and (method != "POST" or "<" not in rule):
        return "an action is a POST below an item"
    if method not in (methods := _METHODS.get(kind, (method,))):
        return f"@{kind} is for {' or '.join(methods)}, not for {method}"
    if method in ("GET", "DELETE") and (body or operation.upload):
        return f"a {method} has no body"
    if operation.upload and operation.keeps_file:
        for each, text in operation.upload.examples.items():
            if not (known := known_types([each])):
                return f"{each} is not in FILE_TYPES of app.core.files.file_types"
            if not any(_is_file(text, media_type) for media_type in known):
                return f"its example {text!r} is no file of the type {each}"
    if body and operation.upload:
        return "it takes a body or a file, not both"
    is_whole_or_patch = method in ("PATCH", "PUT") or kind == "creates"
    if is_whole_or_patch and body and bool(body.partial) != (method == "PATCH"):
        return f"the body of a {method} needs partial={method == 'PATCH'}"
    if "<" in (ids := _ID.sub("", rule)) or ">" in ids:
        return f"an id in {rule!r} is not written <uuid:name>"
    if operation.has_parent and "<" not in rule:
        return f"the id of the parent is not in {rule!r}"
    return ""


def _is_file(text: str, media_type: str) -> bool:
    for coding in ("utf-8", "latin-1"):  # of an image, each character is a byte
        with suppress(Problem, UnicodeEncodeError):
            return bool(b"".join(check_content([text.encode(coding)], media_type)))
    return False


def _check_parameters(view: View, passed: list[str], path_names: list[str]) -> None:
    parameters = inspect.signature(view).parameters.values()
    if any(each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in parameters):
        return
    names = [each.name for each in parameters]
    if len(names) != len(passed + path_names) or set(names[len(passed) :]) != set(path_names):
        taken, given = ", ".join(names), ", ".join(passed + path_names)
        raise DeclarationError(view, f"it takes ({taken}), but its route passes ({given})")


def check_upload(view: View, media_types: Mapping[str, str], max_bytes: str | int) -> View:
    """Return the view if its media types have examples, and the size is one or a setting."""
    examples = media_types.items()
    if not media_types or not all(
        _MEDIA_TYPE.fullmatch(name) and isinstance(text, str) for name, text in examples
    ):
        text = f"media_types={media_types!r} has no example by media type"
        raise DeclarationError(view, text)
    if isinstance(max_bytes, str) and _SETTINGS.get(max_bytes) is not int:
        raise DeclarationError(view, f"max_bytes={max_bytes!r} is not a setting")
    return view


def read_rate_limit(view: View, rate_limit: str) -> str | Callable[[], str]:
    """The limit, or a function that reads it from the settings of the current application.

    Raises:
        DeclarationError: it is neither a limit nor the name of a setting that holds one.
    """
    if isinstance(rate_limit, str):
        # flask-limiter ignores a limit that it cannot parse, so a typo would remove the limit.
        if rate_limit in _SETTINGS and rate_limit.endswith("RATE_LIMIT"):
            return lambda: str(current_app.config[rate_limit])
        if not setting_checks.rate_limit(rate_limit):
            return rate_limit
    text = f"rate_limit={rate_limit!r} is neither a limit nor a setting that holds one"
    raise DeclarationError(view, text)
