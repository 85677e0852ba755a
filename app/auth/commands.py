"""`flask signing-keys`: rotation of the keys that sign access tokens."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup

from app.auth.signing_keys import JWK, KEY_TYPES, derive, generate, parse, read_file, write_file
from app.config import ConfigError

HELP = """Rotate the keys that sign access tokens, in three steps without downtime.

generate, and reload the service; after five minutes, when copies of /.well-known/jwks.json have
expired: rotate, and reload; after ACCESS_TOKEN_MINUTES, when the last token of the old key has
expired: retire, and reload.
"""
signing_keys = AppGroup("signing-keys", help=HELP)
_file = click.option(
    "--file", metavar="PATH", help="The key file; by default the one that JWT_KEYS names."
)


@signing_keys.command("list")
@_file
def list_keys(file: str | None) -> None:
    """Show the keys; the first one signs."""
    _show(_read(_path(file)))


@signing_keys.command("generate")
@click.option("--algorithm", type=click.Choice(list(KEY_TYPES)), default="EdDSA", show_default=True)
@_file
def generate_key(algorithm: str, file: str | None) -> None:
    """Add a key, which does not sign yet.

    A new file begins with the key that is used without a file.
    """
    path = _path(file)
    is_new = not Path(path).exists()
    before = [derive(current_app.config["SECRET_KEY"])] if is_new else _read(path)
    _write(path, [*before, generate(algorithm)])


@signing_keys.command("rotate")
@click.argument("kid")
@_file
def rotate_keys(kid: str, file: str | None) -> None:
    """Sign with this key from now on; the others continue to verify."""
    path = _path(file)
    chosen, others = _split(_read(path), kid)
    _write(path, [chosen, *others])


@signing_keys.command("retire")
@click.argument("kid")
@_file
def retire_key(kid: str, file: str | None) -> None:
    """Remove a key: its tokens are rejected."""
    path = _path(file)
    before = _read(path)
    chosen, others = _split(before, kid)
    if chosen is before[0]:
        raise click.ClickException(
            f"{kid} signs; have another key do so first: flask signing-keys rotate."
        )
    _write(path, others)


def _path(file: str | None) -> str:
    path: str = file or current_app.config["JWT_KEYS"]
    if not path:
        raise click.ClickException("Name the file, with --file or JWT_KEYS.")
    return path


def _read(path: str) -> list[JWK]:
    try:
        jwks = read_file(path)
        parse(jwks)
    except ConfigError as error:
        raise click.ClickException(str(error).replace("\n  -", "")) from error
    return jwks


def _split(jwks: list[JWK], kid: str) -> tuple[JWK, list[JWK]]:
    for jwk in jwks:
        if jwk["kid"] == kid:
            return jwk, [other for other in jwks if other is not jwk]
    raise click.ClickException(f"There is no key {kid}.")


def _write(path: str, jwks: list[JWK]) -> None:
    write_file(path, jwks)
    _show(jwks)
    click.echo("Reload the service to have it use them.")


def _show(jwks: list[JWK]) -> None:
    for jwk in jwks:
        does = "signs and verifies" if jwk is jwks[0] else "verifies"
        click.echo(f"{jwk['kid']}  {jwk['alg']}  {does}")
