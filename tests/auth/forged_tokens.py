"""Access tokens with one thing wrong, for tests of everything that verifies tokens (RFC 8725)."""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from jwt.utils import raw_to_der_signature

from app.auth import signing_keys
from app.auth.jwt_manager import LEEWAY
from app.auth.models import Session
from app.auth.signing_keys import Key
from app.auth.tokens import REQUIRED_CLAIMS
from app.core.database.ids import uuid7
from app.core.database.types import now
from tests import rows
from tests.api import Caller

JSON = dict[str, Any]


def seconds() -> int:
    return int(now().timestamp())


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def segment(value: Any) -> str:
    """A header or payload; text and bytes as they are, anything else as JSON."""
    if not isinstance(value, str | bytes):
        value = json.dumps(value, separators=(",", ":"), sort_keys=True)
    return encode(value if isinstance(value, bytes) else value.encode())


class Forge:
    """Creates access tokens like the service's, with the changes of a test."""

    def __init__(self, app: Flask, user: Caller, algorithm: str = "HS256") -> None:
        self.all = {key.algorithm: key for key in app.extensions["auth"].keys.values()}
        self.key: Key = self.all[algorithm]
        self.header = {"typ": "at+jwt", "alg": algorithm, "kid": self.key.kid}
        self.claims = {
            "iss": app.config["TOKEN_ISSUER"],
            "aud": app.config["TOKEN_AUDIENCE"],
            "sub": str(user.id),
            "sid": str(rows.read(app, Session.id, owner_id=user.id)[0]),
            "role": "user",
            "iat": seconds(),
            "nbf": seconds(),
            "exp": seconds() + 600,
            "jti": str(uuid7()),
            "type": "access",
        }

    def token(
        self,
        *,
        key: Any = None,
        headers: JSON | None = None,
        header: Any = None,
        payload: Any = None,
        without: tuple[str, ...] = (),
        **claims: Any,
    ) -> str:
        """A token signed with our key or the given one.

        `headers` changes parameters of the header; `header` and `payload` replace them whole.
        """
        body = {k: v for k, v in (self.claims | claims).items() if k not in without}
        head = {k: v for k, v in (self.header | (headers or {})).items() if v is not Ellipsis}
        signed = f"{segment(header or head)}.{segment(body if payload is None else payload)}"
        algorithm = head.get("alg", self.key.algorithm)
        signer = jwt.get_algorithm_by_name(algorithm)
        return f"{signed}.{encode(signer.sign(signed.encode(), key or self.key.private))}"

    def hmac(self, key: bytes, **headers: Any) -> str:
        """A token signed with HMAC, for a key of any algorithm."""
        signed = f"{segment({**self.header, 'alg': 'HS256', **headers})}.{segment(self.claims)}"
        return f"{signed}.{encode(hmac.digest(key, signed.encode(), 'sha256'))}"

    def unsigned(self, header: Any, payload: Any = None) -> str:
        return f"{segment(header)}.{segment(self.claims if payload is None else payload)}."

    def signed_as(self, change: Callable[[bytes], bytes]) -> str:
        """A token with a changed signature."""
        signed, _, signature = self.token().rpartition(".")
        return f"{signed}.{encode(change(base64.urlsafe_b64decode(signature + '==')))}"

    def attackers(self) -> Key:
        """A key of the attacker for the same algorithm."""
        [key] = signing_keys.parse([signing_keys.generate(self.key.algorithm)])
        return key

    def embedded(self, **parameters: Any) -> str:
        """A token signed by the attacker, with parameters that name its key."""
        return self.token(key=self.attackers().private, headers=parameters)

    def public_key(self, form: str) -> bytes:
        """Our public key in a format; that of ES256 if our key is symmetric."""
        key = self.all["ES256"] if self.key.is_symmetric else self.key
        if form == "JWK":
            return json.dumps(key.public_jwk()).encode()
        encoding = Encoding.PEM if form.startswith("PEM") else Encoding.DER
        exported = key.public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        return exported.strip() if form == "PEM without newline" else exported


def jwk(forge: Forge) -> JSON:
    """The JWK of an attacker's key."""
    key = forge.attackers()
    if key.is_symmetric:
        return {"kty": "oct", "k": encode(key.private)}
    return key.public_jwk()


