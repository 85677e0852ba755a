"""Rows that keep an uploaded file, and what their JSON and their requests have in common."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import ResourceMixin
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Integer, String
from app.core.schemas.text_fields import Name
from app.extensions import Base

MAX_NAME_LENGTH = 200  # percent-encoded it is part of a header field


class FileMixin(ResourceMixin):
    """Mixin of rows that keep a stored file: `Label(**file.row_values(), **query)`.

    Such a row has the id of its upload, and is deleted with it. Another file is another row.
    """

    # The database refuses to delete a file that a row keeps, also where this release does not know
    # the model: docs/decisions.md#82-files-of-rows
    id: Mapped[UUID] = mapped_column(ForeignKey("uploads.id"), primary_key=True, sort_order=-1)
    file_name: Mapped[str] = mapped_column(Text, default="file")
    media_type: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)  # bytes
    digest: Mapped[str] = mapped_column(Text)  # SHA-256 in hexadecimal digits


class FileQuery(Schema):
    """The query parameters of a request that sends a file."""

    file_name = Name(max_length=MAX_NAME_LENGTH, metadata={"description": "The name of the file."})


class FileSchema(ResourceSchema):
    """A stored file."""

    file_name = Name(max_length=MAX_NAME_LENGTH, dump_only=True, metadata={"example": "label.pdf"})
    media_type = String(max_length=255, dump_only=True, metadata={"example": "application/pdf"})
    size = Integer(min=1, max=2**53 - 1, dump_only=True)
    digest = String(
        min_length=64,
        max_length=64,
        dump_only=True,
        metadata={"example": "0" * 64, "description": "SHA-256 in hexadecimal digits."},
    )


def file_models() -> list[type[Any]]:
    """The models of rows that keep files, whose tables are part of the database."""
    mapped: list[Any] = [mapper.class_ for mapper in Base.registry.mappers]
    models = [model for model in mapped if issubclass(model, FileMixin)]
    return [model for model in models if model.__tablename__ in Base.metadata.tables]
