"""The content and the names of files that rows keep."""

import pytest
from flask import Flask

from app.core.files.file_mixin import FileQuery
from app.core.files.file_types import FILE_TYPES, check_content
from app.core.files.uploads import CHUNK_BYTES, StoredUpload
from app.core.openapi.operation import DeclarationError
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import authenticated
from app.core.web.problems import Problem
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.contract.parcels.models import ParcelLabel
from tests.contract.parcels.schemas import ParcelLabelSchema

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
CONTENTS = {
    "application/json": b'{"a": 1}',
    "application/pdf": b"%PDF-1.7\n",
    "application/x-ndjson": b"{}\n{}\n",
    "image/avif": b"\0\0\0\x1cftypavif\0\0\0\0",
    "image/bmp": b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0",
    "image/gif": b"GIF89a\1\0",
    "image/heic": b"\0\0\0\x18ftypheic\0\0\0\0",
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "image/png": PNG,
    "image/tiff": b"II*\0\x08\0\0\0",
    "image/webp": b"RIFF\x24\n\0\0WEBPVP8 ",
    "text/csv": b"a,b\n",
    "text/markdown": b"# A",
    "text/plain": "Grüße".encode(),
}
TEXTS = {name for name, file_type in FILE_TYPES.items() if not file_type.signature}
TEXTS |= {"application/pdf"}  # its first line is text
OTHERS = (b"MZ\x90\0", b"\x7fELF\2\1\1\0", b"PK\x03\x04\x14\0", b"\xff\xfea\0", b"\xc3", b"a\0b")


def test_v5_2_2_each_type_accepts_its_own_content_only() -> None:
    assert CONTENTS.keys() == FILE_TYPES.keys()
    for media_type, file_type in FILE_TYPES.items():
        for claimed, content in [*CONTENTS.items(), *(("", each) for each in OTHERS)]:
            is_text = file_type.signature is None
            is_own = media_type == claimed or (is_text and claimed in TEXTS)
            try:
                for pieces in ([content], [bytes([byte]) for byte in content]):
                    assert b"".join(check_content(pieces, media_type)) == content
                    assert is_own, (media_type, content)
            except Problem:
                assert not is_own, (media_type, content)


@pytest.mark.parametrize(
    ("media_type", "name", "content"),
    [
        ("image/png", "", PNG),
        ("image/png", "label.png", PNG),
        ("image/jpeg", "LABEL.JPG", CONTENTS["image/jpeg"]),
        ("image/webp", "a.b.webp", CONTENTS["image/webp"]),
        ("text/plain", "label", b"Fragile"),
        ("text/plain", "label.txt", b"x" * (CHUNK_BYTES - 1) + "é".encode()),
    ],
    ids=repr,
)
def test_v5_2_2_file_with_the_signature_of_its_type_is_kept(
    api: Api, user: Caller, media_type: str, name: str, content: bytes
) -> None:
    query = {"file_name": name} if name else {}
    sent = {"data": content, "content_type": media_type, "query_string": query}
    created = api.call("POST", "parcel-labels", by=user, status=201, **sent)
    kept = api.get(created.headers["Location"] + "/file", by=user, status=200)
    assert (kept.mimetype, kept.data) == (media_type, content)


@pytest.mark.parametrize(
    ("media_type", "name", "content", "place"),
    [
        ("image/png", "", b"GIF89a", "#"),
        ("image/png", "label.png", b"MZ\x90\0", "#"),
        ("image/png", "", PNG[1:], "#"),
        ("image/png", "", b"\x89", "#"),
        ("image/gif", "", b"<svg onload=alert(1)>", "#"),
        ("image/webp", "", b"RIFF\0\0\0\0WAVE", "#"),
        ("text/plain", "", b"\xff\xfea\0", "#"),
        ("text/plain", "", b"text\0", "#"),
        ("text/plain", "", b"x" * CHUNK_BYTES + b"\xc3", "#"),
        ("text/plain", "", b"x" * 2 * CHUNK_BYTES + b"\0", "#"),
        ("image/png", "label.exe", PNG, "file_name"),
        ("image/png", "label.png.exe. .", PNG, "file_name"),
        ("image/png", "label.gif", PNG, "file_name"),
        ("text/plain", "page.html", b"text", "file_name"),
        ("text/plain", ".htaccess", b"text", "file_name"),
    ],
    ids=repr,
)
def test_v5_2_2_file_that_is_not_what_it_claims_is_refused(
    api: Api, app: Flask, user: Caller, media_type: str, name: str, content: bytes, place: str
) -> None:
    query = {"file_name": name} if name else {}
    sent = {"data": content, "content_type": media_type, "query_string": query}
    refused = api.call("POST", "parcel-labels", by=user, status=422, **sent)
    assert error_locations(refused) == {place}
    assert rows.count(app, ParcelLabel) == rows.count(app, StoredUpload) == 0


@pytest.mark.parametrize("media_type", ["image/svg+xml", "image/x-icon", "image/unheard-of"])
def test_v5_2_2_type_without_a_check_is_415(api: Api, user: Caller, media_type: str) -> None:
    sent = {"data": b"<svg/>", "content_type": media_type}
    refused = api.call("POST", "parcel-labels", by=user, status=415, **sent)
    assert "image/png" in refused.headers["Accept"]


@pytest.mark.parametrize("media_type", ["application/zip", "text/html", "audio/*"])
def test_v5_2_2_type_without_a_check_stops_the_start(media_type: str) -> None:
    shapes = Blueprint("shapes", __name__, url_prefix="/api/v1/shapes")

    @shapes.accepts_file({media_type: "a"}, 10, query=FileQuery)
    @shapes.creates(ParcelLabelSchema)
    def view(file: object, query: object) -> object:
        """Keep a file."""

    with pytest.raises(DeclarationError, match="is not in FILE_TYPES"):
        shapes.post("", access=authenticated)(view)
