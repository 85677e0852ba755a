"""Schemas of the job routes."""

import marshmallow as ma

from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import UUID, DateTime, Enum, Integer, String
from app.core.web.problems import MAX_ERRORS
from app.jobs.models import STATES, Job, JobProblem


class JobSchema(ResourceSchema):
    """A job and its progress."""

    type = String(max_length=50, dump_only=True, metadata={"example": "mail"})
    owner_id = UUID(dump_only=True, allow_none=True)
    state = Enum(STATES, dump_only=True)
    processed_count = Integer(min=0, max=2**31 - 1, dump_only=True, metadata={"example": 1000})
    failed_count = Integer(min=0, max=2**31 - 1, dump_only=True, metadata={"example": 37})
    total = Integer(min=0, max=2**31 - 1, dump_only=True, allow_none=True)
    result = ma.fields.Dict(dump_only=True, allow_none=True, metadata={"example": {"created": 963}})
    error = String(max_length=500, dump_only=True, allow_none=True)
    finished_at = DateTime(dump_only=True, allow_none=True)


class JobQuery(PageQuery):
    """Filters and order of the list of jobs."""

    type = filter_by(String(min_length=1, max_length=50), lambda value: Job.type == value)
    state = filter_by(Enum(STATES), lambda value: Job.state == value)
    created_from = filter_by(DateTime(), lambda value: Job.created_at >= value)
    created_to = filter_by(DateTime(), lambda value: Job.created_at < value)
    sort = Sort({"created_at": Job.created_at}, default="-created_at")


class LineErrorSchema(Schema):
    """An error in a line."""

    detail = String(max_length=500, required=True, metadata={"example": "Not an ISO 4217 code."})
    pointer = String(max_length=8192, required=True, metadata={"example": "#/currency"})


class JobProblemSchema(Schema):
    """A rejected line and its errors."""

    id = UUID(dump_only=True)
    line = Integer(min=1, max=2**31 - 1, dump_only=True, metadata={"example": 17})
    errors = ma.fields.List(
        ma.fields.Nested(LineErrorSchema),
        dump_only=True,
        validate=ma.validate.Length(max=MAX_ERRORS),
    )


class JobProblemQuery(PageQuery):
    """Filters and order of the list of rejected lines."""

    line_from = filter_by(
        Integer(
            min=1, max=2**31 - 1, metadata={"description": "Number of the first line to return."}
        ),
        lambda value: JobProblem.line >= value,
    )
    sort = Sort({"line": JobProblem.line}, default="line")
