"""Check that the service uses libraries through their public interface only.

Reads the syntax trees of `app/`, `examples/`, `migrations/`, `gunicorn.conf.py` and `wsgi.py`.
Reported are private names of other modules and objects, private members of library classes that a
subclass uses or overrides, and assignments that patch a module, a class or a method of a library.
"""

import ast
import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tools.name_resolution import (
    UNKNOWN,
    Class,
    Function,
    Module,
    Names,
    Ref,
    Tree,
    has_member,
    is_own,
    is_private,
    is_self,
    load,
)

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ("app/**/*.py", "examples/**/*.py", "migrations/**/*.py", "gunicorn.conf.py", "wsgi.py")

# Documented points of extension, by the class that documents them.
OVERRIDES = {
    "marshmallow.fields.Field": {"_serialize", "_deserialize", "_validate"},
    "enum.Enum": {"_missing_", "_generate_next_value_", "_ignore_", "_value_"},
}
# Documented assignments: WSGI middleware, Flask's store for a request and the limits of one.
ASSIGNABLE = {"flask.app.Flask.wsgi_app", "flask.g.*", "flask.request.max_content_length"}
ASSIGNABLE |= {"flask.request.max_form_memory_size", "flask.request.max_form_parts"}
WRAPPERS = {
    "partial",
    "partialmethod",
    "wraps",
    "update_wrapper",
    "cache",
    "lru_cache",
    "MethodType",
}


class Allowed(NamedTuple):
    """One exception: a private name, as `package.module.Class._name`, that one file may use."""

    path: str
    name: str
    reason: str
    replaced_by: str
    """The upstream issue, or the public way that replaces it."""


EXCEPTIONS: tuple[Allowed, ...] = (
    Allowed(
        "app/telemetry/metrics.py",
        "prometheus_client.values.ValueClass",
        "Metrics are in one file per worker slot, not per process id: the files stay few and keep "
        "their counts when workers are replaced. `MultiProcessValue(process_identifier)` is "
        "public, but only this assignment makes the metrics use it.",
        "https://github.com/prometheus/client_python/issues/509",
    ),
)
MAX_EXCEPTIONS = 3


class Finding(NamedTuple):
    """One use of what is not public."""

    path: str
    line: int
    name: str
    message: str