ATTACKS: dict[str, Callable[[Forge], str]] = {
    # no token at all
    "garbage": lambda f: "garbage",
    "dots": lambda f: "...",
    "not ASCII": lambda f: "ключ".encode().decode("latin-1"),
    "a megabyte": lambda f: "x" * 2**20,
    "a megabyte under our header": lambda f: f"{segment(f.header)}.{'x' * 2**20}.x",
    "JSON serialisation": lambda f: json.dumps(
        dict(zip(("protected", "payload", "signature"), f.token().split("."), strict=True)),
        separators=(",", ":"),
    ),
    "JWE": lambda f: f"{segment({'alg': 'dir', 'enc': 'A256GCM', 'typ': 'at+jwt'})}..aa.aa.aa",
    "our header on a JWE": lambda f: f"{segment(f.header)}.aa.aa.aa.aa",
    "one segment more": lambda f: f"{f.token()}.aa",
    "a dot before": lambda f: f".{f.token()}",
    "a dot behind": lambda f: f"{f.token()}.",
    "padding": lambda f: f"{f.token()}=",
    "a tab inside": lambda f: f.token().replace(".", ".\t", 1),
    "two tokens": lambda f: f"{f.token()}, {f.token()}",
    # alg
    **{
        f"alg {name}": lambda f, name=name: f.unsigned({**f.header, "alg": name})
        for name in ("none", "None", "NONE", "nOnE", "", "HS1", 7, None, ["HS256"])
    },
    "alg none, signed": lambda f: f.unsigned({**f.header, "alg": "none"}) + "aaaa",
    "alg missing": lambda f: f.token(headers={"alg": ...}),
    "alg of another key": lambda f: f.token(
        headers={"alg": "ES256" if f.key.algorithm != "ES256" else "EdDSA"},
        key=f.all["ES256" if f.key.algorithm != "ES256" else "EdDSA"].private,
    ),
    "alg HS512": lambda f: f.token(headers={"alg": "HS512"}, key=b"0123456789abcdef" * 4),
    # the signature
    "no signature": lambda f: f.unsigned(f.header),
    "signature segment stripped": lambda f: f.token().rpartition(".")[0],
    "signature cut": lambda f: f.signed_as(lambda s: s[:-1]),
    "signature longer": lambda f: f.signed_as(lambda s: s + b"\0"),
    "signature changed": lambda f: f.signed_as(lambda s: bytes([s[0] ^ 1]) + s[1:]),
    "signature of zeros (psychic)": lambda f: f.signed_as(lambda s: bytes(len(s))),
    "signature r=0, s=1": lambda f: f.signed_as(lambda s: bytes(63) + b"\1"),
    "signature in DER": lambda f: f.signed_as(
        lambda s: raw_to_der_signature(s.ljust(64, b"\1"), f.all["ES256"].public.curve)
    ),
    "somebody else's key": lambda f: f.token(key=f.attackers().private),
    "header changed": lambda f: "e30" + f.token()[3:],
    "payload changed": lambda f: ".".join(
        [f.token().split(".")[0], segment(f.claims | {"role": "admin"}), f.token().split(".")[2]]
    ),
    "payload of another token": lambda f: ".".join(
        [*f.token().split(".")[:2], f.token(role="admin").split(".")[2]]
    ),
    **{
        f"HMAC with {name}": lambda f, secret=secret: f.hmac(secret)
        for name, secret in {
            "nothing": b"", "a zero": b"\0", "secret": b"secret", "password": b"password",
            "your-256-bit-secret": b"your-256-bit-secret", "change-me": b"change-me",
        }.items()
    },
    **{
        f"HMAC with our public key, {form}": lambda f, form=form: f.hmac(f.public_key(form))
        for form in ("PEM", "PEM without newline", "DER", "JWK")
    },
    "HMAC with our public key, named by its own kid": lambda f: f.hmac(
        f.public_key("PEM"), kid=f.all["ES256"].kid
    ),
    # kid
    **{
        f"kid {name}": lambda f, kid=kid: f.token(headers={"kid": kid})
        for name, kid in {
            "missing": ..., "unknown": "nobody", "empty": "", "null": None, "number": 7,
            "array": ["a"], "object": {"a": 1}, "true": True, "of 10 kB": "k" * 10_000,
            "with NUL": "a\0b", "a path": "../../../../etc/passwd", "SQL": "' OR 1=1--",
            "a command": "| sleep 9", "a URL": "https://evil.example/key",
        }.items()
    },
    "kid of another key": lambda f: f.token(
        headers={"kid": next(k.kid for k in f.all.values() if k is not f.key)}
    ),
    "kid /dev/null, HMAC with nothing": lambda f: f.hmac(b"", kid="../../../../dev/null"),
    "kid with NUL behind ours": lambda f: f.token(headers={"kid": f"{f.key.kid}\0"}),
    # the attacker's key in the header
    "jwk": lambda f: f.embedded(jwk=jwk(f)),
    "jwk without kid": lambda f: f.embedded(jwk=jwk(f), kid=...),
    "jku": lambda f: f.embedded(jku="https://evil.example/jwks.json"),
    "x5u": lambda f: f.embedded(x5u="https://evil.example/certificate.pem"),
    "x5c": lambda f: f.embedded(x5c=["MIIBszCCAVmgAwIBAgIUE"]),
    # other parameters of the header
    "crit unknown": lambda f: f.token(headers={"crit": ["exp2"], "exp2": 1}),
    "crit empty": lambda f: f.token(headers={"crit": []}),
    "crit no list": lambda f: f.token(headers={"crit": "b64"}),
    "b64 false": lambda f: f.token(headers={"b64": False}),
    "b64 false, critical": lambda f: f.token(headers={"b64": False, "crit": ["b64"]}),
    "b64 true, critical": lambda f: f.token(headers={"b64": True, "crit": ["b64"]}),
    "zip": lambda f: f.token(headers={"zip": "DEF"}),
    "cty JWT": lambda f: f.token(headers={"cty": "JWT"}),
    "typ JWT": lambda f: f.token(headers={"typ": "JWT"}),
    "typ missing": lambda f: f.token(headers={"typ": ...}),
    "typ of a refresh token": lambda f: f.token(headers={"typ": "rt+jwt"}),
    "header with a name twice": lambda f: f.token(
        header='{"alg":"none",' + json.dumps(f.header, sort_keys=True)[1:]
    ),
    "header nested deeply": lambda f: f.unsigned("[" * 5000, "{}"),
    "payload nested deeply": lambda f: f.unsigned(f.header, "[" * 5000),
    "header no object": lambda f: f.unsigned("[]"),
    "header not UTF-8": lambda f: f.token(header=json.dumps(f.header).encode("utf-16")),
}  # fmt: skip


