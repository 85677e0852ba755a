"""Files that belong to a clone: an upgrade keeps its side."""

import re
from pathlib import Path

from tools.git import content, git
from tools.scaffold import feature_list

FEATURES = str(feature_list.FEATURES)
OWN = ("README.md", "CHANGELOG.md", FEATURES, "deploy/local", ".env")
REVISION = re.compile(r'(?m)^revision(?:, down_revision)? = "([^"]+)"')


def keep(base: str, commit: str) -> list[str]:
    """Restore the clone's own files in a merge, and add new features of upstream to its list.

    Returns:
        The names of the features that upstream has added since `base`.
    """
    for path in OWN:
        git("rm", "-rqf", "--ignore-unmatch", "--", path)
        if git("ls-tree", "HEAD", "--", path):
            git("checkout", "-q", "HEAD", "--", path)
    before = feature_names(content(base, FEATURES))
    present = feature_names(content("HEAD", FEATURES))
    new = [
        name
        for name in feature_names(content(commit, FEATURES))
        if name not in before and name not in present and Path("app", name).is_dir()
    ]
    for name in new:
        Path(FEATURES).write_text(feature_list.with_feature(Path(FEATURES).read_text(), name))
        git("add", FEATURES)
    return new


def feature_names(text: str) -> list[str]:
    """The features in `app/features.py`, in their order."""
    found = re.search(r"(?s)\nFEATURES[^(\n]*\(\n(.*?)\n\)", text)
    return re.findall(r"(?m)^    (\w+),", found[1]) if found else []


def repeated_revisions() -> dict[str, list[str]]:
    """Identifiers of migrations that several files have: clone and upstream chose the same."""
    found: dict[str, list[str]] = {}
    folders = (*Path("app").glob("*/migrations"), Path("migrations/versions"))
    for path in sorted(file for folder in folders for file in folder.glob("*.py")):
        for revision in REVISION.findall(path.read_text()):
            found.setdefault(revision, []).append(str(path))
    return {revision: paths for revision, paths in found.items() if len(paths) > 1}
