"""A provider: its metadata and keys, the URL to log in there, and the tokens it issues.

OpenID Connect Core 1.0, Discovery 1.0 and Back-Channel Logout 1.0; RFC 7636 (PKCE), RFC 9207.
"""

from typing import Any
from urllib.parse import urlsplit

import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from app.oidc import tokens
from app.oidc.documents import RemoteDocument
from app.oidc.flows import Flow
from app.oidc.http_client import HttpClient, ProviderError
from app.oidc.settings import ProviderSettings
from app.oidc.tokens import InvalidTokenError

SCOPE = "openid email profile"
# Asymmetric ones only: a key that the provider publishes cannot sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")

log = structlog.get_logger()

JSON = dict[str, Any]


class Provider:
    """One provider of OIDC_PROVIDERS.

    All methods raise `ProviderError` where the provider does not answer as it must.
    """

    def __init__(self, settings: ProviderSettings) -> None:
        self.name, self.issuer, self.client_id = settings.name, settings.issuer, settings.client_id
        self._is_public = not settings.client_secret
        self._http = HttpClient(settings)
        self._metadata = RemoteDocument(self._fetch_metadata)
        self._keys = RemoteDocument(self._fetch_keys)

    def authorization_url(self, flow: Flow) -> str:
        """Return the URL at which the user logs in (OpenID Connect Core section 3.1.2.1)."""
        url: str = prepare_grant_uri(
            self._metadata.read()["authorization_endpoint"],
            client_id=self.client_id,
            response_type="code",
            redirect_uri=flow.redirect_uri,
            scope=SCOPE,
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.code_verifier),
            code_challenge_method="S256",
        )
        return url

    def check_issuer(self, issuer: str | None) -> None:
        """Check the parameter `iss` of a response (RFC 9207 section 2.4), against mix-up.

        Raises:
            InvalidTokenError: it is another provider's, or missing although this one sends it.
        """
        required = self._metadata.read().get("authorization_response_iss_parameter_supported")
        if issuer != self.issuer and (issuer is not None or required is True):
            raise InvalidTokenError("iss")

    def exchange(self, code: str, flow: Flow) -> JSON:
        """Exchange a code and return the claims about the user.

        Raises:
            RefusedError: the provider has not accepted the code.
            InvalidTokenError: the ID token is missing or not valid.
        """
        metadata = self._metadata.read()
        response = self._http.exchange_code(
            metadata["token_endpoint"],
            self._auth_method(metadata),
            code=code,
            redirect_uri=flow.redirect_uri,
            code_verifier=flow.code_verifier,
        )
        id_token, access_token = response.get("id_token"), response.get("access_token")
        if not isinstance(id_token, str):
            raise InvalidTokenError("id_token")
        token = self._decode(id_token)
        claims = tokens.check_id_token(token, self.issuer, self.client_id, flow.nonce, access_token)
        return self._with_user_info(claims, access_token)

    def check_logout_token(self, token: str) -> JSON:
        """Return the claims of a logout token (Back-Channel Logout section 2.6).

        Raises:
            InvalidTokenError: it is not valid.
        """
        return tokens.check_logout_token(self._decode(token), self.issuer, self.client_id)

    def _with_user_info(self, claims: JSON, access_token: Any) -> JSON:
        """Add the claims that some providers have at the UserInfo endpoint only (section 5.4)."""
        url = self._metadata.read().get("userinfo_endpoint")
        if "email" in claims or not url or not isinstance(access_token, str):
            return claims
        info = self._http.get_json(url, access_token=access_token)
        if info.get("sub") != claims["sub"]:  # section 5.3.2
            raise InvalidTokenError("sub")
        return {name: info.get(name) for name in ("email", "email_verified", "name")} | claims

    def _decode(self, token: str) -> jwt.Token:
        supported = self._metadata.read()["id_token_signing_alg_values_supported"]
        allowed = [name for name in ALGORITHMS if name in supported]
        try:
            try:
                return jwt.decode(token, self._keys.read(), allowed)
            except InvalidKeyIdError:  # the provider may have rotated its keys
                return jwt.decode(token, self._keys.refresh(), allowed)
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidTokenError(type(error).__name__) from error

    def _auth_method(self, metadata: JSON) -> str:
        if self._is_public:
            return "none"
        supported = metadata.get("token_endpoint_auth_methods_supported")
        if isinstance(supported, list) and "client_secret_basic" not in supported:
            return "client_secret_post"
        return "client_secret_basic"

    def _fetch_metadata(self) -> JSON:
        url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        metadata = self._http.get_json(url)
        # Exactly: otherwise one provider could pose as another (Discovery section 4.3).
        if metadata.get("issuer") != self.issuer:
            raise ProviderError("another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
            if (name in metadata or name != "userinfo_endpoint") and not self._is_safe(
                metadata.get(name)
            ):
                raise ProviderError(f"{name} is not safe")
        if not isinstance(metadata.get("id_token_signing_alg_values_supported"), list):
            raise ProviderError("no algorithms")
        return metadata

    def _is_safe(self, url: Any) -> bool:
        """Whether a URL of the metadata is HTTPS; of an issuer on loopback, on the same host."""
        if not isinstance(url, str):
            return False
        try:
            parts, own = urlsplit(url), urlsplit(self.issuer)
        except ValueError:
            return False
        return parts.scheme == "https" or (
            parts.scheme == own.scheme == "http" and parts.hostname == own.hostname
        )

    def _fetch_keys(self) -> KeySet:
        try:
            return KeySet.import_key_set(self._http.get_json(self._metadata.read()["jwks_uri"]))  # type: ignore[arg-type]
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ProviderError("the keys are not valid") from error
