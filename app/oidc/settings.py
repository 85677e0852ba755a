"""The settings of the providers: OIDC_PROVIDERS names them, OIDC_<NAME>_* describes each."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from app import setting_checks as is_
from app.config import ConfigError, parse_tuple

MAX_PROVIDERS = 20
_NAME = re.compile(r"[a-z][a-z0-9]{0,29}")
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?")
_LOOPBACK = ("127.0.0.1", "::1")
_ISSUER = is_.url("is a URL such as https://login.example.com", "https", "http", path=r"[^\\]*")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """How to reach one provider, and who this service is to it."""

    name: str
    issuer: str  # exactly as the provider writes it
    client_id: str
    client_secret: str = field(repr=False)  # empty: a public client


def read_providers(environ: Mapping[str, str], *, production: bool) -> list[ProviderSettings]:
    """Return the settings of the providers that OIDC_PROVIDERS names.

    Raises:
        ConfigError: lists all reasons; none contains a value.
    """
    text = environ.get("OIDC_PROVIDERS", "")
    names = parse_tuple(text)
    if reason := is_.printable(text) or _refuse_names(names):
        raise ConfigError([f"OIDC_PROVIDERS {reason}"])
    found = [_read(environ, name) for name in names]
    reasons = [reason for each in found for reason in _refuse(each, production=production)]
    issuers = [each.issuer for each in found]
    if not reasons and len(set(issuers)) != len(issuers):
        reasons = ["OIDC_PROVIDERS has two providers with the same issuer"]
    if reasons:
        raise ConfigError(reasons)
    return found


def _refuse_names(names: tuple[str, ...]) -> str | None:
    if not all(map(_NAME.fullmatch, names)):
        return "are names of small letters and digits, such as google,corp"
    if len(set(names)) != len(names):
        return "has a name twice"
    return f"has more than {MAX_PROVIDERS} names" if len(names) > MAX_PROVIDERS else None


def _read(environ: Mapping[str, str], name: str) -> ProviderSettings:
    prefix = f"OIDC_{name.upper()}_"
    parts = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET")
    return ProviderSettings(name, *(environ.get(prefix + part, "") for part in parts))


def _refuse(provider: ProviderSettings, *, production: bool) -> Iterator[str]:
    prefix = f"OIDC_{provider.name.upper()}_"
    for part in ("issuer", "client_id", "client_secret"):
        text = getattr(provider, part)
        missing = "is required" if not text and part != "client_secret" else None
        plain = None if text.isascii() else "has other characters than ASCII"
        reason = missing or is_.printable(text) or is_.trimmed(text) or plain
        if part == "issuer":
            reason = reason or _refuse_issuer(text, production=production)
        if reason:
            yield f"{prefix}{part.upper()} {reason}"


def _refuse_issuer(text: str, *, production: bool) -> str | None:
    """Check an issuer (OpenID Connect Discovery section 3): HTTPS, no query, no fragment."""
    if reason := _ISSUER(text):
        return reason
    parts = urlsplit(text)
    if not _HOST.fullmatch(parts.netloc):
        return "has a host and perhaps a port, and no credentials"
    if parts.scheme == "http" and (production or parts.hostname not in _LOOPBACK):
        return "is https://; http:// is for 127.0.0.1 and [::1] outside production"
    return None
