"""`.env` for Docker Compose: that of `.env.example` with fresh secrets, unless it exists."""

import os
import re
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def write_env_file(directory: Path = ROOT) -> bool:
    """Write `.env`, readable only by its owner; each "change-me" becomes a secret of its own.

    Returns:
        Whether it was written.
    """
    example = (directory / ".env.example").read_text()
    text = re.sub(r"(?m)^(\w+=)change-me$", lambda m: m[1] + secrets.token_urlsafe(48), example)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with open(os.open(directory / ".env", flags, 0o600), "w") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    if write_env_file():
        print("Wrote .env with fresh secrets")
