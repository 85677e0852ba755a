"""Accept: each media type of each operation, as clients and proxies write it."""

import pytest

from tests.contract.operations import DOWNLOADS, OPERATIONS, Operation, ids
from tests.contract.world import World

pytestmark = pytest.mark.database_independent

WITH_BODY = [o for o in OPERATIONS if o.media_types and o not in DOWNLOADS]
WITHOUT_BODY = [o for o in OPERATIONS if not o.media_types]
ACCEPTED = [
    "{type}; charset=utf-8",
    "{type};charset=UTF-8;q=0.5",
    '{type}; profile="https://example.com/a,b;q=0"',
    "{upper}",
    "{main}/*",
    "{main}/*;q=0.1, text/html",
    "*/*; q=.2",
    "text/html, image/gif, *; q=.2, */*; q=.2",
    "application/xml;q=0.9,\t{type} ; q=0.001",
    "*/*;q=0, {type}",
    "{main}/*;q=0, {type};q=1.0",
    ",, {type} ,",
    "",
    "json",
    "*/json",
    "application/problem+json",
]
REFUSED = [
    "image/png",
    "*/*, application/*;q=0, text/*;q=0",
    "*/*;q=0",
    "*/*;q=0, application/problem+json",
    "{type}x",
    "{main}/xml",
    'image/png;profile="*/*, {type}"',
]


def write(accept: str, media_type: str) -> dict[str, str]:
    main = media_type.partition("/")[0]
    return {"Accept": accept.format(type=media_type, upper=media_type.upper(), main=main)}


@pytest.mark.parametrize("operation", WITH_BODY, ids=ids)
def test_every_documented_media_type_is_accepted_as_clients_write_it(
    world: World, operation: Operation
) -> None:
    path, by = world.path(operation), world.writer(operation)
    for media_type in operation.media_types:
        for accept in ACCEPTED:
            headers = write(accept, media_type)
            response = world.call(operation, by, path, headers)
            assert response.status_code != 406, headers
            named = media_type in headers["Accept"].lower() and "*" not in accept
            if named and response.status_code < 300:
                assert response.mimetype == media_type, headers


@pytest.mark.parametrize("operation", WITH_BODY, ids=ids)
def test_request_that_accepts_no_media_type_of_the_operation_is_406(
    world: World, operation: Operation
) -> None:
    path, by = world.path(operation), world.writer(operation)
    headers = [write(a, each) for a in REFUSED for each in operation.media_types]
    headers.append({"Accept": ",".join(f"{each}; a=b; q=0.000" for each in operation.media_types)})
    headers.append(
        {"Accept": ",".join(["*/*", *(f"{each};q=0" for each in operation.media_types)])}
    )
    for each in headers:
        response = world.call(operation, by, path, each)
        assert response.status_code == 406, each
        assert "Accept" in response.headers["Vary"]


@pytest.mark.parametrize("operation", WITHOUT_BODY, ids=ids)
def test_response_without_a_body_is_never_406(world: World, operation: Operation) -> None:
    for accept in ("application/problem+json", "image/png", "*/*;q=0"):
        fresh = World(world.api.app)  # the request may have ended the session
        response = fresh.call(operation, fresh.writer(operation), headers={"Accept": accept})
        assert response.status_code != 406, accept


@pytest.mark.parametrize("operation", WITH_BODY, ids=ids)
def test_vary_names_accept_where_the_representation_depends_on_it(
    world: World, operation: Operation
) -> None:
    response = world.call(operation, world.writer(operation))
    if response.status_code < 300:
        varies = "Accept" in response.headers.get("Vary", "").replace(",", " ").split()
        assert varies == (len(operation.media_types) > 1)
