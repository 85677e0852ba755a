"""Rows that keep files: what is stored with them, and what is deleted when."""

import tempfile
import tracemalloc
from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from app.core.background import periodic
from app.core.background.periodic import purge_uploads
from app.core.database.types import now
from app.core.files import file_mixin, uploads
from app.core.files.uploads import StoredUpload, UploadChunk
from app.core.resources import download
from app.core.resources.download import content_disposition
from app.extensions import db
from app.users.models import User
from tests import rows
from tests.api import Api, Caller
from tests.contract.parcels.models import ParcelLabel

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIZE = 2 * uploads.CHUNK_BYTES + 1000


@pytest.fixture
def content() -> bytes:
    """A file of three chunks."""
    return SIGNATURE + bytes(n * 7 % 251 for n in range(SIZE - len(SIGNATURE)))


def store(api: Api, by: Caller, content: bytes, status: int = 201, **more: Any) -> Any:
    sent = {"data": content, "content_type": "image/png"} | more
    return api.call("POST", "parcel-labels", by=by, status=status, **sent)


def counts(app: Flask) -> tuple[int, int, int]:
    """The numbers of rows, files and chunks."""
    return rows.count(app, ParcelLabel), rows.count(app, StoredUpload), rows.count(app, UploadChunk)


def test_created_row_describes_its_file(api: Api, app: Flask, user: Caller, content: bytes) -> None:
    created = store(api, user, content).json
    assert (created["size"], created["media_type"]) == (SIZE, "image/png")
    assert created["file_name"] == "file"
    assert counts(app) == (1, 1, 3)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_ranges_around_the_ends_of_chunks_are_exact(
    api: Api, user: Caller, content: bytes, offset: int
) -> None:
    path = store(api, user, content).headers["Location"] + "/file"
    assert api.get(path, by=user, status=200).data == content
    edge = uploads.CHUNK_BYTES + offset
    for first, last in ((0, edge), (edge, edge), (edge, 2 * edge), (edge, SIZE), (1, 2 * edge)):
        headers = {"Range": f"bytes={first}-{last}"}
        part = api.get(path, by=user, headers=headers, status=206)
        assert part.data == content[first : last + 1], headers


def test_download_and_upload_hold_no_more_than_some_chunks_in_memory(
    api: Api, app: Flask, user: Caller
) -> None:
    size = 30 * uploads.CHUNK_BYTES
    with tempfile.TemporaryFile() as file:
        file.write(SIGNATURE)
        file.truncate(size)
        file.seek(0)
        sent = {"input_stream": file, "content_type": "image/png", "content_length": size}
        tracemalloc.start()
        try:
            path = api.call("POST", "parcel-labels", by=user, status=201, **sent).headers[
                "Location"
            ]
            response = api.client().get(f"{path}/file", headers=user.headers)
            assert sum(map(len, response.iter_encoded())) == size
            assert tracemalloc.get_traced_memory()[1] < 12 * uploads.CHUNK_BYTES
        finally:
            tracemalloc.stop()


def test_chunks_have_one_size_however_the_file_arrives(app: Flask, content: bytes) -> None:
    with app.app_context():
        pieces = [content[n : n + 70_001] for n in range(0, SIZE, 70_001)]
        upload = uploads.store_chunks(pieces, "image/png", "identity", uuid4())
        stored = list(uploads.read_range(upload.id, 0, SIZE))
    assert b"".join(stored) == content
    assert [len(chunk) for chunk in stored] == [uploads.CHUNK_BYTES] * 2 + [1000]


def test_file_is_deleted_with_its_row(
    api: Api, app: Flask, user: Caller, admin: Caller, content: bytes
) -> None:
    kept, path = (store(api, user, content).headers["Location"] for _ in range(2))
    api.delete(path, by=user, etag='"7"', status=412)
    assert counts(app) == (2, 2, 6)
    api.delete(path, by=user, etag='"1"', status=204)
    assert counts(app) == (1, 1, 3)
    api.get(f"{kept}/file", by=user, status=200)
    # begin audit
    event = api.get("audit-events?resource=parcel_labels&limit=1", by=admin, status=200).json[
        "items"
    ][0]
    assert (event["action"], event["before"]["size"]) == ("delete", SIZE)
    # end audit


def test_file_of_a_deleted_account_is_purged(api: Api, app: Flask, user: Caller) -> None:
    store(api, user, SIGNATURE)
    rows.remove(app, User, id=user.id)
    assert counts(app) == (0, 1, 1)
    purge_after_two_days(app)
    assert counts(app) == (0, 0, 0)


