"""What the job routes give."""

import marshmallow as ma

from app.jobs.models import STATES, Job, JobProblem
from app.kit.fields import Choice, Integer, Text, Timestamp
from app.kit.pages import PageQuery, Sort, where
from app.kit.problems import MOST_PLACES
from app.kit.schema import ResourceSchema, Schema


class JobSchema(ResourceSchema):
    """A job, and how far it is."""

    kind = Text(most=50, dump_only=True, metadata={"example": "products.import"})
    owner_id = ma.fields.UUID(dump_only=True, allow_none=True)
    state = Choice(STATES, dump_only=True)
    processed = Integer(least=0, most=2**31 - 1, dump_only=True, metadata={"example": 1000})
    failed = Integer(least=0, most=2**31 - 1, dump_only=True, metadata={"example": 37})
    total = Integer(least=0, most=2**31 - 1, dump_only=True, allow_none=True)
    result = ma.fields.Dict(dump_only=True, allow_none=True, metadata={"example": {"created": 963}})
    error = Text(most=500, dump_only=True, allow_none=True)
    finished_at = Timestamp(dump_only=True, allow_none=True)


class JobQuery(PageQuery):
    """Which jobs, in which order."""

    kind = where(Text(least=1, most=50), lambda value: Job.kind == value)
    state = where(Choice(STATES), lambda value: Job.state == value)
    created_from = where(Timestamp(), lambda value: Job.created_at >= value)
    created_to = where(Timestamp(), lambda value: Job.created_at < value)
    sort = Sort({"created_at": Job.created_at}, default="-created_at")


class LineErrorSchema(Schema):
    """One failing place of a line."""

    detail = Text(most=500, required=True, metadata={"example": "Not an ISO 4217 code."})
    pointer = Text(most=8192, required=True, metadata={"example": "#/currency"})


class JobProblemSchema(Schema):
    """A line that was left out, and why."""

    id = ma.fields.UUID(dump_only=True)
    line = Integer(least=1, most=2**31 - 1, dump_only=True, metadata={"example": 17})
    errors = ma.fields.List(
        ma.fields.Nested(LineErrorSchema),
        dump_only=True,
        validate=ma.validate.Length(max=MOST_PLACES),
    )


class JobProblemQuery(PageQuery):
    """Which problems, in which order."""

    line_from = where(
        Integer(least=1, most=2**31 - 1, metadata={"description": "Only later lines, and this."}),
        lambda value: JobProblem.line >= value,
    )
    sort = Sort({"line": JobProblem.line}, default="line")
