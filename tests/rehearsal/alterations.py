"""What the clone of a rehearsal changes, as a real clone would."""

from pathlib import Path
from typing import NamedTuple

from tests.rehearsal.commands import flask, git, python

RESOURCE = ("invoices", "number:string", "total:money", "due_on:date")


class Edit(NamedTuple):
    """Lines that a clone puts before others, or text in place of other text."""

    path: str
    old: str
    new: str


def before(path: str, line: str, added: str) -> Edit:
    """An edit that adds lines before the first occurrence of a text."""
    return Edit(path, line, f"{added}\n{line}")


SETTING = "    greeting: str = setting('Hello')  # of this service".replace("'", '"')
COLUMN = "    nickname: Mapped[str | None] = mapped_column(Text)"
EDITS = (
    # A setting, with its line in the example and its bad values.
    before("app/config.py", '    rate_limit: str = setting("', SETTING),
    before(".env.example", "# DEBUG, INFO, WARNING", "# The greeting.\n#GREETING=Hello"),
    before("tests/test_bad_settings.py", '    "token_issuer": TEXT,', '    "greeting": TEXT,'),
    # A role, and a column of users.
    Edit("app/users/roles.py", '"editor", "admin")', '"editor", "manager", "admin")'),
    Edit(
        "app/users/models.py",
        "role IN ('user', 'editor', 'admin')\", name=\"role\"",
        "role IN ('user', 'editor', 'manager', 'admin')\", name=\"known_role\"",
    ),
    before("app/users/models.py", "    is_active: Mapped", COLUMN),
    # A patched function of the core.
    before(
        "app/core/mail.py",
        '    message["Date"]',
        '    message["Organization"] = sender  # of the shop',
    ),
)


def alter(clone: Path, database: str) -> None:
    """Add a resource, edit upstream's files and migrate a column; commit."""
    flask(clone, "new", "resource", *RESOURCE)
    for edit in EDITS:
        apply(clone, edit)
    python(clone, "-m", "ruff", "format", "--quiet")
    git(clone, "add", "-A")
    flask(clone, "db", "upgrade", DATABASE_URL=database)
    options = ("--autogenerate", "--head", f"{RESOURCE[0]}@head", "-m", "Nicknames and managers")
    flask(clone, "db", "revision", *options, DATABASE_URL=database)
    (clone / "openapi.json").write_text(flask(clone, "openapi"))
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Invoices")


def apply(clone: Path, edit: Edit) -> None:
    """Apply an edit.

    Raises:
        ValueError: its text is not in the file.
    """
    text = (clone / edit.path).read_text()
    if edit.old not in text:
        raise ValueError(f"{edit.path} has no {edit.old!r}")
    (clone / edit.path).write_text(text.replace(edit.old, edit.new, 1))
