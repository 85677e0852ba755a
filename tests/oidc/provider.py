"""A small OpenID provider in a process of its own, which lies where a test asks it to.

It is several providers: the first segment of the path is the name of one. `/control` sets the user
who is logged in, and what is wrong in its responses.
"""

import hmac
import json
import ssl
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = "service", "a secret of the client"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
JSON = dict[str, Any]


def _encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _segment(value: JSON) -> str:
    return _encode(json.dumps(value).encode())


@dataclass
class Issuer:
    """The state of one provider."""

    url: str
    user: JSON
    lies: JSON = field(default_factory=dict)
    keys: list[RSAKey] = field(default_factory=lambda: [RSAKey.generate_key(2048, auto_kid=True)])
    codes: dict[str, JSON] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

    def metadata(self) -> JSON:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "authorization_response_iss_parameter_supported": True,
        } | self.lies.get("metadata", {})

    def jwks(self) -> JSON:
        return dict(KeySet(self.keys).as_dict(private=False))

    def sign(self, claims: JSON, header: JSON) -> str:
        """A token in compact form; the lie `alg` forges it."""
        key, lie = self.keys[-1], self.lies.get("alg")
        published = key.as_pem(private=False)
        if lie in ("another key", "unknown kid"):
            key = RSAKey.generate_key(2048, auto_kid=True)
        kid = key.kid if lie == "unknown kid" else self.keys[-1].kid
        usual = {"alg": lie if lie in ("none", "HS256") else "RS256", "kid": kid}
        signed = f"{_segment(usual | header)}.{_segment(claims)}"
        # Not by the library, which refuses to forge.
        if lie == "none":
            signature = b""
        elif lie == "HS256":  # with the public key, which everybody knows, as the secret
            signature = hmac.digest(published, signed.encode(), "sha256")
        else:
            signature = key.private_key.sign(signed.encode(), PKCS1v15(), SHA256())
        return f"{signed}.{_encode(signature)}"

    def token(self, kind: str, claims: JSON) -> str:
        """A token with claims that the lies replace; None removes one."""
        moment = int(time.time())
        usual = {"iss": self.url, "aud": CLIENT_ID, "iat": moment, "exp": moment + 120}
        merged = usual | claims | self.lies.get("claims", {})
        header = {"typ": "logout+jwt"} if kind == "logout" else {"typ": "JWT"}
        return self.sign(
            {name: value for name, value in merged.items() if value is not None},
            header | self.lies.get("header", {}),
        )

    def authorize(self, query: JSON) -> str:
        """The URL to which the browser returns."""
        code = uuid4().hex
        self.codes[code] = query
        response = {"code": code, "state": query["state"], "iss": self.url}
        response |= self.lies.get("response", {})
        sent = {name: value for name, value in response.items() if value is not None}
        return f"{query['redirect_uri']}?{urlencode(sent)}"

    def exchange(self, form: JSON, authorization: str) -> tuple[int, JSON]:
        started = self.codes.pop(form.get("code"), None)
        challenge = _encode(sha256(form.get("code_verifier", "").encode()).digest())
        right = (
            started is not None
            and authorization.startswith("Basic ")
            and form["grant_type"] == "authorization_code"
            and started["redirect_uri"] == form["redirect_uri"]
            and started["code_challenge"] == challenge
            and started["code_challenge_method"] == "S256"
        )
        if not right or started is None:
            return 400, {"error": "invalid_grant"}
        claims = {"nonce": started["nonce"], **self.user}
        tokens = {"access_token": "at", "token_type": "Bearer", "id_token": self.token("", claims)}
        return 200, tokens | self.lies.get("tokens", {})


