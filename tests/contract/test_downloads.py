"""Files out: conditional, by range, and only for those who may read the row."""

from datetime import timedelta
from email.utils import format_datetime
from hashlib import sha256
from itertools import product

import pytest
from werkzeug.http import parse_date
from werkzeug.test import TestResponse

from app.auth.models import Session
from app.core.files.file_types import FILE_TYPES
from tests import rows
from tests.conftest import Counter
from tests.contract.operations import CREATES, DOWNLOADS, ITEMS, Operation, content_of, ids
from tests.contract.world import World

every_download = pytest.mark.parametrize("download", DOWNLOADS, ids=ids)
SECOND = timedelta(seconds=1)


def item_of(download: Operation) -> Operation:
    """An operation on the row that keeps the file."""
    return max((i for i in ITEMS if download.rule.startswith(i.rule)), key=lambda i: len(i.rule))


def created_by(download: Operation) -> Operation:
    """The operation that stores the file."""
    return next(c for c in CREATES if c.rule == item_of(download).collection)


def sent(download: Operation) -> bytes:
    file = created_by(download).file
    assert file
    return content_of(file)


class File:
    """A stored file, as its owner reads it."""

    def __init__(self, world: World, download: Operation) -> None:
        self.world, self.by = world, world.writer(download)
        self.path, self.content = world.path(download), sent(download)

    def read(self, status: int = 200, method: str = "GET", **headers: str) -> TestResponse:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.world.api.call(method, self.path, by=self.by, headers=fields, status=status)


@pytest.fixture
def file(world: World, download: Operation) -> File:
    return File(world, download)


@every_download
def test_download_is_what_was_sent_as_an_attachment(file: File, download: Operation) -> None:
    response = file.read()
    stored = created_by(download).file
    assert stored
    assert (response.mimetype, response.data) == (stored[0], file.content)
    assert response.headers["ETag"] == f'"{sha256(file.content).hexdigest()}"'
    assert response.headers["Content-Length"] == str(len(file.content))
    assert response.headers["Content-Disposition"].startswith("attachment; filename=")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Cache-Control"] == download.private_cache_control
    assert "Authorization" in response.headers["Vary"]


@every_download
def test_head_of_a_download_has_the_header_fields_of_get(file: File) -> None:
    got, head = file.read(), file.read(method="HEAD", Range="bytes=0-0")
    assert head.data == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified", "Content-Disposition"):
        assert head.headers[name] == got.headers[name]


@every_download
def test_download_is_404_once_the_row_is_deleted(file: File, download: Operation) -> None:
    file.read()
    item = item_of(download).rule
    delete = next((each for each in ITEMS if each.method == "DELETE" and each.rule == item), None)
    if delete is None:
        pytest.skip("its rows cannot be deleted")
    row = "/".join(file.path.split("/")[: item.count("/") + 1])
    file.world.api.delete(row, by=file.world.writer(delete), status=204)
    for headers in ({}, {"Range": "bytes=0-"}, {"If_None_Match": "*"}):
        file.read(404, **headers)


@every_download
def test_download_is_401_in_an_ended_session(file: File) -> None:
    etag = file.read().headers["ETag"]
    rows.remove(file.world.api.app, Session, owner_id=file.by.id)
    for headers in ({}, {"Range": "bytes=0-"}, {"If_None_Match": etag}, {"Range": "bytes=999-"}):
        for method in ("GET", "HEAD"):
            file.read(401, method, **headers)


