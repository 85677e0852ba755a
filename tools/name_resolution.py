"""What the names in the syntax trees of this repository refer to.

Types are known where a file itself shows them: imports, annotations, constructor calls and the
bases of classes. Libraries are imported to look at their classes; own modules are not.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

OWN_PACKAGES = {"app", "examples", "migrations", "wsgi"}
# Documented although they begin with an underscore: of werkzeug's proxies, named tuples and
# SQLAlchemy's rows.
PUBLIC_MEMBERS = {
    "_get_current_object",
    "_asdict",
    "_replace",
    "_make",
    "_fields",
    "_field_defaults",
}
PUBLIC_MEMBERS |= {"_mapping", "_tuple", "_t"}


class Ref(NamedTuple):
    """What a name refers to: an import, an instance, an own class or function, or unknown."""

    kind: str
    dotted: str = ""


UNKNOWN = Ref("unknown")
Scope = dict[str, Ref]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Class:
    """A class of the tree: its bases by dotted name, and the private members that it defines."""

    bases: list[str]
    members: dict[str, int] = field(default_factory=dict)


@dataclass
class Module:
    """A file of the tree."""

    path: str
    name: str
    tree: ast.Module
    scope: Scope = field(default_factory=dict)


def is_private(name: str) -> bool:
    """Return whether a name is private by convention; dunders, `_` and documented names are not."""
    dunder = name.startswith("__") and name.endswith("__")
    return (
        name.startswith("_") and bool(name.strip("_")) and not dunder and name not in PUBLIC_MEMBERS
    )


def is_own(dotted: str) -> bool:
    """Return whether a dotted name begins with a package of this repository."""
    return dotted.partition(".")[0] in OWN_PACKAGES or dotted.startswith("<")


def load(dotted: str) -> object | None:
    """Import what a dotted name refers to; None where a library has no such name."""
    parts = [] if is_own(dotted) else dotted.split(".")
    for size in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:size]))
        except ImportError:
            continue
        for part in parts[size:]:
            found = getattr(found, part, None)
        return found
    return None


def has_member(dotted: str, name: str) -> bool:
    """Return whether a library's class or module has a member, which an instance may set itself."""
    found = load(dotted)
    if found is None or hasattr(found, name):
        return found is not None
    for one in inspect.getmro(found) if inspect.isclass(found) else ():
        try:
            source = inspect.getsource(one)
        except (OSError, TypeError):  # written in C, or built in
            continue
        if re.search(rf"\bself\.{name}\b", source):
            return True
    return False


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Iterate over the nodes of a scope, without those of the functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, Function | ast.ClassDef | ast.Lambda):
            yield from own_nodes(child)


