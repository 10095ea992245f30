"""Check how many dictionaries of unknown content the package's types name: `dict[str, Any]` and its kin.

    python tools/check_types.py                 check src/reslab
    python tools/check_types.py --all FOLDER    check another folder, and print every place

What is counted, in annotations, in aliases, in strings that are types, and at any depth: `dict`, `Dict`, `defaultdict`,
`OrderedDict`, `Mapping` and `MutableMapping` whose values are `Any` or `object`; the same names without brackets; and
each use of a name that stands for one of these. Above the limit each place is printed as file:line; exit code 1.
`dict[str, JsonValue]` is not counted: of a JsonValue, pyright lets nobody read a field without a look at its type.
"""

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
# what is left holds JSON, TOML or checkpoints that others wrote, or changes to a config, whose keys are checked when
# they are applied; everything that reslab writes itself has a dataclass
LIMIT = 40
_MAPPINGS = frozenset({"dict", "Dict", "defaultdict", "OrderedDict", "Mapping", "MutableMapping"})
_UNKNOWN = frozenset({"Any", "object"})


class Place(NamedTuple):
    """Where a type is named."""

    path: Path
    line: int
    column: int
    type: str


@dataclass(frozen=True)
class Module:
    """A module of the folder.

    Attributes:
        path: Its file.
        name: Its dotted name below the folder, with the folder's name in front.
        tree: Its syntax tree.
        imported: What each imported name is: (module, name there); the module is "" for `import a.b as c`.
    """

    path: Path
    name: str
    tree: ast.Module
    imported: Mapping[str, tuple[str, str]]


def find_places(folder: Path) -> list[Place]:
    """Return every place in a folder's modules where a dictionary of unknown content is named, in order."""
    modules = [_read(path, folder) for path in sorted(folder.rglob("*.py"))]
    aliases = _aliases(modules)
    return [place for module in modules for place in sorted(set(_Finder(module, aliases).places()))]


def main(words: Sequence[str] | None = None) -> int:
    """Run the check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "src" / "reslab")
    parser.add_argument("--all", action="store_true", help="print every place, also below the limit")
    asked = parser.parse_args(words)
    places = find_places(asked.folder)
    is_over = len(places) > LIMIT
    for place in places if is_over or asked.all else ():
        print(f"{place.path}:{place.line}: {place.type}")
    if is_over:
        print(
            f"{len(places)} dictionaries of unknown content; {LIMIT} are allowed. Write a dataclass of what is in them."
        )
    return int(is_over)


# --- modules and the names in them ------------------------------------------------------------------------------------


def _read(path: Path, folder: Path) -> Module:
    parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            source = _source(node, name, is_package=is_package)
            imported |= {item.asname or item.name: (source, item.name) for item in node.names}
        elif isinstance(node, ast.Import):
            imported |= {item.asname: ("", item.name) for item in node.names if item.asname}
    return Module(path, name, tree, imported)


def _source(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    """Return the dotted name of the module that an import reads from."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    package = parts[: len(parts) - node.level + is_package]
    return ".".join([*package, *([node.module] if node.module else [])])


def _aliases(modules: Sequence[Module]) -> set[tuple[str, str]]:
    """Return (module, name) of each name that stands for a dictionary of unknown content, or for another such name."""
    aliases: set[tuple[str, str]] = set()
    while True:
        finders = [_Finder(module, aliases) for module in modules]
        found = {(finder.module.name, name) for finder in finders for name in finder.aliases()}
        # a name that a package hands on is that name too
        found |= {
            (module.name, name)
            for module in modules
            for name, origin in module.imported.items()
            if origin in aliases | found
        }
        if found <= aliases:
            return aliases
        aliases |= found


