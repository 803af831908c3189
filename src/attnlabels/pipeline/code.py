"""What the code of a script is: one definition, for what DVC watches and what training resumes.

It is all of this project that the script comes to import, and the files of other kinds that lie
beside one of these modules and bear its name, as a page's style beside what makes the page. Of a
module the syntax counts, without comments and docstrings; those count too where a docstring or the
source itself is read and so may come to be output. What fills a slot of a network, as a block, is
no part of it, as it is imported by the name in a run's row: `list_runs` tells each run's own.

No `__init__.py` counts. The rooms' are empty; the package's only looks up, when a user asks for
it, what the command offers.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = __name__.partition(".")[0]
LIBRARY = Path(__file__).resolve().parents[1]
# The rooms of what is imported by name, by the key of a run's row that has the name.
SLOTS = {
    "block": LIBRARY / "blocks",
    "unit_attention": LIBRARY / "unit_attention",
    "mask": LIBRARY / "masks",
}
READERS = {"getcomments", "getdoc", "getsource", "getsourcelines"}  # of `inspect`
MEANINGLESS = {"ctx", "type_comment"}  # where a name stands tells the first
OWN = "."  # as a name: the module itself


class Module(NamedTuple):
    """What the text of a module says."""

    syntax: str  # digest
    imports: frozenset[str]  # dotted names; some may be of functions
    reads: frozenset[str]  # dotted names of which docstring or source is read


def code_of(script: Path) -> dict[str, str]:
    """A digest of each file that the script, or a module, is made of, by its path in the sources.

    The same on every version of Python that runs it, and in every copy of the project.
    """
    root, modules = _root(script.resolve()), _closure(script.resolve())
    digests = {path: module.syntax for path, module in modules.items()}
    for path, module in modules.items():
        read = _found(module.reads, root=root) | ({path} if OWN in module.reads else set())
        digests |= {each: _sha256(each.read_bytes()) for each in {*read, *_beside(path)}}
    return {path.relative_to(root).as_posix(): digests[path] for path in sorted(digests)}


def digest_of(script: Path) -> str:
    """One digest of what `code_of` says."""
    return _sha256(json.dumps(code_of(script)).encode())


def closure(path: Path) -> set[Path]:
    """The module itself and all of this project that it comes to import."""
    return {*_closure(path)}


def imports_of(path: Path) -> set[Path]:
    """The modules of this project that a module imports itself."""
    return _found(names_in(path), root=_root(path))


def names_in(path: Path) -> frozenset[str]:
    """The dotted names of what a module imports; some may be of functions."""
    return _module(path.read_bytes()).imports


def find_module(name: str, *, root: Path) -> Path | None:
    """The file of a module of the library, whose sources lie in `root`."""
    if name.partition(".")[0] != PACKAGE:
        return None
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def _root(path: Path) -> Path:
    """The folder that Python is given to find what is imported: the first that is no package."""
    return next(each for each in path.parents if not (each / "__init__.py").is_file())


def _closure(path: Path) -> dict[Path, Module]:
    root, modules, left = _root(path), dict[Path, Module](), {path}
    while left:
        path = left.pop()
        modules[path] = _module(path.read_bytes())
        left |= _found(modules[path].imports, root=root) - modules.keys()
    return modules


def _found(names: Iterable[str], *, root: Path) -> set[Path]:
    return {path for name in names if (path := find_module(name, root=root))}


def _beside(module: Path) -> list[Path]:
    found = module.parent.glob(f"{module.stem}.*")
    return [path for path in found if path.stem == module.stem and path.suffix != ".py"]


@cache  # by the text: most modules are part of many scripts
def _module(text: bytes) -> Module:
    tree = ast.parse(text)
    nodes = [*ast.walk(tree)]
    bound: dict[str, str] = {}  # what a name of this module stands for
    imports: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                imports.add(alias.name)
                first = alias.name.partition(".")[0]
                bound[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(f"line {node.lineno}: imports are absolute")
            imports |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            bound |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    reads = {name for node in nodes for name in _read_by(node, bound)}
    return Module(_sha256(_told(tree).encode()), frozenset(imports), frozenset(reads))


def _read_by(node: ast.AST, bound: dict[str, str]) -> Iterator[str]:
    """Names of what this expression reads a docstring or the source of, and of what holds it."""
    if isinstance(node, ast.Attribute) and node.attr == "__doc__":
        of: ast.AST = node.value
    elif isinstance(node, ast.Name) and node.id == "__doc__":
        of = node
    elif isinstance(node, ast.Call) and node.args and _last_name(node.func) in READERS:
        of = node.args[0]
    else:
        return
    parts: list[str] = []
    while isinstance(of, ast.Attribute):
        parts.insert(0, of.attr)
        of = of.value
    if not isinstance(of, ast.Name):
        return
    if of.id not in bound:
        yield OWN
        return
    parts = [*bound[of.id].split("."), *parts]
    yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))


def _last_name(node: ast.AST) -> str | None:
    return getattr(node, "attr", getattr(node, "id", None))


def _told(node: Any) -> str:
    """The syntax as `ast.dump` tells it, but as every version of Python does, without docstrings.

    Versions add fields that are empty, and cut the text of an f-string each its own way.
    """
    if isinstance(node, list):
        return f"[{','.join([_told(each) for each in node if not _is_docstring(each)])}]"
    if not isinstance(node, ast.AST):
        return ascii(node)
    if isinstance(node, (ast.Constant, ast.MatchSingleton)):
        return f"{type(node).__name__}({node.value!a})"
    if isinstance(node, ast.JoinedStr):
        return f"JoinedStr({','.join(_joined(node.values))})"
    fields = vars(node)
    told = [
        f"{field}={_told(fields[field])}"
        for field in node._fields
        if field not in MEANINGLESS and fields.get(field) not in (None, [])
    ]
    return f"{type(node).__name__}({','.join(told)})"


def _is_docstring(node: Any) -> bool:
    if not isinstance(node, ast.Expr):
        return False
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _joined(values: list[ast.expr]) -> Iterator[str]:
    """The parts of an f-string, what stands between two values in one piece."""
    text = ""
    for each in values:
        if isinstance(each, ast.Constant):
            text += str(each.value)
        else:
            yield from (ascii(text), _told(each))
            text = ""
    yield ascii(text)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
