"""Print the size of the code, before the redesign and now, and its targets.

Every line counts, blank ones and docstrings too; lines of code exclude blanks, docstrings and
comments. The exit status is 1 when a file or a function is too long.
"""

import ast
import re
import statistics
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from tools import public_interfaces

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE, MAX_FUNCTION = 300, 40
LIMITED = ("app", "bench", "examples", "tests", "tools")  # these folders have the limits
# Comments that address a tool, or that only separate parts of a file.
NO_COMMENT = re.compile(r"#\s*(noqa|type:|pragma|fmt:|nosec|squawk-ignore|mypy:|-{3,}|!)")
MIGRATION = re.compile(r"/migrations/[0-9]{4}_")  # such a folder of tests/ has others as well
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}

# At commit 442a70f, before the redesign; its app/kit is app/core now.
BEFORE = {
    "lines of app/": 10_194,
    "lines of app/core/": 5_374,
    "files of app/core/": 33,
    "median file of app/core/": 146,
    "lines of gunicorn.conf.py": 335,
    "private names and patches of libraries": 15,  # about
    "comment lines per 100 lines of code": 0.6,
    "lines of examples/notes/": 120,
    "lines of tests/": 17_200,  # about
}

Sources = Mapping[str, str]
Row = tuple[str, object, str]


def count_lines(text: str) -> tuple[int, int, int]:
    """Return how many lines are code, are a comment, and are code with a comment behind it."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    code: set[int] = set()
    own = behind = 0
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            says = not NO_COMMENT.match(token.string)
            own, behind = (own + says, behind) if is_alone(token) else (own, behind + says)
        elif token.type not in NO_CODE and token.string:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - docstrings), own, behind


def is_alone(comment: tokenize.TokenInfo) -> bool:
    """Return whether a comment has a line of its own."""
    return comment.line.lstrip().startswith("#")


def long_functions(sources: Sources) -> Iterator[str]:
    """Iterate over the functions above the limit, from `def` to their last line."""
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION:
                    yield f"{path}:{node.lineno}: {node.name} has {length} lines"


def long_files(sources: Sources) -> Iterator[str]:
    """Iterate over the files above the limit."""
    for path, text in sources.items():
        if (length := len(text.splitlines())) > MAX_FILE:
            yield f"{path}: {length} lines"


def lines_below(sources: Sources, folder: str) -> int:
    """Return the number of lines of a folder or a file."""
    chosen = (s for path, s in sources.items() if path == folder or path.startswith(folder + "/"))
    return sum(len(text.splitlines()) for text in chosen)


def without_migrations(sources: Sources, *folders: str) -> dict[str, str]:
    """Return the files of the folders, except migrations, which are never edited again."""
    return {
        path: text
        for path, text in sources.items()
        if path.split("/")[0] in folders and not MIGRATION.search(path)
    }


def rows(sources: Sources) -> Iterator[Row]:
    """Iterate over the measures: name, value and target."""
    app = without_migrations(sources, "app")
    core = [len(s.splitlines()) for path, s in app.items() if path.startswith("app/core/")] or [0]
    counted = [count_lines(text) for text in app.values()]
    code, own, behind = (sum(column) for column in zip(*counted, strict=True))
    yield "lines of app/", sum(len(s.splitlines()) for s in app.values()), "<= 8700"
    yield "lines of app/core/", sum(core), "<= 4300"
    yield "files of app/core/", len(core), ""
    yield "median file of app/core/", int(statistics.median(core)), "<= 110"
    yield "largest file of app/core/", max(core), f"<= {MAX_FILE}"
    yield f"files of app/ above {MAX_FILE} lines", len([*long_files(app)]), "0"
    yield f"functions above {MAX_FUNCTION} lines", len([*long_functions(app)]), "0"
    yield "lines of gunicorn.conf.py", lines_below(sources, "gunicorn.conf.py"), "<= 120"
    yield "lines of wsgi.py", lines_below(sources, "wsgi.py"), "<= 15"
    private = {(found.path, found.name) for found in public_interfaces.find_in_tree()}
    yield "private names and patches of libraries", len(private), "<= 3"
    yield "lines of code of app/", code, ""
    yield "comment lines per 100 lines of code", f"{100 * own / max(code, 1):.1f}", "3 to 6"
    yield "comments behind code per 100 lines", f"{100 * behind / max(code, 1):.1f}", ""
    yield "lines of examples/notes/", lines_below(sources, "examples/notes"), "<= 110"
    yield "lines of tests/", lines_below(sources, "tests"), "<= 14000"


def packages(sources: Sources) -> Iterator[Row]:
    """Iterate over the packages of app/, the subpackages of app/core/, and the largest files."""
    app = without_migrations(sources, "app")
    sizes: Counter[str] = Counter()
    for path, text in app.items():
        depth = 3 if path.startswith("app/core/") else 2
        sizes["/".join(path.split("/")[:depth])] += len(text.splitlines())
    for name, size in sorted(sizes.items()):
        yield name, size, ""
    yield "the ten largest files of app/", "", ""
    by_size = sorted(app, key=lambda path: -len(app[path].splitlines()))
    for path in by_size[:10]:
        yield f"  {path}", len(app[path].splitlines()), f"<= {MAX_FILE}"


def read_tree() -> dict[str, str]:
    """Return the texts of the Python files that git knows or would add, by path."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [path for path in listed.splitlines() if (ROOT / path).is_file()]
    return {path: (ROOT / path).read_text() for path in paths}


def main() -> int:
    """Print the table; return 1 when a file or a function is too long."""
    sources = read_tree()
    print(f"{'measure':<42} {'442a70f':>8} {'now':>8}  target")
    for what, value, target in (*rows(sources), *packages(sources)):
        print(f"{what:<42} {BEFORE.get(what, ''):>8} {value:>8}  {target}".rstrip())
    limited = without_migrations(sources, *LIMITED)
    too_long = [*long_files(limited), *long_functions(limited)]
    if too_long:
        print("", "too long:", *too_long, sep="\n")
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
