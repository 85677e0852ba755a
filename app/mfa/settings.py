"""The settings MFA_REQUIRED_ROLES, PASSKEY_RP_ID and PASSKEY_ORIGINS."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import current_app

from app import setting_checks as is_
from app.config import ConfigError, parse_tuple
from app.users.roles import ROLES


@dataclass(frozen=True, slots=True)
class MfaSettings:
    """Who needs a second factor, and where passkeys are valid."""

    required_roles: frozenset[str]
    rp_id: str  # the domain of the passkeys; empty: there are none
    origins: tuple[str, ...]  # of the pages that may use them


def mfa_settings() -> MfaSettings:
    """Return the settings of the current application."""
    settings: MfaSettings = current_app.extensions["mfa"]
    return settings


def read_settings(environ: Mapping[str, str], public_url: str) -> MfaSettings:
    """Return the settings; passkeys are by default those of the host of `public_url`.

    Raises:
        ConfigError: lists all reasons.
    """
    url = urlsplit(public_url)
    # WebAuthn section 5.1.2: a domain, never an address. Browsers accept localhost.
    host = "localhost" if url.hostname in ("127.0.0.1", "::1") else url.hostname or ""
    port = f":{url.port}" if url.port else ""
    own_origin = f"{url.scheme}://{host}{port}"
    has_domain = not _is_address(host) and _is_valid_at(host, own_origin)
    rp_id = environ.get("PASSKEY_RP_ID") or (host if has_domain else "")
    origins = parse_tuple(environ.get("PASSKEY_ORIGINS", "")) or ((own_origin,) if rp_id else ())
    roles = parse_tuple(environ.get("MFA_REQUIRED_ROLES", ""))
    if reasons := [*_refuse_roles(roles), *_refuse_passkeys(rp_id, origins)]:
        raise ConfigError(reasons)
    return MfaSettings(frozenset(roles), rp_id, origins)


def _refuse_roles(roles: tuple[str, ...]) -> Iterator[str]:
    if not set(roles) <= ROLES.keys():
        yield f"MFA_REQUIRED_ROLES has other roles than {', '.join(ROLES)}"


def _refuse_passkeys(rp_id: str, origins: tuple[str, ...]) -> Iterator[str]:
    if (
        not rp_id.isprintable()
        or _is_address(rp_id)
        or is_.hosts((rp_id,) if rp_id else ())
        or set(rp_id) & set(":[]")
    ):
        yield "PASSKEY_RP_ID is a domain such as example.com"
    elif origins and not rp_id:
        yield "PASSKEY_RP_ID is required for PASSKEY_ORIGINS, as PUBLIC_URL is no https:// domain"
    elif "*" in origins or is_.origins(origins):
        yield "PASSKEY_ORIGINS are origins such as https://app.example.com"
    elif not all(_is_valid_at(rp_id, origin) for origin in origins):
        yield (
            "PASSKEY_ORIGINS are https (or http://localhost), at the domain PASSKEY_RP_ID or a "
            "subdomain; the default of both is PUBLIC_URL"
        )


def _is_valid_at(rp_id: str, origin: str) -> bool:
    """Whether browsers let a page of the origin use passkeys of the domain."""
    url = urlsplit(origin)
    host = url.hostname or ""
    is_secure = url.scheme == "https" or host == "localhost" or host.endswith(".localhost")
    return is_secure and (host == rp_id or host.endswith(f".{rp_id}"))


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