class Handler(BaseHTTPRequestHandler):
    """Requests to any of the providers, and to their control."""

    origin = ""  # of all issuers
    issuers: dict[str, Issuer] = {}

    def log_message(self, *_: Any) -> None: ...

    def issuer(self, name: str) -> Issuer:
        if name not in self.issuers:
            user = {"sub": f"{name}-1", "email": "ada@example.com", "email_verified": True}
            self.issuers[name] = Issuer(
                f"{self.origin}/{name}", user | {"name": "Ada Lovelace", "sid": f"{name}-s1"}
            )
        return self.issuers[name]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        _, name, *rest = parts.path.split("/")
        issuer, path = self.issuer(name), "/".join(rest)
        issuer.requests[path] += 1
        lie = issuer.lies.get("http", {}).get(path)
        if lie:
            return self.fail(lie)
        query = dict(parse_qsl(parts.query))
        if path == "authorize":
            target = issuer.authorize(query)
            if issuer.lies.get("page"):
                page = f'<title>Provider</title><a id="login" href="{target}">Log in</a>'
                return self.send(200, page.replace("&", "&amp;").encode(), "text/html")
            return self.send(302, b"", headers={"Location": target})
        if path == "userinfo":
            info = issuer.lies.get("userinfo", issuer.user)
            return self.json(200 if self.headers["Authorization"] == "Bearer at" else 401, info)
        documents = {".well-known/openid-configuration": issuer.metadata, "jwks": issuer.jwks}
        return self.json(200, documents[path]()) if path in documents else self.json(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        _, name, path = self.path.split("/")
        issuer = self.issuer(name)
        if path == "control":
            return self.json(200, self.control(issuer, name, json.loads(body)))
        issuer.requests[path] += 1
        if lie := issuer.lies.get("http", {}).get(path):
            return self.fail(lie)
        form = {key: values[0] for key, values in parse_qs(body).items()}
        return self.json(*issuer.exchange(form, self.headers.get("Authorization", "")))

    def control(self, issuer: Issuer, name: str, body: JSON) -> JSON:
        if body.get("reset"):
            keys = issuer.keys
            del self.issuers[name]
            self.issuer(name).keys = keys
        issuer = self.issuer(name)
        issuer.user |= body.get("user", {})
        issuer.lies = body.get("lies", issuer.lies)
        if body.get("rotate"):
            issuer.keys = [RSAKey.generate_key(2048, auto_kid=True)]
        if "logout" in body:
            claims = {"jti": uuid4().hex, "events": {LOGOUT_EVENT: {}}, **body["logout"]}
            return {"token": issuer.token("logout", claims)}
        return {"requests": issuer.requests, "url": issuer.url}

    def fail(self, lie: Any) -> None:
        """A status, or what the response is or does."""
        if isinstance(lie, int):
            return self.json(lie, {})
        if lie == "redirect":
            return self.send(302, b"", headers={"Location": self.path.replace("jwks", "other")})
        if lie == "closed":
            return self.connection.close()
        if lie == "text":
            return self.send(200, b"<html>")
        if lie == "list":
            return self.send(200, b"[]")
        if lie == "gzip":
            return self.send(200, b"{}", headers={"Content-Encoding": "gzip"})
        start = b"HTTP/1.1 200 OK\r\n"
        begun, part = {
            "endless": (start + b"\r\n", b" " * 65536),
            "endless header": (start, b"A: b\r\n" * 10_000),
            "endless 1xx": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000),
            "slow": (start + b"\r\n", b" "),  # never silent for long
            "slow header": (start, b"A"),
            "slow 1xx": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        }[lie]
        try:
            self.wfile.write(begun)
            while True:
                self.wfile.write(part)
                if lie.startswith("slow"):
                    time.sleep(0.2)
        except OSError:  # the client has closed the connection
            return None

    def json(self, status: int, value: Any) -> None:
        self.send(status, json.dumps(value).encode(), "application/json")

    def send(
        self, status: int, body: bytes, media_type: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": media_type, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclass(frozen=True)
class Provider:
    """One provider of the process, as a test uses it."""

    url: str

    def control(self, **body: Any) -> JSON:
        request = Request(f"{self.url}/control", json.dumps(body).encode(), method="POST")
        with urlopen(request) as response:
            answer: JSON = json.load(response)
            return answer

    def user(self, **claims: Any) -> None:
        """Change claims of the user who is logged in there."""
        self.control(user=claims)

    def lie(self, **lies: Any) -> None:
        """Replace all lies."""
        self.control(lies=lies)

    def requests(self, path: str) -> int:
        """How often a path was requested."""
        count: int = self.control()["requests"].get(path, 0)
        return count

    def logout_token(self, **claims: Any) -> str:
        token: str = self.control(logout=claims)["token"]
        return token


@contextmanager
def run_provider() -> Iterator[str]:
    """The URL of a process of providers, stopped afterwards."""
    command = [sys.executable, "-m", "tests.oidc.provider"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


if __name__ == "__main__":
    # In the stack: a port, and the file of a certificate, since production requires HTTPS.
    port, *certificate = sys.argv[1:] or ["0"]
    server = ThreadingHTTPServer(("0.0.0.0" if certificate else "127.0.0.1", int(port)), Handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    Handler.origin = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    print(Handler.origin, flush=True)
    server.serve_forever()
