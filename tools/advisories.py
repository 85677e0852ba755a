"""Ask the package index about the versions of a lock, where pip-audit could not be answered.

pip-audit needs a document for each version, which mirrors of the index seldom have. They do have
one for each project: it tells which releases were withdrawn, and the known vulnerabilities of the
newest. So what is locked in its newest version is judged as pip-audit would; of older ones it is
known whether they were withdrawn, and they are named.
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
from pip._internal.models.index import PyPI  # the one place that knows pip's default

JSON = dict[str, Any]


def index() -> str:
    """The address of the JSON API beside the simple index that pip is configured to use."""
    pip = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(pip, capture_output=True, text=True).stdout.strip()
    simple = os.environ.get("PIP_INDEX_URL") or configured or PyPI.simple_url
    return simple.rstrip("/").removesuffix("/simple") + "/pypi"


def flaws(project: JSON | None, version: str) -> list[str]:
    """What speaks against a version; None is a project that the index does not have."""
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
    """Whether this is the version whose vulnerabilities the index tells."""
    return same(project["info"]["version"], version)


def same(one: str, other: str) -> bool:
    """Whether two ways of writing a version mean the same one: 2026.01 and 2026.1."""
    return canonicalize_version(one) == canonicalize_version(other)


def main() -> None:
    """Judge the lock that the first argument names: 0 nothing found, 1 flaws, 2 nobody to ask."""
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
        sys.exit(nobody(type(error).__name__))
    if not any(projects):
        sys.exit(nobody("it has no JSON API"))
    told = [
        f"{name} {version} {flaw}"
        for (name, version), project in zip(pins, projects, strict=True)
        for flaw in flaws(project, version)
    ]
    if told:
        sys.exit("\n".join(told))
    older = [
        f"{name} {version}"
        for (name, version), project in zip(pins, projects, strict=True)
        if not is_newest(project, version)
    ]
    newest = len(pins) - len(older)
    print(f"none of {len(pins)} versions was withdrawn, no flaw is known of the {newest} newest,")
    print("not told for", ", ".join(older) or "none")


def nobody(reason: str) -> int:
    """Say that the index did not answer; its address may hold a password, and is not told."""
    print("the index could not be asked:", reason)
    return 2


if __name__ == "__main__":
    main()
