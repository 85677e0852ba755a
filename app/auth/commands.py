"""`flask signing-keys`: rotation of the keys that sign access tokens; `flask users set-email`."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup

from app.auth import email_change
from app.auth.email_tokens import VERIFY, request_token_email
from app.auth.signing_keys import JWK, KEY_TYPES, derive, generate, parse, read_file, write_file
from app.config import ConfigError
from app.core.web.problems import Problem
from app.extensions import db
from app.users.commands import find_user, normalised_email, users

HELP = """Rotate the keys that sign access tokens, without downtime.

Run generate and reload the service. After five minutes, when cached copies of
/.well-known/jwks.json have expired, run rotate and reload. After ACCESS_TOKEN_MINUTES, when the
last token of the old key has expired, run retire and reload.
"""
signing_keys = AppGroup("signing-keys", help=HELP)
_file_option = click.option(
    "--file", metavar="PATH", help="Path of the key file.  [default: the setting JWT_KEYS]"
)


@signing_keys.command("list")
@_file_option
def list_keys(file: str | None) -> None:
    """List the keys; the first one signs."""
    _print_keys(_read_keys(_key_file(file)))


@signing_keys.command("generate")
@click.option("--algorithm", type=click.Choice(list(KEY_TYPES)), default="EdDSA", show_default=True)
@_file_option
def generate_key(algorithm: str, file: str | None) -> None:
    """Add a key, which verifies but does not sign yet.

    The first key of a new file is the one that is in use without a file.
    """
    path = _key_file(file)
    is_new = not Path(path).exists()
    before = [derive(current_app.config["SECRET_KEY"])] if is_new else _read_keys(path)
    _write_and_print(path, [*before, generate(algorithm)])


@signing_keys.command("rotate")
@click.argument("kid")
@_file_option
def rotate_keys(kid: str, file: str | None) -> None:
    """Sign with this key; the others continue to verify."""
    path = _key_file(file)
    chosen, others = _select_key(_read_keys(path), kid)
    _write_and_print(path, [chosen, *others])


@signing_keys.command("retire")
@click.argument("kid")
@_file_option
def retire_key(kid: str, file: str | None) -> None:
    """Remove a key: its tokens are rejected."""
    path = _key_file(file)
    before = _read_keys(path)
    chosen, others = _select_key(before, kid)
    if chosen is before[0]:
        raise click.ClickException(
            f"{kid} is the signing key; first select another: flask signing-keys rotate KID"
        )
    _write_and_print(path, others)


def _key_file(file: str | None) -> str:
    path: str = file or current_app.config["JWT_KEYS"]
    if not path:
        raise click.ClickException("No key file: use --file, or set JWT_KEYS.")
    return path


def _read_keys(path: str) -> list[JWK]:
    try:
        jwks = read_file(path)
        parse(jwks)
    except ConfigError as error:
        raise click.ClickException(str(error).replace("\n  -", "")) from error
    return jwks


def _select_key(jwks: list[JWK], kid: str) -> tuple[JWK, list[JWK]]:
    for jwk in jwks:
        if jwk["kid"] == kid:
            return jwk, [other for other in jwks if other is not jwk]
    raise click.ClickException(f"There is no key {kid}.")


def _write_and_print(path: str, jwks: list[JWK]) -> None:
    write_file(path, jwks)
    _print_keys(jwks)
    click.echo("Reload the service to apply the change.")


def _print_keys(jwks: list[JWK]) -> None:
    for jwk in jwks:
        usage = "signs and verifies" if jwk is jwks[0] else "verifies"
        click.echo(f"{jwk['kid']}  {jwk['alg']}  {usage}")


@users.command("set-email")
@click.argument("email")
@click.argument("new_email")
def set_email(email: str, new_email: str) -> None:
    """Change the e-mail address of a user who has lost the old mailbox.

    All sessions and API keys are revoked, and the new address has to be verified.
    """
    user = find_user(normalised_email(email), lock=True)
    if user is None:
        raise click.ClickException(f"{email} is not registered.")
    new_email = normalised_email(new_email)
    try:
        email_change.set_email(user, new_email, is_verified=False)
    except Problem as problem:
        raise click.ClickException(str(problem.description)) from problem
    request_token_email(VERIFY, id=user.id)
    db.session.commit()
    click.echo(f"{email} has the address {new_email}; a mail to verify it is sent.")
