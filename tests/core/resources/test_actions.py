"""Actions: what the view receives, and what is written of what it returns."""

from typing import Any

import pytest
from flask import Flask

from app.core.openapi.operation import DeclarationError
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import authenticated
from tests import rows
from tests.api import Api, Caller
from tests.conftest import Counter
from tests.contract.parcels.models import Parcel
from tests.contract.parcels.schemas import ParcelSchema

SEND = {"carrier": "rail"}


def pack(api: Api, by: Caller) -> str:
    return api.post("parcels", {"content": "Books"}, by=by, status=201).headers["Location"]


# begin audit
def events(api: Api, by: Caller) -> list[dict[str, Any]]:
    return api.get("audit-events?resource=parcels", by=by, status=200).json["items"]


# end audit
def act(api: Api, path: str, by: Caller, tag: str = "*", **kwargs: Any) -> Any:
    return api.post(path, kwargs.pop("json", SEND), by=by, headers={"If-Match": tag}, **kwargs)


def test_action_writes_what_its_view_returns_and_raises_the_version_once(
    api: Api, app: Flask, user: Caller
) -> None:
    parcel = pack(api, user)
    sent = act(api, f"{parcel}/send", user, '"1"', status=200)
    assert (sent.json["state"], sent.json["carrier"], sent.json["version"]) == ("sent", "rail", 2)
    assert sent.headers["ETag"].startswith('"2-')
    assert rows.read(app, Parcel.attempts) == [1]  # a column that the schema does not have


def test_state_conflict_of_an_action_is_409_with_a_sentence_and_writes_nothing(
    api: Api, user: Caller, admin: Caller
) -> None:
    parcel = pack(api, user)
    act(api, f"{parcel}/send", user, status=200)
    # begin audit
    recorded = events(api, admin)
    # end audit
    refused = act(api, f"{parcel}/send", user, '"2"', status=409)
    assert refused.json["detail"] == "The parcel is sent already."
    act(api, f"{parcel}/send", user, '"1"', status=412)
    assert api.get(parcel, by=user, status=200).json["version"] == 2
    # begin audit
    assert events(api, admin) == recorded
    # end audit


# begin audit
def test_audit_event_of_an_action_has_what_it_changed(
    api: Api, user: Caller, admin: Caller
) -> None:
    act(api, f"{pack(api, user)}/send", user, status=200)
    event = events(api, admin)[0]
    assert event["action"] == "send"
    assert event["before"] == {"state": "packed", "carrier": None}
    assert event["after"] == {"state": "sent", "carrier": "rail"}


# end audit
def test_action_that_changes_nothing_is_recorded_and_keeps_the_version(
    api: Api, user: Caller, admin: Caller
) -> None:
    parcel = pack(api, user)
    weighed = api.post(f"{parcel}/weigh", by=user, headers={"If-Match": '"1"'}, status=200)
    assert weighed.json["version"] == 1
    # begin audit
    event = events(api, admin)[0]
    assert (event["action"], event["before"], event["after"]) == ("weigh", None, None)
    # end audit


def test_action_on_the_row_of_another_user_is_404(api: Api, user: Caller, other: Caller) -> None:
    parcel = pack(api, user)
    for tag in ('"1"', '"7"', "*"):
        act(api, f"{parcel}/send", other, tag, status=404)


def test_simultaneous_actions_on_one_version_have_one_winner(api: Api, user: Caller) -> None:
    parcel = pack(api, user)
    responses = rows.in_parallel(
        *[lambda: act(api, f"{parcel}/send", user, '"1"') for _ in range(4)]
    )
    assert sorted(response.status_code for response in responses) == [200, 412, 412, 412]


# begin audit
def test_action_executes_four_statements(api: Api, user: Caller, queries: Counter) -> None:
    parcel = pack(api, user)
    with queries() as sent:
        act(api, f"{parcel}/send", user, status=200)
    # The session, the locked row, the update and its audit row.
    assert len([each for each in sent if each != "BEGIN IMMEDIATE"]) == 4, sent


# end audit
@pytest.mark.parametrize("verb", ["", "Send", "update", "create", "delete", "re-send", "x" * 51])
def test_verb_of_an_action_is_checked_at_the_start(verb: str) -> None:
    parcels = Blueprint("parcels", __name__)
    with pytest.raises(DeclarationError) as refused:
        parcels.action(ParcelSchema, Parcel.visible_to, audit=verb)(send_parcel)
    assert str(refused.value) == (
        f"{__name__}.send_parcel: audit={verb!r} is no verb of its own in small letters"
    )


@pytest.mark.parametrize(("method", "rule"), [("post", "/send"), ("patch", "/<uuid:id>/send")])
def test_action_is_a_post_below_an_item(method: str, rule: str) -> None:
    parcels = Blueprint("parcels", __name__)
    view = parcels.action(ParcelSchema, Parcel.visible_to, audit="send")(send_parcel)
    with pytest.raises(DeclarationError) as refused:
        getattr(parcels, method)(rule, access=authenticated)(view)
    assert str(refused.value) == f"{__name__}.send_parcel: an action is a POST below an item"


def send_parcel(parcel: Any, **path: Any) -> dict[str, Any]:
    """Send a parcel."""
    return {}
