"""The checks at the start of what a routes file declares: a mistake stops it with one line."""

import inspect
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import Any

from flask import current_app
from limits import parse_many

from app.config import Settings
from app.core.openapi.operation import DeclarationError, Operation, View
from app.core.security.authorization import Access

NOT_GIVEN: Any = object()  # instead of an access rule
_PATH_NAME = re.compile(r"<(?:[^<>]*:)?(\w+)>")
_SETTINGS = {field.name.upper() for field in fields(Settings)}


def check_route(view: View, method: str, rule: str, access: Access) -> None:
    """Check the access rule and the parameters of a route; an action is a POST below an item."""
    if access is NOT_GIVEN:
        raise DeclarationError(view, "an access rule is missing")
    if not isinstance(access, Access):
        raise DeclarationError(view, f"access={access!r} is no access rule")
    operation: Operation | None = getattr(view, "operation", None)
    is_action = operation is not None and operation.response_kind == "action"
    if is_action and (method != "POST" or "<" not in rule):
        raise DeclarationError(view, "an action is a POST below an item")
    passed = ["row"] if is_action else []
    if operation is not None:
        passed += (["body"] if operation.body else []) + (
            ["file", "query"] if operation.upload else []
        )
    _check_parameters(view, passed, _PATH_NAME.findall(rule))


def _check_parameters(view: View, passed: list[str], path_names: list[str]) -> None:
    parameters = inspect.signature(view).parameters.values()
    if any(each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in parameters):
        return
    names = [each.name for each in parameters]
    if len(names) != len(passed + path_names) or set(names[len(passed) :]) != set(path_names):
        taken, given = ", ".join(names), ", ".join(passed + path_names)
        raise DeclarationError(view, f"it takes ({taken}), but its route passes ({given})")


def check_max_bytes(view: View, max_bytes: str | int) -> None:
    """Check that the size of a file is a number or the name of a setting."""
    if isinstance(max_bytes, str) and max_bytes not in _SETTINGS:
        raise DeclarationError(view, f"max_bytes={max_bytes!r} is not a setting")


def read_rate_limit(view: View, rate_limit: str) -> str | Callable[[], str]:
    """The limit, or a function that reads it from the settings of the current application.

    Raises:
        DeclarationError: it is neither a limit nor the name of a setting that holds one.
    """
    if isinstance(rate_limit, str):
        # flask-limiter ignores a limit that it cannot parse, so a typo would remove the limit.
        if rate_limit in _SETTINGS and rate_limit.endswith("RATE_LIMIT"):
            return lambda: str(current_app.config[rate_limit])
        with suppress(ValueError):
            parse_many(rate_limit)
            return rate_limit
    text = f"rate_limit={rate_limit!r} is neither a limit nor a setting that holds one"
    raise DeclarationError(view, text)