class _Finder:
    """Finds the types of one module, given the aliases that are known so far."""

    def __init__(self, module: Module, aliases: set[tuple[str, str]]) -> None:
        self.module, self._known = module, aliases

    def places(self) -> Iterator[Place]:
        """Yield every place, some of them twice."""
        for node in ast.walk(self.module.tree):
            if isinstance(node, ast.Subscript) and self._is_unknown(node):
                yield self._place(node)
            for annotation in _annotations(node):
                yield from map(self._place, self._inside(annotation))
            if value := _alias_value(node):
                yield from map(self._place, self._inside(value[1]))

    def aliases(self) -> Iterator[str]:
        """Yield the names that an assignment makes stand for a dictionary of unknown content."""
        for node in ast.walk(self.module.tree):
            if (alias := _alias_value(node)) and self._matches(_unquoted(alias[1])):
                yield alias[0]

    def _place(self, node: ast.expr) -> Place:
        return Place(self.module.path, node.lineno, node.col_offset, ast.unparse(node))

    def _inside(self, annotation: ast.expr) -> Iterator[ast.expr]:
        """Yield the types inside of an annotation that are counted."""
        annotation = _unquoted(annotation)
        if self._matches(annotation):
            yield annotation
            return
        match annotation:
            case ast.Subscript(value=value, slice=inner):
                name = self._name(value)
                if name == "Literal":
                    return
                parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                for part in parts[:1] if name == "Annotated" else parts:  # what follows is not a type
                    yield from self._inside(part)
            case ast.BinOp(left=left, right=right):
                yield from self._inside(left)
                yield from self._inside(right)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):  # the arguments of a Callable
                for part in parts:
                    yield from self._inside(part)

    def _matches(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Subscript):
            return self._is_unknown(node)
        return self._name(node) in _MAPPINGS or self._is_alias(node)

    def _is_alias(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return (self.module.name, name) in self._known or self.module.imported.get(name) in self._known
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                source, original = self.module.imported.get(name, ("", ""))
                return (f"{source}.{original}".strip("."), attribute) in self._known
        return False

    def _is_unknown(self, node: ast.Subscript) -> bool:
        """Whether a type is a dictionary in brackets whose values are of any type."""
        if self._name(node.value) not in _MAPPINGS or not isinstance(node.slice, ast.Tuple):
            return False
        return any(self._name(member) in _UNKNOWN for member in _members(_unquoted(node.slice.elts[-1])))

    def _name(self, node: ast.expr) -> str:
        """Return the name of a type, as it is called where it is defined."""
        match node:
            case ast.Name(id=name):
                return self.module.imported.get(name, ("", name))[1]
            case ast.Attribute(attr=name):
                return name
        return ""


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
            yield annotation
        case ast.FunctionDef(returns=ast.expr() as annotation) | ast.AsyncFunctionDef(returns=ast.expr() as annotation):
            yield annotation
        case ast.ClassDef(bases=bases):
            yield from bases
        case ast.Call(func=ast.Name(id="cast"), args=[annotation, *_]):
            yield annotation
        case ast.Call(func=ast.Name(id="TypeAdapter"), args=[annotation, *_]):
            yield annotation


def _alias_value(node: ast.AST) -> tuple[str, ast.expr] | None:
    """Return the name and the type of what may be an alias; None for another node."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value):
            is_type = isinstance(value, ast.Subscript | ast.BinOp | ast.Name | ast.Attribute)
            return (name, value) if is_type else None
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
            return (name, value) if ast.unparse(annotation).endswith("TypeAlias") else None
    if type(node).__name__ == "TypeAlias":  # `type X = ...`, of Python 3.12
        return node.name.id, node.value  # type: ignore[attr-defined]
    return None


def _members(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the members of a union, or the type itself."""
    if isinstance(node, ast.BinOp):
        yield from _members(node.left)
        yield from _members(node.right)
    else:
        yield node


def _unquoted(node: ast.expr) -> ast.expr:
    """Return the type that a string names, at the string's place."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return node
    try:
        inner = ast.parse(node.value, mode="eval").body
    except SyntaxError:
        return node
    for part in ast.walk(inner):
        if isinstance(part, ast.expr):
            part.lineno = node.lineno
            part.col_offset += node.col_offset + 1
    return inner


if __name__ == "__main__":
    sys.exit(main())