@every_download
def test_download_is_304_where_if_none_match_has_its_entity_tag(file: File) -> None:
    etag = file.read().headers["ETag"]
    since = {"If_Modified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}
    forms = ("{}", "W/{}", '"other", {}', "*")
    for form, more in product(forms, ({}, {"Range": "bytes=0-0"}, since)):
        response = file.read(304, If_None_Match=form.format(etag), **more)
        assert (response.data, response.headers["ETag"]) == (b"", etag)
    file.read(200, If_None_Match='"other"')


@every_download
def test_download_is_304_since_its_last_modification(file: File) -> None:
    modified = parse_date(file.read().headers["Last-Modified"])
    assert modified
    since, before = format_datetime(modified, usegmt=True), format_datetime(modified - SECOND)
    file.read(304, If_Modified_Since=since)
    file.read(200, If_Modified_Since=since, If_None_Match='"other"')
    for other in (before.replace("+0000", "GMT"), "yesterday", ""):
        file.read(200, If_Modified_Since=other)
    file.read(412, If_Unmodified_Since=before.replace("+0000", "GMT"))
    file.read(200, If_Unmodified_Since=since)


RANGES: dict[str, tuple[int, int | None]] = {  # the first and the last byte
    "bytes=0-": (0, None),
    "bytes=0-0": (0, 0),
    "bytes=1-2": (1, 2),
    "bytes = 2-": (2, None),
    "BYTES=1-1000000000000000000000": (1, None),
    "bytes=-2": (-2, None),
    "bytes=-1000000": (0, None),
}
NO_RANGES = (
    *("", "bytes", "bytes=", "bytes=x-", "bytes=2-1", "bytes=-0", "bytes=0-0,2-3", "lines=0-1"),
    *("bytes=-", "bytes=+1-2", "bytes=0x0-1", "bytes=\u0661-", f"bytes={'9' * 5000}-"),
)


@every_download
def test_requested_range_is_206(file: File, subtests: pytest.Subtests) -> None:
    size, etag = len(file.content), file.read().headers["ETag"]
    for form, (first, last) in RANGES.items():
        start, stop = first % size, size if last is None else last + 1
        with subtests.test(form=form):
            part = file.read(206, Range=form)
            assert part.data == file.content[start:stop]
            assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
            assert part.headers["Content-Length"] == str(stop - start)
            assert part.headers["ETag"] == etag


@every_download
def test_range_that_is_no_single_range_of_bytes_is_ignored(
    file: File, subtests: pytest.Subtests
) -> None:
    for ignored in NO_RANGES:
        with subtests.test(ignored=ignored):
            sent = ignored.encode().decode("latin-1")
            assert file.read(200, Range=sent).data == file.content


@every_download
def test_range_behind_the_end_is_416_with_the_size(file: File) -> None:
    size = len(file.content)
    for first in (size, size * 10, size * 10**30):
        response = file.read(416, Range=f"bytes={first}-")
        assert response.headers["Content-Range"] == f"bytes */{size}"
        file.read(206, Range=f"bytes={size - 1}-{first}")


@every_download
def test_if_range_with_another_entity_tag_returns_the_whole_file(file: File) -> None:
    whole = file.read()
    etag, modified = whole.headers["ETag"], whole.headers["Last-Modified"]
    for condition in (etag, modified):
        part = file.read(206, Range="bytes=1-", If_Range=condition)
        assert part.data == file.content[1:]
    date = "Sat, 01 Jan 2000 00:00:00 GMT"
    for condition in ('"other"', f"W/{etag}", etag.strip('"'), date, "", "nonsense"):
        assert file.read(200, Range="bytes=1-", If_Range=condition).data == file.content
        assert file.read(200, Range="bytes=99999999-", If_Range=condition).data == file.content


@every_download
def test_interrupted_download_is_resumed_with_range_and_if_range(file: File) -> None:
    first = file.read(206, Range="bytes=0-1")
    rest = file.read(206, Range="bytes=2-", If_Range=first.headers["ETag"])
    assert first.data + rest.data == file.content


@every_download
def test_download_is_406_where_its_media_type_is_not_accepted(file: File) -> None:
    media_type = file.read().mimetype
    main = media_type.partition("/")[0]
    for accept in (media_type, f"{main}/*", "*/*;q=0.1", f"text/html, {media_type};q=0.2"):
        file.read(200, Accept=accept)
    for accept in ("application/x-other", f"{media_type};q=0", "*/*;q=0"):
        assert "Accept" in file.read(406, Accept=accept).headers["Vary"]


@every_download
def test_download_reads_the_row_and_each_chunk_with_one_statement(
    file: File, queries: Counter
) -> None:
    etag = file.read().headers["ETag"]
    for costs, request in (
        (2, {"status": 200}),
        (2, {"status": 206, "Range": "bytes=1-"}),
        (1, {"status": 200, "method": "HEAD"}),
        (1, {"status": 304, "If_None_Match": etag}),
        (2, {"status": 416, "Range": "bytes=99999999-"}),  # one more checks the session
    ):
        with queries() as executed:
            file.read(**request)
        assert len(executed) == costs, executed


@every_download
def test_file_name_is_returned_as_it_was_sent(world: World, download: Operation) -> None:
    create = created_by(download)
    if "file_name" not in create.parameters or create.file is None:
        pytest.skip("takes no name")
    extension = min(FILE_TYPES[create.file[0]].extensions)
    name = f"R\u00e9sum\u00e9 \u6f22.{extension}"
    sent = {**world.content(create), "query_string": {"file_name": name}}
    created = world.api.call("POST", create.rule, by=world.writer(create), status=201, **sent)
    assert created.json["file_name"] == name
    path = created.headers["Location"] + download.rule.removeprefix(item_of(download).rule)
    read = world.api.get(path, by=world.writer(download), status=200)
    header = read.headers["Content-Disposition"]
    quoted = f"filename=\"Resume .{extension}\"; filename*=UTF-8''R%C3%A9sum%C3%A9%20%E6%BC%A2"
    assert header == f"attachment; {quoted}.{extension}"
