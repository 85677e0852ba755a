"""Git commands in the current directory."""

import subprocess


def git(*arguments: str) -> str:
    """The output of a Git command, without the last line end.

    Raises:
        CalledProcessError: the command failed; its message is printed.
    """
    return subprocess.check_output(["git", *arguments], text=True).rstrip("\n")


def git_status(*arguments: str) -> int:
    """The exit status of a Git command whose messages are not printed."""
    return subprocess.run(["git", *arguments], capture_output=True).returncode


def git_lines(*arguments: str) -> list[str]:
    """The paths that a Git command lists; the command must not end them with NUL."""
    return [line for line in git("-c", "core.quotePath=false", *arguments).splitlines() if line]


def content(commit: str, path: str) -> str:
    """The text of a file in a commit; empty if it is not there."""
    done = subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, text=True)
    return "" if done.returncode else done.stdout
