"""The checks at the start of the code of a view: what it returns, and the models that it names."""

import ast
import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from textwrap import dedent
from typing import Any

import sqlalchemy as sa
from werkzeug.local import LocalProxy

from app.core.openapi.operation import DeclarationError, Operation, View
from app.core.resources.scoped_query import path_param_names
from app.core.resources.statements import model_of
from app.core.security.authorization import ANONYMOUS, Caller
from app.extensions import Base

_CONSTANTS = (str, int, dict, list, tuple, type, sa.Select, LocalProxy)


def check_scopes(view: View, operation: Operation, path_names: set[str]) -> list[Any]:
    """Check that the route of a view has each id that a scoped query of its own takes.

    Args:
        path_names: the names of the ids in the path.

    Returns:
        The models that the view names; none if it calls functions, which may name others.

    Raises:
        DeclarationError: names the view, or the model whose `visible_to` is missing or wrong.
    """
    view = inspect.unwrap(view)
    named = inspect.getclosurevars(view)
    values = [*named.globals.values(), *named.nonlocals.values()]
    # `isinstance` would ask a proxy of Flask for the class of its object.
    models = [each for each in values if issubclass(type(each), type) and issubclass(each, Base)]
    scopes = [each for each in values if issubclass(type(each), sa.Select)]
    if "visible_to" in named.unbound:
        scoped_models = [each for each in models if hasattr(each, "visible_to")] or models
        scopes += [_call(each, partial(_visible_to, each), "visible_to") for each in scoped_models]
    if operation.rows:
        scopes.append(_call(view, operation.rows, "rows"))
    for name in (name for scoped in scopes for name in path_param_names(scoped)):
        if name not in path_names:
            text = f"its scoped query has path_param({name!r}), its path has no such id"
            raise DeclarationError(view, text)
    is_complete = all(issubclass(type(each), _CONSTANTS) for each in values)
    return models + [model_of(scoped) for scoped in scopes] if is_complete else []


def check_result(view: View, operation: Operation) -> None:
    """Check that a view returns something, unless its response is empty.

    Raises:
        DeclarationError: the view has no `return` with a value, and raises nothing.
    """
    view = inspect.unwrap(view)
    if operation.response_kind == "response" and operation.schema is None:
        return
    if None not in view.__code__.co_consts:  # what Python returns without a `return`
        return
    if _returns_nothing(view):
        raise DeclarationError(view, "it returns nothing")


@cache
def _returns_nothing(view: Callable[..., Any]) -> bool:
    """Whether the code of a view has neither a `return` with a value nor a `raise`."""
    with suppress(OSError):  # it has no source where `exec` has made it
        (function,) = ast.parse(dedent(inspect.getsource(view))).body
        nodes = list(ast.walk(function))
        returns = any(isinstance(each, ast.Return) and each.value for each in nodes)
        # A view that raises may have no other response.
        return not returns and not any(isinstance(each, ast.Raise) for each in nodes)
    return False


def _visible_to(model: Any, caller: Caller) -> Any:
    return model.visible_to(caller)


def _call(declared: Any, rows: Callable[[Caller], Any], name: str) -> sa.Select[Any]:
    """The scoped query of a caller without permissions."""
    try:
        first, second = rows(ANONYMOUS), rows(ANONYMOUS)
    except Exception as error:  # the resource's own function
        text = f"{name}(caller) fails with {type(error).__name__}: {error}"
        raise DeclarationError(declared, text) from error
    if not isinstance(first, sa.Select):
        raise DeclarationError(declared, f"{name}(caller) returns {first!r}, which is no select")
    if first is not second:  # docs/decisions.md#1-scoped-queries
        raise DeclarationError(declared, f"{name}(caller) returns a new select at each call")
    scoped: sa.Select[Any] = first
    return scoped
