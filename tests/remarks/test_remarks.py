"""What is particular to remarks; tests/contract covers the rest."""

from tests.api import Api, Caller
from tests.contract.operations import CREATES

PARENT = next(create for create in CREATES if create.rule == "/api/v1/notes")
BODY = {"text": "Buy milk"}


def test_remarks_of_a_note_are_deleted_with_it(api: Api, user: Caller, other: Caller) -> None:
    note = api.post(PARENT.rule, PARENT.body, by=user, status=201).headers["Location"]
    remark = api.post(f"{note}/remarks", BODY, by=user, status=201).headers["Location"]
    api.get(remark, by=other, status=404)
    api.post(f"{note}/remarks", BODY, by=other, status=404)
    api.delete(note, by=user, status=204)
    api.get(remark, by=user, status=404)
