"""Providers, browsers and clients that lie: ID tokens, metadata, responses, flows."""

import time
from typing import Any

import pytest

from app.auth.models import Session
from app.oidc import flows
from app.oidc.models import Identity
from app.users.models import User
from tests import rows
from tests.oidc.client import CALLBACK, LOOPBACK, Client, authorize, below_origin, query_of
from tests.oidc.provider import CLIENT_ID, Provider

NOW = time.time()

ID_TOKENS: dict[str, dict[str, Any]] = {
    "V10.5.4 another audience": {"claims": {"aud": "another"}},
    "V10.5.4 a second audience": {"claims": {"aud": [CLIENT_ID, "another"]}},
    "V10.5.4 no audience": {"claims": {"aud": None}},
    "V10.5.4 an empty audience": {"claims": {"aud": []}},
    "V10.5.4 another authorized party": {"claims": {"azp": "another"}},
    "V10.5.3 another issuer": {"claims": {"iss": "https://another.example.com"}},
    "V10.5.3 no issuer": {"claims": {"iss": None}},
    "V10.5.3 a number as issuer": {"claims": {"iss": 1}},
    "V10.5.1 another nonce": {"claims": {"nonce": "another"}},
    "V10.5.1 no nonce": {"claims": {"nonce": None}},
    "V10.5.1 a number as nonce": {"claims": {"nonce": 1}},
    "V10.5.2 no subject": {"claims": {"sub": None}},
    "V10.5.2 an empty subject": {"claims": {"sub": ""}},
    "V10.5.2 a number as subject": {"claims": {"sub": 1}},
    "V10.5.2 a long subject": {"claims": {"sub": "x" * 256}},
    "V10.5.2 U+0000 in the subject": {"claims": {"sub": "a\0b"}},
    "V9.2.1 expired": {"claims": {"exp": NOW - 60}},
    "V9.2.1 no expiry": {"claims": {"exp": None}},
    "V9.2.1 a text as expiry": {"claims": {"exp": "9999999999"}},
    "V9.2.1 an expiry that is no number": {"claims": {"exp": float("nan")}},
    "V9.2.1 not valid yet": {"claims": {"nbf": NOW + 86_400}},
    "V9.2.1 issued in the future": {"claims": {"iat": NOW + 86_400}},
    "V9.2.1 no time of issue": {"claims": {"iat": None}},
    "V9.1.1 signed by another key": {"alg": "another key"},
    "V9.1.1 signed by an unknown key": {"alg": "unknown kid"},
    "V9.1.2 not signed": {"alg": "none"},
    "V9.1.2 signed with the public key as a secret": {"alg": "HS256"},
    "V9.1.2 another algorithm in the header": {"header": {"alg": "PS256"}},
    "V9.1.3 an unknown critical header": {"header": {"crit": ["x"], "x": 1}},
    "V10.1.2 the hash of another access token": {"claims": {"at_hash": "AAAA"}},
    "V10.1.2 no ID token": {"tokens": {"id_token": None}},
    "V10.1.2 a number as ID token": {"tokens": {"id_token": 1}},
    "V10.1.2 an object as ID token": {"tokens": {"id_token": {}}},
    "V10.1.2 no JWT": {"tokens": {"id_token": "a.b.c"}},
    "V10.1.2 an encrypted token": {"tokens": {"id_token": "e30.e30.e30.e30.e30"}},
    "V10.1.2 no ASCII": {"tokens": {"id_token": "é.\ud83d\ude00.x"}},
    "V10.5.2 user info about another user": {
        "claims": {"email": None},
        "userinfo": {"sub": "another", "email": "ada@example.com", "email_verified": True},
    },
}  # fmt: skip


def count_all(client: Client) -> int:
    """How many users, identities and sessions there are."""
    return sum(rows.count(client.app, model) for model in (User, Identity, Session))


