"""What is particular to places; tests/contract covers the rest."""

from tests.api import Api, Caller

URL = "/api/v1/places"
BODY = {"text": "Buy milk"}


def test_place_is_read_by_all_and_written_by_editors(
    api: Api, user: Caller, editor: Caller
) -> None:
    place = api.post(URL, BODY, by=editor, status=201).json
    api.get(f"{URL}/{place['id']}", by=user, status=200)
    api.post(URL, BODY, by=user, status=403)
    api.delete(f"{URL}/{place['id']}", by=user, status=403)
