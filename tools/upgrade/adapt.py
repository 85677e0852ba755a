"""What a clone looks like: its names, its lines, and the features that it has removed.

Upstream's two versions of a file are written as this clone would have them, and then merged. So
neither a changed title nor a removed sample is a conflict.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tools.git import content, git, git_lines, git_status
from tools.scaffold import feature_list, marked_lines
from tools.upgrade.own_files import FEATURES, OWN, feature_names

PYPROJECT = str(feature_list.PYPROJECT)
LAYER = re.compile(r'(?m)^    "(\(\w+\))",\n')
# Lines that name the service of the clone.
OWN_LINES = {
    PYPROJECT: r'(name|version) = "[\w.-]+"|(description) = .*',
    "deploy/kubernetes/kustomization.yaml": r"( +newTag): .*",
}
# Files in which a clone keeps the names of upstream: its history, and generated files.
WITH_NAMES_OF_UPSTREAM = re.compile(
    r"docs/(decisions|upgrading)\.md|openapi\.json|.*\.lock|LICENSE"
)

Adapt = Callable[[str, str], str]


def merge_adapted(base: str, commit: str) -> None:
    """Merge the files again that upstream has changed, where this clone would have them differ."""
    adapt = adapter(base, commit)
    changed = git_lines("diff", "--name-only", "--no-renames", "--diff-filter=d", base, commit)
    for path in changed:
        if path not in OWN and Path(path).is_file():
            with suppress(UnicodeDecodeError):  # an image
                _merge_file(path, base, commit, adapt)


def add_packages(base: str, commit: str, removed: set[str]) -> set[str]:
    """Add the packages that went with a removed feature, and do no longer belong to it upstream.

    Args:
        base: the release that this clone has.
        commit: the release that is merged.
        removed: the folders that this clone has removed.

    Returns:
        Those of the folders that it has again.
    """
    adapt, added = adapter(base, commit), set()
    for folder in sorted(removed):
        init = f"{folder}/__init__.py"
        before, after = content(base, init), content(commit, init)
        if before and not adapt(init, before).strip() and adapt(init, after).strip():
            git("checkout", "-q", commit, "--", folder)
            added |= {each for each in removed if f"{each}/".startswith(f"{folder}/")}
            added |= set(map(str, Path(folder).parents))
            for path in git_lines("ls-files", "--", folder):
                with suppress(UnicodeDecodeError):  # an image
                    _write_new(path, adapt(path, content(commit, path)))
    return added


def adapter(base: str, commit: str) -> Adapt:
    """A function of the path and the text of a file of upstream, that returns the clone's text."""
    present = feature_names(content("HEAD", FEATURES))
    removed = [name for name in feature_names(content(base, FEATURES)) if name not in present]
    here, before = content("HEAD", PYPROJECT), content(base, PYPROJECT)
    layers = "".join(found[0] for found in LAYER.finditer(here) if found[1] not in before)
    names = {
        old: new
        for pattern, path in (
            (r'(?m)^name = "([\w.-]+)"', PYPROJECT),
            (r'(?m)^TITLE = "(.+)"', FEATURES),
        )
        for old in re.findall(pattern, content(commit, path))[:1]
        for new in re.findall(pattern, content("HEAD", path))[:1]
    }

    def adapt(path: str, text: str) -> str:
        for name in removed:
            text = marked_lines.without(name, Path(path), text)
            if path == PYPROJECT:
                text = feature_list.without_layer(text, name)
        if path == PYPROJECT:  # the layers of the clone's features are below the first
            text = text.replace(feature_list.TOP_LAYER, feature_list.TOP_LAYER + layers, 1)
        if not WITH_NAMES_OF_UPSTREAM.fullmatch(path):
            for old, new in names.items():
                text = text.replace(old, new)
        if pattern := OWN_LINES.get(path):
            text = _with_lines_of(content("HEAD", path), text, re.compile(f"(?m)^{pattern}$"))
        return text

    return adapt


def _with_lines_of(here: str, text: str, line: re.Pattern[str]) -> str:
    """The text with the lines of `here` that have the same name, which is the first group."""
    own = {found[found.lastindex or 0]: found[0] for found in line.finditer(here)}
    return line.sub(lambda found: own.get(found[found.lastindex or 0], found[0]), text)


def _merge_file(path: str, base: str, commit: str, adapt: Adapt) -> None:
    texts = {"here": content("HEAD", path)}
    for label, source in (("base", base), ("upstream", commit)):
        texts[label] = adapt(path, content(source, path))
    if texts["base"] == content(base, path) and texts["upstream"] == content(commit, path):
        return
    if not texts["here"]:  # new
        _write_new(path, texts["upstream"])
        return
    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory, label) for label in texts]
        for file in files:
            file.write_text(texts[file.name])
        labels = [part for file in files for part in ("-L", file.name)]
        conflicts = git_status("merge-file", "--zdiff3", *labels, *map(str, files))
        Path(path).write_text(files[0].read_text())
    if conflicts:
        _mark_as_conflict(path, base, commit)
    else:
        git("add", path)


def _mark_as_conflict(path: str, base: str, commit: str) -> None:
    """Record the three versions of the file in the index, as Git does in a conflict."""
    entries = [f"0 {'0' * 40}\t{path}"]
    for stage, source in enumerate((base, "HEAD", commit), 1):
        if found := git("ls-tree", source, "--", path):
            mode, _, blob = found.partition("\t")[0].split()
            entries.append(f"{mode} {blob} {stage}\t{path}")
    command = ["git", "update-index", "--index-info"]
    subprocess.run(command, input="\n".join(entries) + "\n", text=True, check=True)


def _write_new(path: str, text: str) -> None:
    """Write a file of upstream; if nothing of it is for this clone, remove it."""
    if text.strip():
        Path(path).write_text(text)
        git("add", path)
    else:
        package = Path(path).name == "__init__.py"
        git("rm", "-rqf", "--", str(Path(path).parent) if package else path)