def with_claim(forge: Forge, name: str, value: str) -> str:
    """A token signed with our key, with the JSON text of a claim."""
    text = json.dumps({k: v for k, v in forge.claims.items() if k != name})
    return forge.token(payload=f'{text[:-1]},"{name}":{value}}}')


# Signed with our key: only the claims can be refused.
BAD_CLAIMS: dict[str, Callable[[Forge], str]] = {
    **{
        f"{name} missing": lambda f, name=name: f.token(without=(name,)) for name in REQUIRED_CLAIMS
    },
    **{f"{name} null": lambda f, name=name: f.token(**{name: None}) for name in REQUIRED_CLAIMS},
    **{
        f"{name} {text}": lambda f, name=name, text=text: with_claim(f, name, text)
        for name in ("exp", "iat", "nbf")
        for text in ('"tomorrow"', '""', "1e400", "Infinity", "NaN", "[1]", "{}", "true")
    },
    "exp past": lambda f: f.token(exp=seconds() - LEEWAY - 1),
    "exp past by just the leeway": lambda f: f.token(exp=seconds() - LEEWAY),
    "exp zero": lambda f: f.token(exp=0),
    "exp negative": lambda f: f.token(exp=-1),
    "exp a string of digits": lambda f: f.token(exp=str(seconds() + 600)),
    "exp a fraction": lambda f: f.token(exp=seconds() + 600.5),
    "exp 1e10": lambda f: with_claim(f, "exp", "1e10"),
    "nbf in the future": lambda f: f.token(nbf=seconds() + LEEWAY + 60),
    "nbf a string of digits": lambda f: f.token(nbf=str(seconds())),
    "iat in the future": lambda f: f.token(iat=seconds() + LEEWAY + 60),
    "iat a string of digits": lambda f: f.token(iat=str(seconds())),
    "iss another": lambda f: f.token(iss="elsewhere"),
    "iss a list": lambda f: f.token(iss=[f.claims["iss"]]),
    "aud another": lambda f: f.token(aud="elsewhere"),
    "aud a list": lambda f: f.token(aud=[f.claims["aud"]]),
    "aud a list of many": lambda f: f.token(aud=["elsewhere", f.claims["aud"]]),
    "aud with more behind": lambda f: f.token(aud=f.claims["aud"] + "/"),
    "sub no UUID": lambda f: f.token(sub="1"),
    "sub a number": lambda f: f.token(sub=1),
    "sub of nobody": lambda f: f.token(sub=str(uuid7())),
    "sid no UUID": lambda f: f.token(sid="1"),
    "sid a number": lambda f: f.token(sid=1),
    "sid of no session": lambda f: f.token(sid=str(uuid7())),
    "jti a number": lambda f: f.token(jti=1),
    "role unknown": lambda f: f.token(role="root"),
    "role not the user's": lambda f: f.token(role="admin"),
    "role a list": lambda f: f.token(role=["admin"]),
    "type refresh": lambda f: f.token(type="refresh"),
    "a name twice": lambda f: with_claim(f, "x", '1,"role":"admin"'),
    "no object": lambda f: f.token(payload="7"),
    "a list": lambda f: f.token(payload=[f.claims]),
    "no JSON": lambda f: f.token(payload="{"),
    "nested deeply": lambda f: with_claim(f, "x", "[" * 5000 + "]" * 5000),
    "in UTF-16": lambda f: f.token(payload=json.dumps(f.claims).encode("utf-16")),
    "after a byte order mark": lambda f: f.token(payload="\ufeff" + json.dumps(f.claims)),
}
