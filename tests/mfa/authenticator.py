"""Users with second factors: an app that shows codes, and a passkey made of software."""

import json
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import cbor2
import pyotp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from flask import request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.core.database.types import now
from tests.api import Api, Caller, bearer
from tests.auth.login import log_in

RP_ID, ORIGIN = "localhost", "http://localhost:8000"  # of the default PUBLIC_URL


class Clock:
    """The time of the service and of all apps, which passes only where a test says so."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Set it to the beginning of a step of codes."""
        moment = now()
        self.moment = moment.replace(second=moment.second // 30 * 30, microsecond=0)

    def now(self) -> datetime:
        return self.moment

    def move(self, seconds: int) -> None:
        self.moment += timedelta(seconds=seconds)


CLOCK = Clock()


def time_of_test() -> datetime:
    """The time of codes in another process, the stack's: that of the test, or the real one."""
    sent = request.headers.get("X-Test-Time")
    return datetime.fromisoformat(sent) if sent else now()


@dataclass
class App:
    """An app that shows codes, and its owner."""

    owner: Caller
    secret: str
    factor: str  # the path

    def code(self, steps: int = 0) -> str:
        """The code of now, or of so many steps of 30 seconds later."""
        return pyotp.TOTP(self.secret).at(CLOCK.moment, counter_offset=steps)


class Members(Api):
    """Requests to the routes of second factors."""

    def client(self) -> FlaskClient:
        client = super().client()
        client.environ_base["HTTP_X_TEST_TIME"] = CLOCK.now().isoformat()
        return client

    def enrol(self, owner: Caller) -> App:
        """A confirmed app; the time is the step after the code that was used for it."""
        created = self.post("auth/mfa/factors", {"name": "Phone"}, by=owner, status=201)
        app = App(owner, created.json["secret"], created.headers["Location"])
        self.confirm(app, status=204)
        CLOCK.move(30)
        return app

    def confirm(self, app: App, code: str | None = None, **kwargs: Any) -> TestResponse:
        code = code or app.code()
        return self.post(f"{app.factor}/confirm", {"code": code}, by=app.owner, **kwargs)

    def mfa_token(self, owner: Caller) -> str:
        """The token of a login that was interrupted after the password."""
        token: str = log_in(self, owner.email, status=401).json["mfa_token"]
        return token

    def finish(self, token: str, code: str, **kwargs: Any) -> TestResponse:
        return self.post("auth/mfa/code", {"mfa_token": token, "code": code}, **kwargs)

    def log_in(self, app: App, code: str | None = None) -> Caller:
        """The owner in a session with a second factor."""
        tokens = self.finish(self.mfa_token(app.owner), code or app.code(), status=200)
        return Caller(
            app.owner.id, app.owner.email, app.owner.role, bearer(tokens.json["access_token"])
        )

    def codes(self, owner: Caller) -> list[str]:
        codes: list[str] = self.post("auth/mfa/recovery-codes", by=owner, status=200).json[
            "recovery_codes"
        ]
        return codes

    def register(self, key: "Passkey", owner: Caller, **kwargs: Any) -> TestResponse:
        """Register a passkey for a user."""
        options = self.post("auth/mfa/passkeys/options", by=owner, status=200).json["options"]
        body = {"name": "Key", "credential": key.create(options)}
        return self.post("auth/mfa/passkeys", body, by=owner, **kwargs)

    def options(self, token: str | None = None) -> dict[str, Any]:
        body = {"mfa_token": token} if token else {}
        options: dict[str, Any] = self.post("auth/mfa/passkey/options", body, status=200).json
        return options["options"]

    def answer(
        self, credential: dict[str, Any], token: str | None = None, **kwargs: Any
    ) -> TestResponse:
        body = {"credential": credential} | ({"mfa_token": token} if token else {})
        return self.post("auth/mfa/passkey", body, **kwargs)


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "===")


@dataclass
class Passkey:
    """An authenticator and a browser in one; each attribute can be made to lie."""

    rp_id: str = RP_ID
    origin: str = ORIGIN
    verifies_user: bool = True
    counter: int = 0
    cross_origin: bool = False
    is_discoverable: bool | None = None  # as the browser says it; None: it says nothing
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    user_handle: str = ""

    @property
    def id(self) -> bytes:
        return sha256(self._cose_key()).digest()

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """The credential that `navigator.credentials.create` would return."""
        self.user_handle = options["user"]["id"]
        attested = bytes(16) + struct.pack(">H", len(self.id)) + self.id + self._cose_key()
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(0x40) + attested}
        credential = self._credential(
            {
                "clientDataJSON": encode(self._client("webauthn.create", options)),
                "attestationObject": encode(cbor2.dumps(attestation)),
            }
        )
        properties = {} if self.is_discoverable is None else {"rk": self.is_discoverable}
        return credential | {"clientExtensionResults": {"credProps": properties}}

    def get(self, options: dict[str, Any], type_: str = "webauthn.get") -> dict[str, Any]:
        """The credential that `navigator.credentials.get` would return."""
        self.counter += 1
        client, data = self._client(type_, options), self._data(0)
        signature = self.key.sign(data + sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._credential(
            {
                "clientDataJSON": encode(client),
                "authenticatorData": encode(data),
                "signature": encode(signature),
                "userHandle": self.user_handle,
            }
        )

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        id_ = encode(self.id)
        return {"id": id_, "rawId": id_, "type": "public-key", "response": response}

    def _client(self, type_: str, options: dict[str, Any]) -> bytes:
        data = {"type": type_, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps(data | {"crossOrigin": self.cross_origin}).encode()

    def _data(self, flags: int) -> bytes:
        flags |= 0x05 if self.verifies_user else 0x01
        return sha256(self.rp_id.encode()).digest() + struct.pack(">BI", flags, self.counter)

    def _cose_key(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32) for number in (numbers.x, numbers.y))
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
