"""The settings of second factors are checked at the start; the owner is mailed about changes."""

from collections.abc import Mapping

import pytest

from app.config import ConfigError
from app.mfa.settings import read_settings
from tests.auth.mailing import Mailing
from tests.mail_server import Mailbox
from tests.mfa.authenticator import Members

URL = "https://app.example.com/"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"MFA_REQUIRED_ROLES": "admin,root"}, "MFA_REQUIRED_ROLES"),
        ({"MFA_REQUIRED_ROLES": "Admin"}, "MFA_REQUIRED_ROLES"),
        ({"PASSKEY_RP_ID": "192.0.2.1"}, "PASSKEY_RP_ID"),
        ({"PASSKEY_RP_ID": "https://example.com"}, "PASSKEY_RP_ID"),
        ({"PASSKEY_RP_ID": "example.com:443"}, "PASSKEY_RP_ID"),
        ({"PASSKEY_RP_ID": "evil.example"}, "PASSKEY_ORIGINS"),
        ({"PASSKEY_RP_ID": "pp.example.com"}, "PASSKEY_ORIGINS"),
        ({"PASSKEY_ORIGINS": "https://other.example"}, "PASSKEY_ORIGINS"),
        ({"PASSKEY_ORIGINS": "http://app.example.com"}, "PASSKEY_ORIGINS"),
        ({"PASSKEY_ORIGINS": "https://app.example.com/path"}, "PASSKEY_ORIGINS"),
        ({"PASSKEY_ORIGINS": "*"}, "PASSKEY_ORIGINS"),
        ({"PASSKEY_RP_ID": "\n"}, "PASSKEY_RP_ID"),
    ],
    ids=str,
)
def test_unsafe_setting_stops_the_start(environ: Mapping[str, str], name: str) -> None:
    with pytest.raises(ConfigError, match=f"- {name} "):
        read_settings(environ, URL)


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        (URL, {}, ("app.example.com", ("https://app.example.com",))),
        ("http://127.0.0.1:8000", {}, ("localhost", ("http://localhost:8000",))),
        ("https://192.0.2.1", {}, ("", ())),
        ("http://app.example.com", {}, ("", ())),
        (URL, {"PASSKEY_RP_ID": "example.com"}, ("example.com", ("https://app.example.com",))),
    ],
    ids=str,
)
def test_passkeys_are_by_default_those_of_the_public_url(
    url: str, environ: Mapping[str, str], expected: tuple[str, tuple[str, ...]]
) -> None:
    settings = read_settings(environ, url)
    assert (settings.rp_id, settings.origins) == expected


def test_required_roles_are_names_of_roles() -> None:
    settings = read_settings({"MFA_REQUIRED_ROLES": " admin, editor,"}, URL)
    assert settings.required_roles == {"admin", "editor"}


def test_v6_3_7_owner_is_mailed_about_each_change_of_factors(
    mailing: Mailing, mailbox: Mailbox
) -> None:
    members = Members(mailing.app)
    owner, admin = members.sign_up(), members.sign_up("admin")
    app = members.enrol(owner)
    code, *_ = members.codes(owner)
    members.finish(members.mfa_token(owner), code, status=200)
    members.delete(app.factor, by=owner, status=204)
    members.delete(f"users/{owner.id}/factors", by=admin, status=204)
    subjects = [str(message["Subject"]) for message in mailbox.messages]
    assert subjects == [
        "A new second factor",
        "New recovery codes",
        "A recovery code was used",
        "A second factor was removed",
        "Your second factors were reset",
    ]
    assert mailbox.recipients == [[f"<{owner.email}>"]] * 5
    assert not [code for message in mailbox.messages if code in message.get_content()]
