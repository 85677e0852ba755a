"""The keys of access tokens: changed without downtime, told as far as they are public."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask

from app.auth import signing_keys
from app.auth.jwks import MAX_AGE
from app.config import ConfigError, Settings
from tests.api import PASSWORD, Api, Caller, bearer
from tests.api import run_command as flask
from tests.conftest import MakeApp

JWK = dict[str, Any]
PUBLISHED = {
    "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "RFC 8037",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def kid_of(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


def log_in(api: Api, user: Caller) -> str:
    account = {"email": user.email, "password": PASSWORD}
    return api.post("auth/login", account, status=200).json["access_token"]


class TestRotation:
    def test_needs_no_downtime(self, make_app: MakeApp, user: Caller, file: Path) -> None:
        """Each step is one command and a reload; both before and after it, everything is served."""

        def step(*arguments: str) -> Api:
            flask(now.app, "signing-keys", *arguments, "--file", str(file))
            return Api(make_app(jwt_keys=str(file)))

        def verifies(api: Api, token: str, status: int = 200) -> None:
            api.get("users/me", headers=bearer(token), status=status)

        now = Api(make_app(jwt_keys=""))
        first = log_in(now, user)

        now = step("generate")
        assert kid_of(log_in(now, user)) == kid_of(first)
        verifies(now, first)
        [_, added] = json.loads(file.read_text())["keys"]

        before, now = now, step("rotate", added["kid"])
        second = log_in(now, user)
        assert kid_of(second) == added["kid"]
        for api in (before, now):  # whoever was not reloaded yet knows the new key already
            verifies(api, first)
            verifies(api, second)

        now = step("retire", kid_of(first))
        verifies(now, first, status=401)
        verifies(now, second)

    @pytest.mark.parametrize("algorithm", signing_keys.KEY_TYPES)
    def test_may_go_to_any_algorithm(
        self, make_app: MakeApp, user: Caller, file: Path, algorithm: str
    ) -> None:
        signing_keys.write_file(str(file), [signing_keys.generate(algorithm)])
        api = Api(make_app(jwt_keys=str(file)))

        token = log_in(api, user)
        assert jwt.get_unverified_header(token)["alg"] == algorithm
        api.get("users/me", headers=bearer(token), status=200)


class TestJwks:
    def test_tells_the_public_halves_and_nothing_else(self, api: Api, app: Flask) -> None:
        answer = api.get("/.well-known/jwks.json", status=200)

        assert answer.content_type == "application/jwk-set+json"
        told = {key["alg"]: key for key in answer.json["keys"]}
        assert told["EdDSA"].keys() == {"kty", "crv", "x", "kid", "alg", "use"}
        assert told["ES256"].keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
        assert told.keys() == {"EdDSA", "ES256"}
        for private in json.loads(Path(app.config["JWT_KEYS"]).read_text())["keys"]:
            assert private.get("d", private.get("k")) not in answer.text

    def test_may_be_kept(self, api: Api) -> None:
        answer = api.get("/.well-known/jwks.json", status=200)
        assert answer.headers["Cache-Control"] == f"public, max-age={MAX_AGE}"

        tag = {"If-None-Match": answer.headers["ETag"]}
        api.get("/.well-known/jwks.json", headers=tag, status=304)

    def test_is_not_there_where_no_key_is_public(self, make_app: MakeApp, file: Path) -> None:
        signing_keys.write_file(str(file), [signing_keys.generate("HS256")])
        for name in ("", str(file)):
            answer = Api(make_app(jwt_keys=name)).get("/.well-known/jwks.json", status=404)
            assert answer.json["type"] == "/problems/not-found"

    @pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
    def test_lets_others_verify_what_was_signed(
        self, make_app: MakeApp, user: Caller, file: Path, algorithm: str
    ) -> None:
        signing_keys.write_file(str(file), [signing_keys.generate(algorithm)])
        api = Api(make_app(jwt_keys=str(file)))
        token = log_in(api, user)

        told = jwt.PyJWKSet(api.get("/.well-known/jwks.json", status=200).json["keys"])
        audience = api.app.config["TOKEN_AUDIENCE"]
        claims = jwt.decode(token, told[kid_of(token)], audience=audience)
        assert claims["sub"] == str(user.id)


def changed(algorithm: str, **members: Any) -> JWK:
    return {k: v for k, v in (signing_keys.generate(algorithm) | members).items() if v is not ...}


class TestAKeyFile:
    def refusal(self, file: Path | str) -> str:
        with pytest.raises(ConfigError) as refused:
            signing_keys.load_keys(Settings(jwt_keys=str(file)))
        return str(refused.value)

    @pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620, 0o644, 0o777], ids=oct)
    def test_open_to_others_is_refused(self, file: Path, mode: int) -> None:
        signing_keys.write_file(str(file), [signing_keys.generate("EdDSA")])
        file.chmod(mode)

        assert "is open to others; run chmod 600" in self.refusal(file)

    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640], ids=oct)
    def test_for_the_service_and_its_group_is_taken(self, file: Path, mode: int) -> None:
        signing_keys.write_file(str(file), [signing_keys.generate("EdDSA")])
        file.chmod(mode)

        assert len(signing_keys.load_keys(Settings(jwt_keys=str(file)))) == 1

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (None, "No such file"),
            ("", "is no JWK Set"),
            ("{}", "is no JWK Set"),
            ("[]", "is no JWK Set"),
            ('{"keys": []}', "is no JWK Set"),
            ('{"keys": {"kty": "oct"}}', "is no JWK Set"),
            ('{"keys": ["a"]}', "is no JWK Set"),
        ],
    )
    def test_that_is_none_is_refused(self, file: Path, text: str | None, reason: str) -> None:
        if text is not None:
            file.write_text(text)
            file.chmod(0o600)

        assert reason in self.refusal(file)

    @pytest.mark.parametrize(
        ("jwk", "reason"),
        [
            (changed("EdDSA", kid=...), "has no kid"),
            (changed("EdDSA", kid=""), "has no kid"),
            (changed("EdDSA", kid=7), "has no kid"),
            (changed("EdDSA", alg=...), "is not for one of HS256, EdDSA, ES256"),
            (changed("HS256", alg="none"), "is not for one of"),
            (changed("HS256", alg="HS512"), "is not for one of"),
            (changed("ES256", alg="HS256"), "is not of the kind that HS256 uses"),
            (changed("HS256", alg="ES256"), "is not of the kind that ES256 uses"),
            (changed("ES256", crv="P-384"), "is not of the kind that ES256 uses"),
            (changed("EdDSA", crv="Ed448"), "is not of the kind that EdDSA uses"),
            (changed("EdDSA", d=...), "has no private half"),
            (changed("HS256", k=""), "has no private half"),
            (changed("EdDSA", d="AAAA"), "is damaged"),
            (changed("EdDSA", x=signing_keys.generate("EdDSA")["x"]), "is damaged"),
            (changed("ES256", d=signing_keys.generate("ES256")["d"]), "is damaged"),
            (changed("HS256", k="c2VjcmV0"), "is weaker than 32 random bytes"),
            (changed("HS256", k="A" * 86), "is weaker than 32 random bytes"),
            (PUBLISHED, "is an example that was published"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_with_a_key_that_is_not_safe_is_refused(
        self, file: Path, jwk: JWK, reason: str
    ) -> None:
        signing_keys.write_file(str(file), [signing_keys.generate("EdDSA"), jwk])

        refusal = self.refusal(file)
        assert f"JWT_KEYS: key 2 {reason}" in refusal
        for secret in (jwk.get("k"), jwk.get("d")):
            assert not secret or secret not in refusal

    def test_with_one_name_for_two_keys_is_refused(self, file: Path) -> None:
        signing_keys.write_file(str(file), [changed("EdDSA", kid="a"), changed("HS256", kid="a")])

        assert "two keys have the same kid" in self.refusal(file)

    def test_that_is_refused_stops_the_start(self, make_app: MakeApp, file: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            make_app(jwt_keys=str(file))


class TestTheCommands:
    @pytest.fixture
    def run(self, app: Flask, file: Path) -> Callable[..., list[str]]:
        """Run one on the file; the lines that it printed."""

        def run(*arguments: str, **kwargs: Any) -> list[str]:
            arguments = ("signing-keys", *arguments, "--file", str(file))
            return flask(app, *arguments, **kwargs).output.splitlines()

        return run

    def test_begin_with_the_key_that_signs_without_a_file(
        self, run: Callable[..., list[str]], app: Flask, file: Path
    ) -> None:
        first, second, advice = run("generate")

        assert (
            first
            == f"{signing_keys.derive(app.config['SECRET_KEY'])['kid']}  HS256  signs and verifies"
        )
        assert second.endswith("  EdDSA  verifies")
        assert advice == "Reload the service to have it use them."
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert run("list") == [first, second]

    def test_show_no_secret(self, run: Callable[..., list[str]], file: Path) -> None:
        printed = "".join(run("generate") + run("generate", "--algorithm", "ES256") + run("list"))

        for jwk in json.loads(file.read_text())["keys"]:
            assert jwk.get("d", jwk.get("k")) not in printed

    def test_keep_the_mode_of_the_file(self, run: Callable[..., list[str]], file: Path) -> None:
        run("generate")
        file.chmod(0o640)
        run("generate")

        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        assert [path.name for path in file.parent.iterdir()] == [file.name]

    def test_do_not_retire_the_key_that_signs(
        self, run: Callable[..., list[str]], file: Path
    ) -> None:
        signs = run("generate")[0].split()[0]

        assert "have another key do so first" in run("retire", signs, fails=True)[-1]
        assert len(run("list")) == 2

    @pytest.mark.parametrize("command", ["rotate", "retire"])
    def test_know_only_keys_that_are_there(
        self, run: Callable[..., list[str]], command: str
    ) -> None:
        run("generate")
        assert run(command, "nobody", fails=True) == ["Error: There is no key nobody."]

    def test_refuse_a_file_that_the_service_would_refuse(
        self, run: Callable[..., list[str]], file: Path
    ) -> None:
        file.write_text("{}")
        file.chmod(0o600)
        assert "is no JWK Set" in run("list", fails=True)[-1]

    def test_work_on_the_file_of_the_service(self, app: Flask, make_app: MakeApp) -> None:
        assert len(flask(app, "signing-keys", "list").output.splitlines()) == len(
            signing_keys.KEY_TYPES
        )

        refused = flask(make_app(jwt_keys=""), "signing-keys", "list", fails=True)
        assert refused.output == "Error: Name the file, with --file or JWT_KEYS.\n"