def test_v10_5_id_tokens_that_lie_are_refused_and_leave_nothing(
    client: Client, provider: Provider, subtests: pytest.Subtests
) -> None:
    for name, lies in ID_TOKENS.items():
        with subtests.test(name):
            provider.lie(**lies)
            client.log_in(status=401)
            assert count_all(client) == 0
    provider.lie()
    client.log_in(status=200)


METADATA: dict[str, tuple[dict[str, Any], int]] = {
    "V10.5.3 another issuer": ({"issuer": "https://accounts.example.com"}, 502),
    "V10.5.3 no issuer": ({"issuer": None}, 502),
    "V10.5.3 the issuer with a slash": ({"issuer": "/"}, 502),
    "V12.2.1 http to another host": ({"authorization_endpoint": "http://example.com/"}, 502),
    "V1.2.2 a script as endpoint": ({"authorization_endpoint": "javascript:alert(1)"}, 502),
    "V1.2.2 no endpoint": ({"authorization_endpoint": None}, 502),
    "V1.2.2 an object as endpoint": ({"token_endpoint": {}}, 502),
    "V1.2.2 a file as keys": ({"jwks_uri": "file:///etc/passwd"}, 502),
    "V1.2.2 no URL": ({"userinfo_endpoint": "http://[::1"}, 502),
    "V9.1.2 a text as algorithms": ({"id_token_signing_alg_values_supported": "RS256"}, 502),
}


def test_v10_5_3_metadata_that_lies_is_refused(
    client: Client, provider: Provider, subtests: pytest.Subtests
) -> None:
    for name, (metadata, status) in METADATA.items():
        with subtests.test(name):
            provider.lie(metadata=metadata)
            client.forget()
            problem = client.start(status=status)
            assert problem.mimetype == "application/problem+json"


@pytest.mark.parametrize("lie", ["none", "HS256"])
def test_v9_1_2_metadata_cannot_allow_a_weak_algorithm(
    client: Client, provider: Provider, lie: str
) -> None:
    provider.lie(metadata={"id_token_signing_alg_values_supported": ["none", "HS256"]}, alg=lie)
    client.log_in(status=401)


RESPONSES: dict[str, dict[str, Any]] = {
    "V10.2.2 another issuer": {"iss": "https://another.example.com"},
    "V10.2.2 no issuer, although the provider sends it": {"iss": None},
    "V10.2.1 another state": {"state": "another"},
    "V10.2.1 an empty state": {"state": ""},
    "V10.2.1 no state": {"state": None},
    "V10.1.2 an error": {"code": None, "error": "access_denied"},
    "V10.1.2 an error with a code": {"error": "access_denied"},
    "V10.1.2 no code": {"code": None},
    "V10.1.2 an unknown code": {"code": "unknown"},
    "V10.1.2 a long code": {"code": "x" * 5000},
}


def test_v10_2_responses_that_lie_are_refused_in_a_browser(
    client: Client, provider: Provider, subtests: pytest.Subtests
) -> None:
    for name, response in RESPONSES.items():
        with subtests.test(name):
            provider.lie(response=response)
            browser = client.client()
            refused = browser.get(below_origin(client.browse(browser)))
            assert refused.status_code == 401, refused.text
            assert refused.mimetype == "application/problem+json"
            assert count_all(client) == 0


def test_v10_2_1_response_is_accepted_from_the_browser_that_started(client: Client) -> None:
    browser = client.client()
    target = below_origin(client.browse(browser))
    assert client.client().get(target).status_code == 401  # the victim of a forged login
    assert browser.get(target).status_code == 303


def test_v10_2_1_response_to_another_attempt_of_the_browser_is_refused(client: Client) -> None:
    browser = client.client()
    first = below_origin(client.browse(browser))
    client.browse(browser)
    assert browser.get(first).status_code == 401


def test_v10_2_2_response_at_the_address_of_another_provider_is_refused(client: Client) -> None:
    browser = client.client()
    target = below_origin(client.browse(browser)).replace("/honest/", "/another/")
    assert browser.get(target).status_code == 401
    assert count_all(client) == 0


