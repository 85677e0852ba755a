"""What the decorators of a routes file are made of: they check their arguments, then declare."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from types import UnionType
from typing import Any, NoReturn, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from app.core.openapi.operation import DeclarationError, Responder, View, get_operation
from app.core.resources.filters import Sort
from app.core.schemas.base import Schema

Decorator = Callable[[View], View]
P = ParamSpec("P")
D = TypeVar("D", bound=Callable[..., Any])

# What arguments of these types are called; those of other types are not checked.
_NAMES: dict[Any, str] = {
    bool: "bool",
    int: "number",
    str: "text",
    tuple: "tuple",
    Mapping: "mapping",
    type(None): "None",
    Sort: "Sort(…)",
}

_ONLY_ONE = {"body": "body", "upload": "file", "responder": "response"}


def checked(function: Callable[P, D]) -> Callable[P, D]:
    """A function that returns a decorator, with a check of the arguments that it is called with.

    Raises:
        DeclarationError: an argument is missing or wrong; names the view that is decorated.
    """
    signature, hints = inspect.signature(function), get_type_hints(function)

    def refuse(view: View, text: str) -> NoReturn:
        raise DeclarationError(view, f"@{function.__name__}: {text}")

    @wraps(function)
    def check(*args: P.args, **kwargs: P.kwargs) -> Any:
        if args and inspect.isfunction(args[-1]) and len(args) < 3 and not kwargs:
            refuse(args[-1], "its arguments are missing")  # it decorates without brackets
        try:
            arguments = signature.bind(*args, **kwargs).arguments
            for name, value in arguments.items():
                if expected := _expected(hints.get(name), value):
                    shown = getattr(value, "__qualname__", repr(value))
                    raise TypeError(f"{name}={shown} is no {expected}")
            return function(*args, **kwargs)
        except (TypeError, ValueError, NameError) as error:
            text = str(error)
            return lambda view: refuse(view, text)

    return check


def _expected(hint: Any, value: Any) -> str:
    """What an argument has to be, if it is something else."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    wrong = [_expected_kind(kind, value) for kind in kinds]
    return " or ".join(wrong) if all(wrong) else ""


def _expected_kind(kind: Any, value: Any) -> str:
    origin = get_origin(kind) or kind
    if origin is type:
        (base,) = get_args(kind)
        is_subclass = isinstance(value, type) and issubclass(value, base)
        return "" if is_subclass else f"subclass of {base.__name__}"
    if origin not in _NAMES:
        return ""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    fits = is_number if origin is int else isinstance(value, origin)
    return "" if fits else _NAMES[origin]


def responds(
    kind: str, status: int, respond: Responder, schema: Schema | None = None, **declared: Any
) -> Decorator:
    """A response decorator; `declared` are further attributes of the operation."""
    if status not in (200, 201, 202, 204) or (status == 204 and schema):
        raise ValueError(f"status={status} is not that of such a response")
    media_types = ("application/json",) if schema else ()
    response = {"status": status, "schema": schema, "media_types": media_types}
    return declares(response_kind=kind, responder=respond, **(response | declared))


def declares(**attributes: Any) -> Decorator:
    """A decorator that sets these attributes of the operation."""

    def decorate(view: View) -> View:
        operation = get_operation(view)
        for name, value in attributes.items():
            if name in _ONLY_ONE and getattr(operation, name):
                raise DeclarationError(view, f"two decorators declare its {_ONLY_ONE[name]}")
            setattr(operation, name, value)
        return view

    return decorate
