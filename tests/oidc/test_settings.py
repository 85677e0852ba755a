"""Each setting of a provider refuses what cannot work, in one line without the value."""

import pytest

from app.config import ConfigError
from app.oidc.settings import read_providers

GOOD = {
    "OIDC_PROVIDERS": "corp",
    "OIDC_CORP_ISSUER": "https://login.example.com/realm",
    "OIDC_CORP_CLIENT_ID": "service",
    "OIDC_CORP_CLIENT_SECRET": "a secret",
}
BAD = {
    "OIDC_PROVIDERS": [
        "Corp", "corp,corp", "corp hidden", "1corp", "corp_hidden", "corp;hidden", "../hidden", "é",
        "corp\n", "a" * 31, ",".join(f"p{n}" for n in range(21)),
    ],
    "OIDC_CORP_ISSUER": [
        "", "hidden", "login.hidden.com", "ftp://hidden", "HTTPS://hidden", "https://", "https:///hidden",
        "https://hidden?a=b", "https://hidden#a", "https://u:hidden@a", "https://hidden:0", "http://hidden",
        "https://hidden:port", "https://hidden ", "https://hid den", "https://hidden\n", "http://10.0.0.1",
        "http://localhost.hidden", "http://127.0.0.1.hidden", "https://hidden\\a",
        "https://é.hidden", "http://localhost", "javascript:hidden",
    ],
    "OIDC_CORP_CLIENT_ID": ["", " hidden", "hidden\n", "hidden\0", "é"],
    "OIDC_CORP_CLIENT_SECRET": [" hidden", "hidden ", "hidden\n", "\x1b[0m", "é"],
}  # fmt: skip


def refusal(environ: dict[str, str], *, production: bool = False) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read_providers(environ, production=production)
    return str(refused.value).splitlines()[1:]


@pytest.mark.parametrize("name", BAD)
def test_setting_refuses_bad_values_in_one_line(name: str, subtests: pytest.Subtests) -> None:
    for value in BAD[name]:
        with subtests.test(repr(value)):
            (reason,) = refusal(GOOD | {name: value})
            assert reason.startswith(f"  - {name} ")
            assert reason.isprintable()
            assert "hidden" not in reason


def test_all_bad_settings_are_listed() -> None:
    environ = {"OIDC_PROVIDERS": "corp,other", "OIDC_CORP_ISSUER": "https://a"}
    reasons = refusal(environ)
    names = [reason.split()[1] for reason in reasons]
    assert names == ["OIDC_CORP_CLIENT_ID", "OIDC_OTHER_ISSUER", "OIDC_OTHER_CLIENT_ID"]


def test_two_providers_cannot_have_one_issuer() -> None:
    other = {name.replace("CORP", "OTHER"): value for name, value in GOOD.items()}
    assert refusal({**other, **GOOD, "OIDC_PROVIDERS": "corp, other"})


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8080", "http://[::1]/realm"])
def test_loopback_issuers_are_for_development(issuer: str) -> None:
    environ = GOOD | {"OIDC_CORP_ISSUER": issuer}
    assert read_providers(environ, production=False)[0].issuer == issuer
    assert refusal(environ, production=True)


def test_secret_is_not_in_the_text_of_the_settings() -> None:
    (provider,) = read_providers(GOOD, production=True)
    assert provider.client_secret == "a secret"
    assert "a secret" not in repr(provider)
    assert read_providers({}, production=True) == []