class Checker(ast.NodeVisitor):
    """Collects the findings of one file."""

    def __init__(self, tree: Tree, module: Module) -> None:
        self.tree, self.module = tree, module
        self.names = Names(tree, module.name, [module.scope])
        self.owners: list[str] = []
        self.values: dict[ast.AST, ast.AST] = {}
        self.findings: list[Finding] = []

    def report(self, node: ast.AST | int, name: str, message: str) -> None:
        """Add a finding."""
        line = node if isinstance(node, int) else getattr(node, "lineno", 0)
        self.findings.append(Finding(self.module.path, line, name, message))

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Report the import of a private module or name."""
        origin = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for one in node.names:
            if any(map(is_private, f"{origin}{one.name}".split("."))):
                self.report(node, one.name.rpartition(".")[2], f"imports {origin}{one.name}")

    visit_ImportFrom = visit_Import  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Report private members of library classes that the class overrides."""
        self.owners.append(f"{self.module.name}.{node.name}")
        own = self.tree.classes[self.owners[-1]]
        for name, line in own.members.items():
            self.check_member(line, self.owners[-1], name, "overrides")
        self.names.scopes.append({"cls": Ref("class", self.owners[-1])})
        self.generic_visit(node)
        self.names.scopes.pop()
        self.owners.pop()

    def visit_FunctionDef(self, node: Function | ast.Lambda) -> None:
        """Check a function with its own names."""
        self.names.bind(node)
        self.generic_visit(node)
        self.names.scopes.pop()

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # noqa: N815

    def visit_Assign(self, node: ast.Assign | ast.AnnAssign) -> None:
        """Remember which value goes where."""
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if node.value:
                self.values[target] = node.value
        self.generic_visit(node)

    visit_AnnAssign = visit_Assign  # noqa: N815

    def visit_Call(self, node: ast.Call) -> None:
        """Check `getattr`, `setattr` and the like as the attributes that they stand for."""
        match node:
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr"), args=[value, ast.Constant(), *_]
            ):
                self.check_private(node, value, str(node.args[1].value))  # type: ignore[attr-defined]
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[value, name, *new]):
                attr = str(name.value) if isinstance(name, ast.Constant) else "*"
                if not self.check_private(node, value, attr):
                    self.check_store(node, value, attr, new[0] if new else None)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Check one access or assignment."""
        found = self.check_private(node, node.value, node.attr)
        if not found and not isinstance(node.ctx, ast.Load):
            self.check_store(node, node.value, node.attr, self.values.get(node))
        self.generic_visit(node)

    def check_private(self, node: ast.AST, value: ast.AST, attr: str) -> bool:
        """Report a private attribute, unless of the own class; return whether it is private."""
        if not is_private(attr):
            return False
        owner = self.owners[-1] if self.owners and is_self(value) else ""
        ref = self.names.resolve(value)
        if ref.kind in ("class", "instance") and ref.dotted.rpartition(".")[0] == self.module.name:
            owner = owner or ref.dotted
        if not owner:
            self.report(node, attr, f"uses the private name {ast.unparse(value)}.{attr}")
        elif attr not in self.tree.classes.get(owner, Class([])).members:
            self.check_member(node, owner, attr, "uses")
        return True

    def check_member(self, node: ast.AST | int, owner: str, name: str, verb: str) -> None:
        """Report a private member that a class has from a library, or that no own class defines."""
        own, others = self.tree.ancestors(owner)
        for other in others:
            lineage = inspect.getmro(found) if inspect.isclass(found := load(other)) else ()
            documented = [
                OVERRIDES.get(f"{one.__module__}.{one.__name__}", set()) for one in lineage
            ]
            if any(name in names for names in documented):
                return
        known = [other for other in others if has_member(other, name)]
        if known:
            self.report(node, name, f"{verb} the private member {known[0]}.{name}")
        elif not any(name in one.members for one in own):
            self.report(node, name, f"{verb} {name}, which no class of this tree defines")

    def check_store(self, node: ast.AST, value: ast.AST, attr: str, new: ast.AST | None) -> None:
        """Report an assignment to an attribute of a library's module, class, or object's method."""
        if is_self(value):
            return
        ref = self.names.resolve(value)
        target = f"{ast.unparse(value)}.{attr}"
        if ref.kind == "import":
            if is_assignable(ref.dotted, attr):
                return
            ref = self.tree.follow(ref.dotted)
            if ref.kind == "member" or (ref.kind == "import" and not is_own(ref.dotted)):
                self.report(node, attr, f"assigns to the imported {target}")
                return
        if ref.kind == "class":
            return
        others = self.tree.ancestors(ref.dotted)[1] if ref.kind == "instance" else ["<unknown>"]
        replaced = [one for one in others if is_method(one, attr)]
        if (replaced or (others and self.is_function(new))) and not any(
            is_assignable(one, attr) for one in others
        ):
            self.report(node, attr, f"replaces the method {target}")

    def is_function(self, value: ast.AST | None) -> bool:
        """Return whether a value is a function, as far as this file shows."""
        if isinstance(value, ast.Call):
            name = ast.unparse(value.func).rpartition(".")[2]
            return name in WRAPPERS or isinstance(value.func, ast.Call)
        ref = self.names.resolve(value) if value else UNKNOWN
        return isinstance(value, ast.Lambda) or ref.kind == "function"


def is_assignable(dotted: str, attr: str) -> bool:
    """Return whether the library documents this assignment."""
    names = {dotted}
    if inspect.isclass(found := load(dotted)) and not is_own(dotted):
        names |= {f"{one.__module__}.{one.__name__}" for one in inspect.getmro(found)}
    return any(ASSIGNABLE & {f"{name}.{attr}", f"{name}.*"} for name in names)


def is_method(dotted: str, attr: str) -> bool:
    """Return whether a library's class has a method of this name."""
    found = load(dotted)
    return inspect.isroutine(inspect.getattr_static(found, attr, None)) if found else False


def find(sources: Mapping[str, str]) -> list[Finding]:
    """Return the findings in the given texts, by path."""
    tree = Tree(sources)
    found: set[Finding] = set()
    for module in tree.modules.values():
        checker = Checker(tree, module)
        checker.visit(module.tree)
        found.update(checker.findings)
    return sorted(found)


def without_exceptions(found: Iterable[Finding], exceptions: Iterable[Allowed]) -> list[str]:
    """Return one line per finding that no exception allows, and per exception that is not valid."""
    exceptions, lines, used = list(exceptions), [], set()
    if len(exceptions) > MAX_EXCEPTIONS:
        lines.append(
            f"there are {len(exceptions)} exceptions, at most {MAX_EXCEPTIONS} are allowed"
        )
    for one in found:
        allowed = {e for e in exceptions if e.path == one.path and e.name.endswith(f".{one.name}")}
        used |= allowed
        if not allowed:
            lines.append(f"{one.path}:{one.line}: {one.message}")
    for exception in exceptions:
        if exception not in used:
            lines.append(f"{exception.path}: the exception for {exception.name} is not used")
        if not has_member(*exception.name.rsplit(".", 1)):
            lines.append(f"{exception.path}: the library has no {exception.name} any more")
        if not (exception.reason and exception.replaced_by):
            lines.append(f"{exception.path}: the exception for {exception.name} lacks its reason")
    return lines


def read_tree(root: Path = ROOT) -> dict[str, str]:
    """Return the texts of the files that are checked, by path."""
    paths = {path for pattern in PATTERNS for path in root.glob(pattern)}
    return {str(path.relative_to(root)): path.read_text() for path in sorted(paths)}


def find_in_tree() -> list[Finding]:
    """Return the findings in this repository, those with an exception among them."""
    return find(read_tree())


def main() -> int:
    """Check the tree; return the exit status."""
    lines = without_exceptions(find_in_tree(), EXCEPTIONS)
    print(*(lines or ["no private names or patches of libraries"]), sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
