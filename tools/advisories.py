"""Check the versions of a lock with the package index, when pip-audit gets no answer.

pip-audit needs a document for each version, which mirrors of the index seldom have. Most have one
for each project, with the withdrawn releases and the known vulnerabilities of the newest release.
So the newest versions are checked completely; older ones only for withdrawal, and they are listed.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
from packaging.utils import canonicalize_version
from pip._internal.models.index import PyPI  # the only source of pip's default index

JSON = dict[str, Any]


def index() -> str:
    """The URL of the JSON API of the index that pip is configured to use."""
    pip = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(pip, capture_output=True, text=True).stdout.strip()
    simple = os.environ.get("PIP_INDEX_URL") or configured or PyPI.simple_url
    return simple.rstrip("/").removesuffix("/simple") + "/pypi"


def flaws(project: JSON | None, version: str) -> list[str]:
    """The reasons to reject a version; `project` is None if the index does not have it."""
    releases = project["releases"] if project else {}
    files = next((files for name, files in releases.items() if same(name, version)), [])
    if not files:
        return ["is no longer in the index"]
    withdrawn = [file["yanked_reason"] or "no reason given" for file in files if file["yanked"]]
    found = [f"was withdrawn: {reason}" for reason in withdrawn[:1]]
    if not is_newest(project, version):
        return found
    for known in project["vulnerabilities"]:
        if not known["withdrawn"]:
            found.append(f"has {known['id']}, fixed in {known['fixed_in'] or 'no release'}")
    return found


def is_newest(project: JSON, version: str) -> bool:
    """Whether this is the newest version, the one whose vulnerabilities the index lists."""
    return same(project["info"]["version"], version)


def same(one: str, other: str) -> bool:
    """Whether two spellings mean the same version: 2026.01 and 2026.1."""
    return canonicalize_version(one) == canonicalize_version(other)


def main() -> None:
    """Check the lock that the first argument names; exit with 0, 1 (flaws) or 2 (no index)."""
    pins = re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", Path(sys.argv[1]).read_text())
    api, session = index(), requests.Session()

    def ask(pin: tuple[str, str]) -> JSON | None:
        answer = session.get(f"{api}/{pin[0]}/json", timeout=30)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    try:
        with ThreadPoolExecutor(8) as pool:
            projects = list(pool.map(ask, pins))
    except (requests.RequestException, ValueError) as error:
        sys.exit(not_checked(type(error).__name__))
    if not any(projects):
        sys.exit(not_checked("it has no JSON API"))
    found = [
        f"{name} {version} {flaw}"
        for (name, version), project in zip(pins, projects, strict=True)
        for flaw in flaws(project, version)
    ]
    if found:
        sys.exit("\n".join(found))
    older = [
        f"{name} {version}"
        for (name, version), project in zip(pins, projects, strict=True)
        if not is_newest(project, version)
    ]
    newest = len(pins) - len(older)
    print(f"none of {len(pins)} versions was withdrawn, no flaw is known of the {newest} newest,")
    print("vulnerabilities not checked of", ", ".join(older) or "none")


def not_checked(reason: str) -> int:
    """Print that the index did not answer, without its URL, which may contain a password."""
    print("the index could not be asked:", reason)
    return 2


if __name__ == "__main__":
    main()
