"""Files and lines that belong to a clone: an upgrade keeps its side."""

import re
import tempfile
from pathlib import Path

from tools.git import content, git, git_status

FEATURES = "app/features.py"
OWN = ("README.md", "CHANGELOG.md", FEATURES, "deploy/local", ".env")
# Lines that name the service of the clone.
OWN_LINES = {
    "pyproject.toml": r'(name|version) = "[\w.-]+"|(description) = .*',
    "app/core/openapi/document.py": r"(TITLE, VERSION) = .*",
    "deploy/kubernetes/kustomization.yaml": r"( +newTag): .*",
}
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
        Path(FEATURES).write_text(with_feature(Path(FEATURES).read_text(), name))
        git("add", FEATURES)
    return new


def feature_names(text: str) -> list[str]:
    """The features in `app/features.py`, in their order."""
    found = re.search(r"(?s)\nFEATURES[^(\n]*\(\n(.*?)\n\)", text)
    return re.findall(r"(?m)^    (\w+),", found[1]) if found else []


def with_feature(text: str, name: str) -> str:
    """The text of `app/features.py` with one more feature, the last."""
    imported = re.search(r"(?s)from app import \(\n(.*?)\)", text)
    assert imported
    names = sorted([*re.findall(r"\w+", imported[1]), name])
    text = text.replace(imported[1], "".join(f"    {each},\n" for each in names))
    head, _, tail = text.rpartition(")")
    return f"{head}    {name},\n){tail}"


def merge_own_lines(base: str, commit: str) -> None:
    """Merge the files with own lines again, with those of the clone in all three versions."""
    for path, pattern in OWN_LINES.items():
        line, here = re.compile(f"(?m)^{pattern}$"), content("HEAD", path)
        if not here or not content(commit, path):
            continue
        with tempfile.TemporaryDirectory() as directory:
            files = [Path(directory, name) for name in ("here", "base", "upstream")]
            for file, source in zip(files, ("HEAD", base, commit), strict=True):
                file.write_text(_with_lines_of(here, content(source, path), line))
            labels = [part for file in files for part in ("-L", file.name)]
            conflicts = git_status("merge-file", "--zdiff3", *labels, *map(str, files))
            Path(path).write_text(files[0].read_text())
        if not conflicts:
            git("add", path)


def _with_lines_of(here: str, text: str, line: re.Pattern[str]) -> str:
    """The text with the lines of `here` that have the same name, which is the first group."""
    own = {found[found.lastindex or 0]: found[0] for found in line.finditer(here)}
    return line.sub(lambda found: own.get(found[found.lastindex or 0], found[0]), text)


def repeated_revisions() -> dict[str, list[str]]:
    """Identifiers of migrations that several files have: clone and upstream chose the same."""
    found: dict[str, list[str]] = {}
    folders = (*Path("app").glob("*/migrations"), Path("migrations/versions"))
    for path in sorted(file for folder in folders for file in folder.glob("*.py")):
        for revision in REVISION.findall(path.read_text()):
            found.setdefault(revision, []).append(str(path))
    return {revision: paths for revision, paths in found.items() if len(paths) > 1}
