"""Problem details (RFC 9457) for requests that never reach the application."""

import json
import os
import socket
import ssl

from gunicorn import util
from gunicorn.http import errors

# The most specific class of an exception determines the status; other classes are a 500.
STATUS_BY_ERROR: dict[type[BaseException], int] = {
    errors.ParseException: 400,
    errors.ForbiddenProxyRequest: 403,
    ssl.SSLError: 403,
    errors.LimitRequestLine: 414,
    errors.ExpectationFailed: 417,
    errors.LimitRequestHeaders: 431,
    errors.ConfigurationProblem: 404,  # raised for a path that is not below SCRIPT_NAME
    # Gunicorn derives these from errors in request headers, but the application sent them.
    errors.InvalidResponseHeader: 500,
    errors.InvalidResponseHeaderName: 500,
    errors.UnsupportedTransferCoding: 501,
}
# Problem type, title and detail of each status.
ERROR_RESPONSES = {
    400: ("/problems/bad-request", "Bad Request", "The request is not well-formed HTTP."),
    403: ("/problems/forbidden", "Forbidden", "This connection is not allowed."),
    404: ("/problems/not-found", "Not Found", "There is nothing at this address."),
    414: ("/problems/uri-too-long", "URI Too Long", "The request line is too long."),
    417: ("about:blank", "Expectation Failed", "The expectation of this request cannot be met."),
    431: ("/problems/header-fields-too-large", "Request Header Fields Too Large",
          "The header fields of the request are too many or too long."),
    500: ("/problems/internal-error", "Internal Server Error",
          "The request could not be handled."),
    501: ("/problems/not-implemented", "Not Implemented", "The transfer coding is not supported."),
}  # fmt: skip


def status_of(error: BaseException) -> int:
    """Return the status code for an exception that gunicorn raised while it read a request."""
    classes = type(error).__mro__
    return next((STATUS_BY_ERROR[cls] for cls in classes if cls in STATUS_BY_ERROR), 500)


def write_problem_response(sock: socket.socket, status: int, request_id: str) -> None:
    """Send a complete problem response; the caller closes the connection.

    It has the headers that every response of the application has.

    Raises:
        OSError: the client does not read, or has closed the connection.
    """
    kind, title, detail = ERROR_RESPONSES[status]
    if kind.startswith("/"):
        kind = os.environ.get("SCRIPT_NAME", "") + kind
    problem = {"type": kind, "title": title, "status": status, "detail": detail,
               "instance": f"urn:uuid:{request_id}", "request_id": request_id}  # fmt: skip
    body = json.dumps(problem)
    head = [
        f"HTTP/1.1 {status} {title}",
        "Connection: close",
        f"Date: {util.http_date()}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        f"X-Request-ID: {request_id}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy: no-referrer",
        "Strict-Transport-Security: max-age=31536000; includeSubDomains",
        "X-Content-Type-Options: nosniff",
    ]
    util.write_nonblock(sock, "\r\n".join([*head, "", body]).encode("ascii"))
