"""What the decorators of a view declare; the dispatch and the document both read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from app.config import StartError
from app.core.schemas.base import Schema
from app.core.web.flask_app import Response

View = Callable[..., Any]
Responder = Callable[[Any, UUID | None], Response]
"""Makes the response of what the view returned, and of the last id of the path."""


class Upload(NamedTuple):
    """A request body that is a file."""

    examples: Mapping[str, str]  # a short file, by each media type that is accepted
    max_bytes: str | int  # a number, or the name of a setting


class Stream(NamedTuple):
    """A response body that is a stream of rows."""

    schema: Schema  # of one row
    example: Callable[[str, Mapping[str, Any]], str]  # the stream of one row, in a media type


@dataclass(slots=True)
class Operation:
    """What the decorators of one view declare."""

    body: Schema | None = None
    prepare: Callable[[dict[str, Any]], None] | None = None  # changes the body
    is_repeatable: bool = True  # whether a POST honours Idempotency-Key
    query: Schema | None = None
    upload: Upload | None = None
    responder: Responder | None = None
    response_kind: str = "response"  # a key of `conventions.OPERATION_KINDS`
    checks_session: bool = False  # whether the first statement of the responder does it
    status: int = 200
    schema: Schema | None = None  # of the response
    media_types: tuple[str, ...] = ()  # of the response; of none if it has no body
    stream: Stream | None = None
    has_parent: bool = False  # whether the view returns the scoped query of the parents as well
    rows: Callable[[Any], Any] | None = None  # the scoped query of an action
    queries: int = 0  # SQL statements of the view itself
    error_docs: dict[int, str] = field(default_factory=dict)

    @property
    def keeps_file(self) -> bool:
        """Whether a new row keeps the upload; otherwise a job parses it."""
        return self.upload is not None and self.status == 201

    @property
    def codings(self) -> tuple[str, ...]:
        """The content codings of an upload; a file that a new row keeps is returned as stored."""
        return ("identity",) if self.keeps_file else ("gzip", "identity")


def get_operation(view: View) -> Operation:
    """The declarations of a view; created by the first decorator."""
    operation: Operation = vars(view).setdefault("operation", Operation())
    return operation


class DeclarationError(StartError):
    """A view or schema that cannot be served as declared; the message names it and its module."""

    def __init__(self, declared: View | type, problem: str, *, member: str = "") -> None:
        name = f"{declared.__module__}.{declared.__qualname__}"
        super().__init__(f"{name}.{member}: {problem}" if member else f"{name}: {problem}")
