"""Job types: the functions that run jobs, as features register them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from inspect import signature
from typing import Any, Protocol, TypeVar
from uuid import UUID

from app.core.openapi.operation import DeclarationError
from app.core.resources.declarations import checked

ATTEMPTS = 5  # without progress; more are configured per job type

Arguments = dict[str, Any]


class JobError(Exception):
    """A permanent failure; the message is a sentence for the owner of the job."""


class JobRun(Protocol):
    """One run of a job, as each backend passes it to the handler."""

    id: UUID
    owner_id: UUID | None
    arguments: Arguments

    def checkpoint(self) -> None:
        """Commit the transaction; it may raise an exception that ends this run."""

    def count_earlier(self, since: datetime) -> int:
        """Return how many jobs of this type and owner were created before, and have not failed."""


# `Any` is the class of the backend: the one of the feature `jobs` has more members than `JobRun`.
HandlerT = TypeVar("HandlerT", bound=Callable[[Any], Arguments | None])


@dataclass(frozen=True, slots=True)
class JobType:
    """The handler of a job type, and its maximum number of attempts without progress."""

    handler: Callable[[Any], Arguments | None]
    attempts: int
    permission: str | None = None  # that the owner must still have at each transaction


JOB_TYPES: dict[str, JobType] = {}


def require_type(name: str) -> None:
    """Refuse a job that no handler is registered for, which would wait for a newer worker.

    Raises:
        LookupError: the name has a typo, or the module of the handler is not imported.
    """
    if name not in JOB_TYPES:
        raise LookupError(f"there is no job type {name!r}: is its module imported in init_app?")


def check_parameters(function: Callable[..., Any], passed: tuple[str, ...], by: str) -> None:
    """Check that a function takes what it is called with.

    Raises:
        DeclarationError: names the function.
    """
    try:
        signature(function).bind(*passed)
    except TypeError:
        taken, given = ", ".join(signature(function).parameters), ", ".join(passed)
        text = f"it takes ({taken}), but {by} passes ({given})"
        raise DeclarationError(function, text) from None


@checked
def job(
    name: str, *, attempts: int = ATTEMPTS, permission: str | None = None
) -> Callable[[HandlerT], HandlerT]:
    """Register the function that runs jobs of this type.

    It receives a `JobRun`. With the feature `jobs` it returns the job's result, is called again
    after a failure (only what it commits with `JobRun.checkpoint` happens once, all other effects
    must be idempotent), and stops before its next transaction if the owner of the job was disabled
    or has lost the permission.
    """

    def register(handler: HandlerT) -> HandlerT:
        if name in JOB_TYPES:
            raise DeclarationError(handler, f"there is a job type {name!r} already")
        check_parameters(handler, ("run",), "a job")
        JOB_TYPES[name] = JobType(handler, attempts, permission)
        return handler

    return register


def check_permissions(permissions: Collection[str]) -> None:
    """Check that a role has the permission of each job type, whose jobs would end at once.

    Raises:
        DeclarationError: names the handler.
    """
    for each in JOB_TYPES.values():
        if each.permission not in (None, *permissions):
            text = f"no role has the permission {each.permission!r}"
            raise DeclarationError(each.handler, text)
