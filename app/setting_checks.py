"""Checks of settings. A check returns what is wrong with a value, or None.

The value itself is never in the text: it may be, or contain, a secret.
"""

import os
import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import psycopg
from limits import parse_many
from psycopg import pq
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.host_names import trusted_name
from app.server.settings import Check, address, between

__all__ = ["Check", "address", "between"]

INSTANCE = Path(__file__).resolve().parent.parent / "instance"  # created where it is missing
# Options of PostgreSQL's client that name a file, which it reads when it connects.
_FILES_OF_POSTGRESQL = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_LABEL = "[a-z0-9_-]+"
_ORIGIN = re.compile(rf"https?://({_LABEL}(\.{_LABEL})*|\[[0-9a-f:]+\])(:[1-9][0-9]{{0,4}})?")


def one_of(*names: str) -> Check:
    """Return the check of a name."""
    return lambda text: None if text in names else f"is one of {', '.join(names)}"


def secret(text: str) -> str | None:
    """Check the length of a key."""
    return "has fewer than 32 characters" if text and len(text) < 32 else None


def url(form: str, *schemes: str, path: str = "/?") -> Check:
    """Return the check of a URL without query and fragment, or of an empty text.

    Args:
        form: the message, which begins with `is`.
        path: a regular expression.
    """

    def check(text: str) -> str | None:
        if not text:
            return None
        # The libraries that use it know schemes in small letters only.
        if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            return form
        if (parts := _split(text)) is None or not parts.hostname:
            return form
        plain = re.fullmatch(path, parts.path) and not re.search(r"[?#\s]", text)
        return None if plain else form

    return check


public_url = url("is not a URL such as https://app.example.com", "http", "https", path=r"[^\\]*")
collector_url = url("is a URL such as http://collector:4318", "http", "https", path=r"[^\\]*")


def _split(text: str) -> SplitResult | None:
    """Return the parts of a URL, or None if it is ambiguous or invalid."""
    try:
        parts = urlsplit(text)
        credentials, _, _ = parts.netloc.rpartition("@")
        # Unless they are percent-encoded, characters of a password end the authority early.
        if text.count("@") != bool(credentials) or re.search("%(?![0-9A-Fa-f]{2})", credentials):
            return None
        host = parts.hostname or ""
        host.encode("idna")
        if ":" in host or re.fullmatch(r"[0-9.]+", host):
            ip_address(host)
        return parts if parts.port != 0 else None
    except ValueError:  # the port, the address or a label of the host
        return None


def database_url(text: str) -> str | None:
    """Check the URL of a database, the options in it, and the folder of an SQLite file."""
    form = "is sqlite:///path or postgresql://user:password@host:port/name"
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        return form
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        path = parsed.database or ":memory:"
        if ":memory:" in path:
            return f"{form}; a database in memory has no tables"
        if "?" in text:
            return f"{form}; SQLite takes no options, and ? in a path is %3F"
        return _writable_file(INSTANCE / path)  # a relative path begins there
    if parsed.drivername not in ("postgresql", "postgresql+psycopg"):
        return form
    if _split(text) is None:
        return f"{form}; @ % / ? # in a password are %40 %25 %2F %3F %23"
    return _options_of_postgresql(text)


def _options_of_postgresql(text: str) -> str | None:
    query = make_url(text).query
    if query.keys() & {"password", "passfile", "options", "client_encoding"}:
        return "has its password before the host, and options of a session belong to the role"
    for name in _FILES_OF_POSTGRESQL:
        file = query.get(name, "system")  # the certificates of the system
        if file != "system" and readable_file(str(file)):
            return f"has no {name} that is the path of a file that can be read"
    try:
        _, options = make_url(text).get_dialect()().create_connect_args(make_url(text))
        here = {"host": "127.0.0.1", "hostaddr": "127.0.0.1", "port": 1}
        if _begins_to_connect(**{**options, **here}) or not _begins_to_connect(**here):
            return None
    except (psycopg.Error, TypeError, ValueError):
        pass
    return "has an option, or a value of one, that PostgreSQL's client does not know"


def _begins_to_connect(**options: Any) -> bool:
    """Whether PostgreSQL's client accepts the options: it checks them before it sends anything."""
    connection = pq.PGconn.connect_start(make_conninfo(**options).encode())
    try:
        return connection.status != pq.ConnStatus.BAD
    finally:
        connection.finish()


