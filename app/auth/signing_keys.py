"""The keys that sign and verify access tokens.

They are a private JWK Set (RFC 7517 section 5) in the file of the setting JWT_KEYS: the first key
signs, all keys verify, and `flask signing-keys` rotates them. Without a file there is one HMAC key,
derived from SECRET_KEY. Each key has its own `kid` and one algorithm (RFC 8725 section 3.1).
docs/decisions.md#25-key-rotation
"""

import json
import os
import secrets
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt import PyJWK, get_algorithm_by_name
from jwt.exceptions import PyJWTError

from app.config import ConfigError, Settings
from app.core.security.keys import hkdf_sha256

JWK = dict[str, Any]

# Type and curve of the keys of each algorithm (RFC 7518 section 6, RFC 8037 section 2).
KEY_TYPES = {"HS256": ("oct", None), "EdDSA": ("OKP", "Ed25519"), "ES256": ("EC", "P-256")}
_HMAC_BYTES = 32  # at least as many as the digest has (RFC 7518 section 3.2)
_FORBIDDEN_MODE = stat.S_IRWXO | stat.S_IWGRP
# Published in RFC 7515 (A.1, A.3), RFC 7517 (A.2) and RFC 8037 (A.1), so they are not secret.
_EXAMPLES = {
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
}


@dataclass(frozen=True, slots=True)
class Key:
    """A parsed key. `public` equals `private` if the algorithm is symmetric."""

    kid: str
    algorithm: str
    private: Any
    public: Any

    @property
    def is_symmetric(self) -> bool:
        """Whether the key that verifies can also sign; such a key is not published."""
        return isinstance(self.public, bytes)

    def public_jwk(self) -> JWK:
        """Return the public key (RFC 7517 section 4)."""
        jwk: JWK = get_algorithm_by_name(self.algorithm).to_jwk(self.public, as_dict=True)
        return {**jwk, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


def load_keys(settings: Settings) -> list[Key]:
    """Return the keys in use; the first one signs.

    Raises:
        ConfigError: a key, or the file with the keys, is not safe to use.
    """
    return parse(read_file(settings.jwt_keys) or [derive(settings.secret_key)])


def derive(secret: str) -> JWK:
    """Return the key that is used without a file. Its `kid` identifies the secret and hides it."""
    kid = hkdf_sha256(secret, "kid of access tokens")[:4].hex()
    return _jwk("HS256", hkdf_sha256(secret, "access tokens"), f"secret-{kid}")


def generate(algorithm: str) -> JWK:
    """Return a new random key; its `kid` is the date and random digits."""
    key: Any = secrets.token_bytes(_HMAC_BYTES)
    if algorithm == "EdDSA":
        key = Ed25519PrivateKey.generate()
    elif algorithm == "ES256":
        key = generate_private_key(SECP256R1())
    return _jwk(algorithm, key, f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}")


def parse(jwks: list[JWK]) -> list[Key]:
    """Return the parsed keys of a JWK Set.

    Raises:
        ConfigError: one has no `kid` or no private half, is weak, a published example, or damaged.
    """
    reasons = [
        f"JWT_KEYS: key {n} {error}" for n, jwk in enumerate(jwks, 1) if (error := _key_error(jwk))
    ]
    if len({jwk.get("kid") for jwk in jwks}) < len(jwks):
        reasons.append("JWT_KEYS: two keys have the same kid")
    if reasons:
        raise ConfigError(reasons)
    return [_parse(jwk) for jwk in jwks]


def read_file(path: str) -> list[JWK]:
    """Return the keys in the file, unparsed; none if `path` is empty.

    Raises:
        ConfigError: it cannot be read, is no JWK Set, or other users can access it.
    """
    if not path:
        return []
    try:
        if Path(path).stat().st_mode & _FORBIDDEN_MODE:
            raise ConfigError([f"JWT_KEYS: {path} is open to others; run chmod 600 on it"])
        jwks: list[JWK] = json.loads(Path(path).read_text())["keys"]
    except OSError as error:
        raise ConfigError([f"JWT_KEYS: {path} cannot be read: {error.strerror}"]) from error
    except (ValueError, KeyError, TypeError):
        jwks = []
    if not jwks or not isinstance(jwks, list) or not all(isinstance(jwk, dict) for jwk in jwks):
        raise ConfigError([f"JWT_KEYS: {path} is no JWK Set with keys"])
    return jwks


def write_file(path: str, jwks: list[JWK]) -> None:
    """Replace the file atomically: another process reads the old file or the new one."""
    draft = f"{path}.{os.getpid()}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"keys": jwks}, file, indent=2)
    if Path(path).exists():  # owner and mode are kept: the service may run as another user
        replaced = Path(path).stat()
        os.chown(draft, replaced.st_uid, replaced.st_gid)
        Path(draft).chmod(stat.S_IMODE(replaced.st_mode))
    Path(draft).replace(path)


def _jwk(algorithm: str, key: Any, kid: str) -> JWK:
    jwk: JWK = get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
    return {"kty": jwk["kty"], "kid": kid, "alg": algorithm, "use": "sig", **jwk}


def _parse(jwk: JWK) -> Key:
    key = PyJWK(jwk).key
    public = key if isinstance(key, bytes) else key.public_key()
    return Key(jwk["kid"], jwk["alg"], key, public)


def _key_error(jwk: JWK) -> str | None:
    """Return why the key must not be used. The library's own messages quote the key."""
    secret = jwk.get("k") or jwk.get("d")
    if not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        return "has no kid"
    if jwk.get("alg") not in KEY_TYPES:
        return f"is not for one of {', '.join(KEY_TYPES)}"
    if (jwk.get("kty"), jwk.get("crv")) != KEY_TYPES[jwk["alg"]]:
        return f"is not of the kind that {jwk['alg']} uses"
    if not secret:
        return "has no private half"
    if secret in _EXAMPLES:
        return "is an example that was published"
    try:
        key = _parse(jwk).private
    except (PyJWTError, ValueError, TypeError, AttributeError):
        return "is damaged"
    if isinstance(key, bytes) and (len(key) < _HMAC_BYTES or len(set(key)) < _HMAC_BYTES // 2):
        return f"is weaker than {_HMAC_BYTES} random bytes"
    return None