def test_v10_2_2_code_of_one_provider_is_not_sent_to_another(
    client: Client, provider: Provider, another: Provider
) -> None:
    """The attacker's provider sends the browser on to the honest one, and wants its code."""
    attempt, honest = client.start("another", status=200), client.start(status=200)
    response = query_of(authorize(honest.json["authorization_url"]))
    state = query_of(attempt.json["authorization_url"])["state"]
    body = {"flow": attempt.json["flow"], **response, "state": state}
    client.finish(body, status=401)
    client.finish({k: v for k, v in body.items() if k != "iss"}, status=401)
    assert another.requests("token") == 0


def test_v10_1_2_repeated_parameters_are_refused(client: Client, subtests: Any) -> None:
    for name in ("code", "state", "iss"):
        with subtests.test(name):
            browser = client.client()
            target = below_origin(client.browse(browser))
            assert browser.get(f"{target}&{name}=x").status_code == 401


def test_v10_1_2_response_is_accepted_once_also_in_parallel(client: Client) -> None:
    body = client.response_to(client.start(status=200))
    answers = rows.in_parallel(*[lambda: client.finish(body)] * 5)
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]
    assert rows.count(client.app, Session) == 1


def test_v10_1_2_code_is_not_accepted_in_another_attempt(client: Client) -> None:
    body = client.response_to(client.start(status=200))
    stolen = body["code"]
    attempt = client.response_to(client.start(status=200), code=stolen)
    client.finish(attempt, status=401)  # the provider compares the PKCE challenge
    client.finish(body, status=401)  # and has ended the code


def test_v10_1_2_flows_that_were_not_started_here_are_refused(
    client: Client, subtests: pytest.Subtests
) -> None:
    started = client.start(status=200)
    body = client.response_to(started)
    flow = body["flow"]
    first = "A" if flow[0] != "A" else "B"
    for name, forged in {
        "changed": first + flow[1:],
        "cut": flow[:-1],
        "empty": ".",
        "odd": "é",
    }.items():
        with subtests.test(name):
            client.finish(body | {"flow": forged}, status=401)


def test_v10_1_2_flow_that_has_expired_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = client.response_to(client.start(status=200))
    monkeypatch.setattr(flows, "MAX_AGE", -1)
    client.finish(body, status=401)


def test_v10_1_2_browser_and_native_client_cannot_finish_flows_of_each_other(
    client: Client,
) -> None:
    browser = client.client()
    target = client.browse(browser)
    flow = browser.get_cookie("__Host-oidc_flow").value
    client.finish({"flow": flow, **query_of(target)}, status=401)
    body = client.response_to(client.start(status=200))
    browser.set_cookie("__Host-oidc_flow", body.pop("flow"))
    assert browser.get(CALLBACK, query_string=body).status_code == 401


def test_v10_2_3_request_has_the_required_parameters_and_no_others(
    client: Client, provider: Provider
) -> None:
    first, second = (client.start(status=200).json["authorization_url"] for _ in range(2))
    assert first.startswith(f"{provider.url}/authorize?")
    sent, other = query_of(first), query_of(second)
    random = {name: sent.pop(name) for name in ("state", "nonce", "code_challenge")}
    assert sent == {
        "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": LOOPBACK,
        "scope": "openid email profile", "code_challenge_method": "S256",
    }  # fmt: skip
    assert len({*random.values(), *(other[name] for name in random)}) == 6
    assert all(len(value) == 43 for value in random.values())


def test_v10_4_1_redirect_uri_of_browsers_does_not_depend_on_the_request(client: Client) -> None:
    browser = client.client()
    headers = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com"}
    response = browser.get("/api/v1/auth/oidc/honest/login", headers=headers)
    sent = query_of(response.headers["Location"])
    assert sent["redirect_uri"] == f"https://app.example.com{CALLBACK}"
