"""Runs the console transcripts of a document and compares the output with the document."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import services

_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_END = "--- end of output ---"


@dataclass(frozen=True)
class Step:
    """One command and the output that the document shows for it."""

    command: str
    expected: str


def read_steps(document: Path) -> list[Step]:
    """The commands of all ```console blocks, in order."""
    steps = []
    for block in _BLOCK.findall(document.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            steps.append(Step(command, expected.strip()))
    return steps


def run_steps(steps: list[Step], replace: dict[str, str], folder: Path) -> list[tuple[Step, str]]:
    """Each step with its real output; all steps run in one shell, in this folder."""
    script = "".join(f"{step.command}\necho; echo '{_END}'\n" for step in steps)
    for old, new in replace.items():
        script = script.replace(old, new)
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=services.SECONDS
    )
    outputs = done.stdout.replace("\r", "").split(f"{_END}\n")
    return [(step, output.strip()) for step, output in zip(steps, outputs, strict=False)]


def matches(expected: str, printed: str) -> bool:
    """Whether the output is as expected; `…` matches anything within a line."""
    pattern = r"[^\n]*?".join(re.escape(part) for part in expected.split("…"))
    return re.fullmatch(pattern, printed) is not None