def purge_after_two_days(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(StoredUpload).values(created_at=now() - timedelta(days=2)))
        db.session.commit()
        purge_uploads()


def test_file_of_a_row_is_not_purged(api: Api, app: Flask, user: Caller) -> None:
    store(api, user, SIGNATURE)
    purge_after_two_days(app)
    assert counts(app) == (1, 1, 1)


def test_file_of_a_row_is_not_purged_by_a_release_without_its_model(
    api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(api, user, SIGNATURE)
    assert ParcelLabel in file_mixin.file_models()
    monkeypatch.setattr(periodic, "file_models", list)
    with pytest.raises(IntegrityError):
        purge_after_two_days(app)
    assert counts(app) == (1, 1, 1)


def test_repeated_upload_with_idempotency_key_stores_one_file(
    api: Api, app: Flask, user: Caller, content: bytes
) -> None:
    headers = {"Idempotency-Key": "label-1"}
    first = store(api, user, content, headers=headers)
    again = store(api, user, content, headers=headers)
    assert (again.data, again.headers["Idempotent-Replayed"]) == (first.data, "true")
    assert counts(app) == (1, 1, 3)
    store(api, user, content[:-1], headers=headers, status=422)
    store(api, user, content, headers=headers, status=422, query_string={"file_name": "x"})
    assert counts(app) == (1, 1, 3)
    api.get(first.headers["Location"] + "/file", by=user, status=200)


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (415, {"content_type": "application/pdf"}),
        (415, {"headers": {"Content-Encoding": "gzip"}}),
        (413, {"environ_overrides": {"CONTENT_LENGTH": str(2**30)}}),
        (400, {"environ_overrides": {"CONTENT_LENGTH": "900"}}),
        (422, {"data": b""}),
        (422, {"query_string": {"file_name": ""}}),
        (422, {"query_string": {"name": "x"}}),
        (422, {"query_string": {"file_name": "x" * 201}}),
    ],
)
def test_refused_file_leaves_nothing(
    api: Api, app: Flask, user: Caller, status: int, sent: dict[str, Any]
) -> None:
    store(api, user, SIGNATURE, status=status, **sent)
    assert counts(app) == (0, 0, 0)


@pytest.mark.parametrize("chunk", [0, 1])
def test_file_that_is_deleted_during_a_download_is_404_or_ends_the_stream(
    api: Api, app: Flask, user: Caller, content: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(api, user, content).headers["Location"]

    def delete_first(*args: Any) -> Any:
        chunks = uploads.read_range(*args)
        for _ in range(chunk):
            yield next(chunks)
        api.delete(path, by=user, status=204)
        yield from chunks

    monkeypatch.setattr(download, "read_range", delete_first)
    ends = pytest.raises(uploads.UploadError) if chunk else nullcontext()
    with ends:
        assert api.get(f"{path}/file", by=user).status_code == 404
    assert counts(app) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("label.pdf", "filename=label.pdf"),
        ("two words.pdf", 'filename="two words.pdf"'),
        ("é.pdf", "filename=e.pdf; filename*=UTF-8''%C3%A9.pdf"),
        ("漢字", "filename=file; filename*=UTF-8''%E6%BC%A2%E5%AD%97"),
        ("../../etc/passwd", "filename=__.._etc_passwd"),
        ("..\\x", "filename=__x"),
        ('a"b;c.txt', 'filename="a_b;c.txt"'),
        ("a\r\nSet-Cookie: x", 'filename="a__Set-Cookie_ x"'),
        ("100%41.txt", "filename=100_41.txt; filename*=UTF-8''100%2541.txt"),
        ("invoice\u202egpj.exe", "filename=invoice_gpj.exe"),
        (".htaccess", "filename=_htaccess"),
        ("name. . ", "filename=name_"),
        ("a*b?.txt", "filename=a_b_.txt"),
        ("\U0001f600.png", "filename=png; filename*=UTF-8''%F0%9F%98%80.png"),
    ],
)
def test_name_of_a_download_is_safe_in_a_header_and_a_folder(name: str, field: str) -> None:
    assert content_disposition(name) == f"attachment; {field}"


def test_longest_name_fits_into_the_header_buffer_of_a_proxy() -> None:
    assert len(content_disposition("\U0001f600" * file_mixin.MAX_NAME_LENGTH)) < 3000
