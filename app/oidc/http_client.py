"""HTTP to providers: no redirects, short timeouts, bounded responses."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpcore2
import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from app.oidc.settings import ProviderSettings

TIMEOUT = 3  # seconds, for a connection, or for the next bytes of a response
MAX_SECONDS = 8  # for a whole exchange, from the first connection attempt to the last byte
MAX_BYTES = 256 * 1024  # of a whole response, with its header


class ProviderError(Exception):
    """The provider did not answer, or not as its protocol requires."""

    def __init__(self, reason: str, *, unavailable: bool = False) -> None:
        super().__init__(reason)
        self.unavailable = unavailable


class RefusedError(Exception):
    """The provider has refused a request with an error of OAuth (RFC 6749 section 5.2)."""


class _UnboundedResponseError(httpx2.TransportError):
    """The response is too large, takes too long, or is compressed."""


@dataclass
class _Budget:
    """What is left of the bounds of one exchange."""

    deadline: float
    bytes_left: int

    def seconds(self, timeout: float | None) -> float:
        """Return a timeout that ends before the deadline."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise _UnboundedResponseError("The response takes too long.")
        return left if timeout is None else min(timeout, left)

    def spend(self, data: bytes) -> bytes:
        """Count what was received."""
        self.bytes_left -= len(data)
        if self.bytes_left < 0:
            raise _UnboundedResponseError("The response is too large.")
        return data


_budget: ContextVar[_Budget] = ContextVar("budget of an exchange with a provider")


class _BoundedConnection(httpcore2.NetworkStream):
    """A connection on which each exchange has a budget, whatever part of a response arrives."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        budget = _budget.get()
        try:
            data = self._stream.read(max_bytes, budget.seconds(timeout))
        except httpcore2.ReadTimeout:
            budget.seconds(timeout)  # raises if it was the deadline that has passed
            raise
        return budget.spend(data)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _budget.get().seconds(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        seconds = _budget.get().seconds(timeout)
        return _BoundedConnection(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedNetwork(httpcore2.SyncBackend):
    """Connects to the first address of a host that answers, within the budget."""

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore2.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        for *_, address in found:
            seconds = _budget.get().seconds(timeout)
            try:
                stream = super().connect_tcp(str(address[0]), port, seconds, *args, **kwargs)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _BoundedConnection(stream)
        raise failure


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Raise the errors of the connection as those of the client, which have the same names."""
    try:
        yield
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx2, type(error).__name__)(str(error)) from error


class _Body(httpx2.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._stream

    def close(self) -> None:
        self._stream.close()


@cache
def _ssl_context() -> ssl.SSLContext:
    """The certificates that the machine trusts, loaded once: that takes a tenth of a second."""
    return httpx2.create_ssl_context()


class _BoundedTransport(httpx2.BaseTransport):
    """Connections that all clients share, so they are not closed with one."""

    def __init__(self) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=_ssl_context(),
            max_connections=100,
            keepalive_expiry=5,  # seconds
            network_backend=_BoundedNetwork(),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"  # a small body could expand to a large one
        _budget.set(_Budget(time.monotonic() + MAX_SECONDS, MAX_BYTES))
        sent = httpcore2.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            content=request.read(),
            extensions=request.extensions,
        )
        with _httpx_errors():
            response = self._pool.handle_request(sent)
        body = _Body(response.stream)
        received = httpx2.Response(response.status, headers=response.headers, stream=body)
        if received.headers.get("Content-Encoding", "identity") != "identity":
            received.close()
            raise _UnboundedResponseError("The response is compressed.")
        return received


class HttpClient:
    """Sends the requests of one provider.

    All methods raise `ProviderError`.
    """

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings, self._transport = settings, _BoundedTransport()

    def get_json(self, url: str, *, access_token: str = "") -> dict[str, Any]:
        """Return the JSON object at a URL."""
        headers = {"Authorization": f"Bearer {access_token}"} if access_token else {}
        client = httpx2.Client(**self._options())
        try:
            return _json_object(client.get(url, headers=headers))
        except httpx2.HTTPError as error:
            raise _provider_error(error) from error

    def exchange_code(self, url: str, auth_method: str, **parameters: str) -> dict[str, Any]:
        """Return the response of the token endpoint to a code (RFC 6749 section 4.1.3).

        Raises:
            RefusedError: the code is invalid, used or expired.
        """
        # A client for each request: it keeps the tokens of its last response.
        client = OAuth2Client(
            self._settings.client_id,
            self._settings.client_secret or None,
            token_endpoint_auth_method=auth_method,
            **self._options(),
        )
        try:
            tokens = client.fetch_token(url, grant_type="authorization_code", **parameters)
        except OAuthError as error:
            raise RefusedError from error
        except httpx2.HTTPError as error:
            raise _provider_error(error) from error
        except (ValueError, TypeError) as error:
            raise ProviderError("no JSON object") from error
        return dict(tokens)

    def _options(self) -> dict[str, Any]:
        return {
            "transport": self._transport,
            "timeout": TIMEOUT,
            "follow_redirects": False,
            "trust_env": False,
        }


def _json_object(response: httpx2.Response) -> dict[str, Any]:
    if response.status_code != 200:
        unavailable = response.status_code >= 500
        raise ProviderError(f"status {response.status_code}", unavailable=unavailable)
    try:
        value = response.json()
    except ValueError as error:
        raise ProviderError("no JSON") from error
    if not isinstance(value, dict):
        raise ProviderError("no JSON object")
    return value


def _provider_error(error: httpx2.HTTPError) -> ProviderError:
    malformed = isinstance(error, _UnboundedResponseError | httpx2.ProtocolError)
    if isinstance(error, httpx2.HTTPStatusError):
        malformed = error.response.status_code < 500
    return ProviderError(type(error).__name__, unavailable=not malformed)