class Tree:
    """All files, with the classes and module-level names that they define."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.modules: dict[str, Module] = {}
        self.classes: dict[str, Class] = {}
        for path, text in sources.items():
            name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            name = name if is_own(name) else f"<{name}>"
            self.modules[name] = Module(path, name, ast.parse(text, path))
        for module in self.modules.values():
            module.scope = Names(self, module.name, []).bind(module.tree)
        for module in self.modules.values():
            self._collect_classes(module)

    def _collect_classes(self, module: Module) -> None:
        names = Names(self, module.name, [module.scope])
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                own = Class(list(filter(None, map(names.type_of, node.bases))))
                for part in ast.walk(node):
                    for name in defined_names(part, node):
                        own.members.setdefault(name, getattr(part, "lineno", node.lineno))
                self.classes[f"{module.name}.{node.name}"] = own

    def follow(self, dotted: str) -> Ref:
        """Return what an own dotted name refers to, through the imports of own modules."""
        head, _, last = dotted.rpartition(".")
        if dotted in self.classes:
            return Ref("class", dotted)
        if dotted in self.modules or not is_own(dotted):
            return Ref("import", dotted)
        if head in self.modules:
            found = self.modules[head].scope.get(last, UNKNOWN)
            looped = found.dotted == dotted or found.kind != "import"
            return found if looped else self.follow(found.dotted)
        return Ref("member", dotted) if head else UNKNOWN

    def ancestors(self, dotted: str) -> tuple[list[Class], list[str]]:
        """Return the own classes of a type, itself first, and the dotted names of the others."""
        ref = self.follow(dotted)
        if ref.kind != "class":
            return [], [ref.dotted or dotted]
        own = [self.classes[ref.dotted]]
        others: list[str] = []
        for base in own[0].bases:
            more, further = self.ancestors(base) if base != dotted else ([], [])
            own += more
            others += further
        return own, others


def defined_names(part: ast.AST, owner: ast.ClassDef) -> Iterator[str]:
    """Iterate over the private names that a node inside a class defines as members."""
    if part in owner.body and isinstance(part, Function | ast.ClassDef):
        names = [part.name]
    elif part in owner.body and isinstance(part, ast.Assign | ast.AnnAssign):
        targets = part.targets if isinstance(part, ast.Assign) else [part.target]
        names = [one.id for one in ast.walk(ast.Tuple([*targets])) if isinstance(one, ast.Name)]
        if names == ["__slots__"] and part.value:
            names = [
                str(one.value) for one in ast.walk(part.value) if isinstance(one, ast.Constant)
            ]
    elif (
        isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and is_self(part.value)
    ):
        names = [part.attr]
    else:
        names = []
    return filter(is_private, names)


def is_self(node: ast.AST) -> bool:
    """Return whether an expression is `self`, its class or `super()`."""
    return ast.unparse(node) in ("self", "cls", "type(self)", "super()")


class Names:
    """Resolves the names of one file by its scopes, the innermost last."""

    def __init__(self, tree: Tree, module: str, scopes: list[Scope]) -> None:
        self.tree, self.module, self.scopes = tree, module, scopes

    def bind(self, node: ast.AST) -> Scope:
        """Return what the names mean that a module or a function defines, and stay inside it."""
        scope: Scope = {}
        self.scopes.append(scope)
        if isinstance(node, Function | ast.Lambda):
            for argument in ast.walk(node.args):
                # `self` and `cls` keep what the class around them says.
                if isinstance(argument, ast.arg) and argument.arg not in ("self", "cls"):
                    scope[argument.arg] = self.instance(argument.annotation)
        for part in own_nodes(node):
            scope.update(self._bound_by(part))
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                scope.setdefault(part.id, UNKNOWN)
        return scope

    def _bound_by(self, part: ast.AST) -> Iterator[tuple[str, Ref]]:
        match part:
            case ast.Import():
                for one in part.names:
                    dotted = one.name if one.asname else one.name.partition(".")[0]
                    yield one.asname or dotted, Ref("import", dotted)
            case ast.ImportFrom():
                for one in part.names:
                    yield one.asname or one.name, Ref("import", f"{part.module}.{one.name}")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield part.name, Ref("function", part.name)
            case ast.ClassDef():
                yield part.name, Ref("class", f"{self.module}.{part.name}")
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, self.instance(part.annotation)
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name, self.resolve(part.value)

    def instance(self, annotation: ast.AST | None) -> Ref:
        """Return what a variable with this annotation holds."""
        if isinstance(annotation, ast.BinOp):
            annotation = annotation.left
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        dotted = self.type_of(annotation) if annotation else ""
        return Ref("instance", dotted) if dotted and dotted != "typing.Any" else UNKNOWN

    def type_of(self, node: ast.AST) -> str:
        """Return the dotted name of a class that an expression names, "" if there is none."""
        ref = self.resolve(node.value if isinstance(node, ast.Subscript) else node)
        return ref.dotted if ref.kind in ("import", "class", "builtin") else ""

    def resolve(self, node: ast.AST) -> Ref:
        """Return what an expression refers to."""
        match node:
            case ast.Name(id=name):
                found = [scope[name] for scope in reversed(self.scopes) if name in scope]
                default = Ref("builtin", f"builtins.{name}")
                return found[0] if found else default
            case ast.Attribute(value=value, attr=attr):
                base = self.resolve(value)
                return Ref("import", f"{base.dotted}.{attr}") if base.kind == "import" else UNKNOWN
            case ast.Call(func=func):
                ref = self.resolve(func)
                is_class = ref.kind == "class" or ref.dotted.rpartition(".")[2][:1].isupper()
                return Ref("instance", ref.dotted) if is_class else UNKNOWN
        return UNKNOWN
