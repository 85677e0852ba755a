"""HTTP to providers: no redirects, short timeouts, bounded responses."""

import ssl
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from app.oidc.settings import ProviderSettings

TIMEOUT = 3  # seconds, for a connection, or for the next bytes of a response
MAX_SECONDS = 8  # for a whole response
MAX_BYTES = 256 * 1024


class ProviderError(Exception):
    """The provider did not answer, or not as its protocol requires."""

    def __init__(self, reason: str, *, unavailable: bool = False) -> None:
        super().__init__(reason)
        self.unavailable = unavailable


class RefusedError(Exception):
    """The provider has refused a request with an error of OAuth (RFC 6749 section 5.2)."""


class _UnboundedResponseError(httpx2.TransportError):
    """The response is too large, takes too long, or is compressed."""


class _BoundedStream(httpx2.SyncByteStream):
    def __init__(self, stream: Any, deadline: float) -> None:
        self.stream, self.deadline = stream, deadline

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        for chunk in self.stream:
            received += len(chunk)
            if received > MAX_BYTES or time.monotonic() > self.deadline:
                raise _UnboundedResponseError("The response is too large, or takes too long.")
            yield chunk

    def close(self) -> None:
        self.stream.close()


@cache
def _ssl_context() -> ssl.SSLContext:
    """The certificates that the machine trusts, loaded once: that takes a tenth of a second."""
    return httpx2.create_ssl_context()


class _BoundedTransport(httpx2.BaseTransport):
    """Connections that all clients share, so they are not closed with one."""

    def __init__(self) -> None:
        self.transport = httpx2.HTTPTransport(verify=_ssl_context())

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"  # a small body could expand to a large one
        deadline = time.monotonic() + MAX_SECONDS
        response = self.transport.handle_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise _UnboundedResponseError("The response is compressed.")
        stream = _BoundedStream(response.stream, deadline)
        return httpx2.Response(response.status_code, headers=response.headers, stream=stream)


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
