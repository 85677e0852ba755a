"""What is particular to notes; tests/contract covers the rest."""

from tests.api import Api, Caller

URL = "/api/v1/notes"
BODY = {"text": "Buy milk"}


def test_note_of_another_user_is_not_found(api: Api, user: Caller, other: Caller) -> None:
    note = api.post(URL, BODY, by=user, status=201).json
    api.get(f"{URL}/{note['id']}", by=user, status=200)
    api.get(f"{URL}/{note['id']}", by=other, status=404)
    api.delete(f"{URL}/{note['id']}", by=other, status=404)