def rate_limit(text: str) -> str | None:
    """Check a limit; flask-limiter logs one that it cannot parse, and limits nothing."""
    try:
        if re.search(r"\b0+\b", text):
            raise ValueError
        for item in parse_many(text):
            # Redis counts in 64 bits, and a window must end.
            if item.amount > 10**9 or item.get_expiry() > 10 * 366 * 86_400:
                raise ValueError
    except (ValueError, OverflowError):
        return 'is not a limit such as "10 per minute"'
    return None


def smtp_url(text: str) -> str | None:
    """Check the URL of a mail server; its protocol sends credentials as ASCII."""
    form = "is smtp://host:port, or smtps or smtp+starttls://user:password@host:port"
    if reason := url(form, "smtp", "smtps", "smtp+starttls")(text):
        return reason
    return None if text.isascii() else f"{form}, in ASCII"


def mail_address(text: str) -> str | None:
    """Check an address without a name."""
    domain = r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*"
    try:
        parsed = Address(addr_spec=text)
    except (HeaderParseError, ValueError, IndexError):
        return "is not an e-mail address"
    plain = re.fullmatch(r'[^@\s<>,;:"()\[\]\\]+', parsed.username)
    return None if plain and re.fullmatch(domain, parsed.domain) else "is not an e-mail address"


def origins(values: tuple[str, ...]) -> str | None:
    """Check the origins of browsers: * by itself, or each as browsers send it."""
    if "*" in values:
        return "is either * or names its origins" if len(values) > 1 else None
    if all(map(_is_origin, values)):
        return None
    return "are origins such as https://app.example.com or http://[::1]:3000"


def _is_origin(text: str) -> bool:
    """Whether a browser sends this origin (RFC 6454 section 6.2): the only form that can match."""
    if not _ORIGIN.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        host, port = str(parts.hostname), parts.port
        is_address = ":" in host or host.rpartition(".")[2].isdigit()
        if is_address and str(ip_address(host)) != host:
            return False
    except ValueError:  # no such port or address
        return False
    return port != {"http": 80, "https": 443}[parts.scheme]


def hosts(values: tuple[str, ...]) -> str | None:
    """Check names of hosts; a leading dot includes subdomains."""
    if all(map(trusted_name, values)):
        return None
    return "are names such as app.example.com or .example.com"


def optional(check: Check) -> Check:
    """Return the check that also accepts an empty text."""
    return lambda text: check(text) if text else None


def readable_file(text: str) -> str | None:
    """Check that a file can be read; its content is checked where it is used."""
    try:
        with Path(text).open("rb"):
            return None
    except (OSError, ValueError):
        return "is not the path of a file that can be read"


def writable_folder(text: str, *, creates: bool = True) -> str | None:
    """Check that files can be written to a folder, which may be created."""
    folder = Path(text)
    try:
        while creates and not _exists(folder) and folder != folder.parent:
            folder = folder.parent
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return None
    except OSError:  # a name that is too long
        pass
    return "is below no folder that the service may write to"


def _exists(path: Path) -> bool:
    """Whether a path exists; raises an OSError for one that cannot, as Python 3.14 does not."""
    try:
        path.stat()
    except (FileNotFoundError, ValueError):  # the second for a null character
        return False
    return True


def _writable_file(path: Path) -> str | None:
    """Check that a file can be written, or created in its folder."""
    try:
        if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
            return "is not the path of a file that the service may write to"
    except OSError:  # a name that is too long
        pass
    return writable_folder(str(path.parent), creates=path.parent == INSTANCE)


def printable(text: str) -> str | None:
    """Check that a text has no control characters, which would forge lines and header fields."""
    return None if text.isprintable() else "has a line break or another control character"


def trimmed(value: object) -> str | None:
    """Check that a text has no space around it, with which it would equal no other."""
    text = str(value)
    return "has white space at its beginning or end" if text != text.strip() else None


def mask(text: str) -> str:
    """Return a URL with its credentials replaced; other texts are unchanged."""
    return re.sub(r"(://)(?:([^:@/]*):)?[^@/]*@", lambda m: f"{m[1]}{m[2] or ''}:***@", text)
