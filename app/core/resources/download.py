"""Files out: the stored file of a row as a stream, conditional and by range (RFC 9110)."""

import re
import unicodedata
from datetime import datetime
from itertools import chain
from typing import Any
from urllib.parse import quote

from flask import request
from werkzeug.http import dump_options_header, parse_date

from app.core.files.uploads import UploadError, read_range
from app.core.web.etags import make_conditional
from app.core.web.flask_app import Response
from app.core.web.negotiation import accepted_media_type
from app.core.web.problems import Problem


def file_response(row: Any) -> Response:
    """200 with the file of a row of `FileMixin`, 206 with the range that is requested, or 304.

    Raises:
        Problem: 404, the file was deleted meanwhile; 406, its media type is not accepted; 412, for
            If-Match or If-Unmodified-Since; 416, the range begins behind its end.
    """
    accepted_media_type(request, (row.media_type,))
    response = Response(content_type=row.media_type)
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Authorization"
    response.last_modified = modified = row.created_at.replace(microsecond=0)
    etag = f'"{row.digest}"'
    make_conditional(response, etag, matches=_is_unmodified(modified))
    if response.status_code == 200:
        _add_content(response, row, _requested_range(row.size, etag, modified))
    return response


def _is_unmodified(modified: datetime) -> bool | None:
    """The result of If-Modified-Since; None where If-None-Match decides (section 13.2.2)."""
    limit = request.if_unmodified_since
    if limit and modified > limit and "If-Match" not in request.headers:
        raise Problem("precondition-failed")
    if "If-None-Match" in request.headers:
        return None
    since = request.if_modified_since
    return since is not None and modified <= since


def _requested_range(size: int, etag: str, modified: datetime) -> tuple[int, int] | None:
    """The first byte, and the one behind the last; None for the whole file (section 14.2)."""
    requested = request.range
    # Several ranges, other units and malformed ones may be ignored.
    if not requested or requested.units != "bytes" or len(requested.ranges) != 1:
        return None
    condition = request.headers.get("If-Range", etag)
    if request.method != "GET" or not (condition == etag or parse_date(condition) == modified):
        return None
    if -requested.ranges[0][0] > size:  # the last bytes, and more than there are
        return 0, size
    if found := requested.range_for_length(size):
        return found
    raise Problem("range-not-satisfiable", headers={"Content-Range": f"bytes */{size}"})


def _add_content(response: Response, row: Any, requested: tuple[int, int] | None) -> None:
    start, stop = requested or (0, row.size)
    if requested:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{row.size}"
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Content-Disposition"] = content_disposition(row.file_name)
    response.headers["Content-Length"] = str(stop - start)
    if request.method != "HEAD":
        chunks = read_range(row.id, start, stop)
        try:
            # Before the status is sent, as in exports: docs/decisions.md#36-exports
            response.response = chain([next(chunks)], chunks)
        except UploadError as error:
            raise Problem("not-found") from error


def content_disposition(name: str) -> str:
    """The header field of an attachment with this name (RFC 6266, RFC 8187).

    What could leave the folder of downloads, or is not visible, becomes an underscore.
    """
    safe = "".join(
        "_" if unicodedata.category(c)[0] == "C" or c in '/\\:*?"<>|' else c for c in name
    )
    safe = re.sub(r"^[\s.]+|[\s.]+$", "_", safe)
    ascii_only = unicodedata.normalize("NFKD", safe).encode("ascii", "ignore").decode()
    # Of the plain form, browsers decode `%` (RFC 6266 appendix D).
    plain = re.sub(r"[^A-Za-z0-9 !#$&'()+,.;=@^_`{}~-]", "_", ascii_only).strip(" .") or "file"
    extended = f"UTF-8''{quote(safe, safe='')}" if plain != safe else None
    return dump_options_header("attachment", {"filename": plain, "filename*": extended})
