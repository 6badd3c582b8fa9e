"""The code that does a piece of work: the modules that it imports, theirs, and the packages that these call.

Imports are read from the source, wherever in it they stand; nothing is imported for it. A module counts by
its syntax tree, less what decides nothing: comments, docstrings, blank lines, what stands under
`if TYPE_CHECKING`, the number of its version. Modules in site-packages count by their distribution's version,
the standard library by that of Python, everything else (this package, modules of a user's own) by its files.

A user's module that imports what is not there is refused, unless the import stands under a condition or where
ImportError is caught: then that it is missing counts. What it imports by a name that is no text in its source
cannot be followed: a warning tells of it.

Modules of this package define things and do nothing else when they are imported. So one of its `__init__`
that only re-exports counts through the names that are taken from it: who takes `config.Train` depends on the
module that defines it, and not on every other that stands there.
"""

from __future__ import annotations

import ast
import hashlib
import logging
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from dlas.errors import UserError
from dlas.plugins.finding import module_spec

log = logging.getLogger(__name__)

OURS = "dlas"

EVERYTHING = "*"

DECIDE_NO_RESULT = MappingProxyType(
    {
        "filelock": "keeps processes apart",
        "psutil": "tells of the machine, which counts as the target",
        "pydantic": "checks what documents hold and changes nothing of it",
        "tqdm": "shows how far the work is",
        "ziglang": "links, and what links a library changes nothing that it computes",
    }
)
"""Packages whose versions do not count, and why."""

IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})

Read = Callable[[Path], bytes]


@dataclass(frozen=True)
class Code:
    """The code behind a piece of work: its modules and the packages that they call."""

    modules: Mapping[str, str]
    """Dotted name to the sha256 (hex) of the module's code that runs; "missing" for one that an import names
    in vain."""
    packages: Mapping[str, str]
    """Distribution to version, with Python's own."""


@dataclass(frozen=True)
class _Import:
    """An import: `from module import name`, or `import module` where the name is empty."""

    module: str
    name: str
    used: frozenset[str]
    """The attributes that are read of the import; `EVERYTHING` where it is used in another way."""
    needed_at: int = 0
    """The line of an import that must succeed; 0 of one that may fail."""


@dataclass(frozen=True)
class _Source:
    digest: str
    imports: tuple[_Import, ...]
    unseen: tuple[int, ...]
    """The lines that import a module by a name which is no text in the source."""
    exports: Mapping[str, tuple[str, str]] | None
    """The names that an `__init__` re-exports, with module and name there; None where it does more."""


def code_of(roots: Iterable[str], read: Read | None = None) -> Code:
    """The code behind the modules `roots` (dotted names). `read` gives a file's content.

    UserError for a root that is no module, for a user's module that imports one in vain, for source that
    can't be read, and where a file was changed since this process first read it: what runs here may be the
    older one.
    """
    closure = _Closure(read or as_first_read)
    for root in sorted(set(roots)):
        closure.add_root(root)
    return closure.code()


_first: dict[Path, bytes] = {}


def as_first_read(path: Path) -> bytes:
    """The file's content; UserError where it is another than when this process first read it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"this code cannot be read: {error.strerror}", key=str(path)) from None
    if _first.setdefault(path, content) != content:
        raise UserError(
            "this code was changed while the run was at work, which may still have the older one",
            key=str(path),
            remedy="start again; the finished stages are kept",
        )
    return content


def remember(roots: Iterable[str]) -> None:
    """Read this package and the code behind `roots` now, so that a later change of it is noticed.

    Keys are made one stage after the other, while Python imports most modules at the start. UserError as
    `code_of`.
    """
    for path in sorted(Path(__file__).parents[2].rglob("*.py")):
        as_first_read(path)
    code_of(roots)


class _Closure:
    """The import closure as far as it was followed."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._modules: dict[str, str] = {}
        self._sources: dict[str, _Source] = {}
        self._waiting: list[_Import] = []
        self._packages = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}

    def code(self) -> Code:
        return Code(dict(sorted(self._modules.items())), dict(sorted(self._packages.items())))

    def add_root(self, module: str) -> None:
        if not module or _located(module) is None:
            raise UserError(
                f"there is no module '{module}', which a stage needs",
                key=module or "module",
                remedy="a dotted path that Python can import; PYTHONPATH=<folder> adds modules of your own",
            )
        self._add(module)
        while self._waiting:
            self._add_import(self._waiting.pop())

    def _add(self, module: str) -> None:
        """Add the module and the packages around it; their own imports are followed later."""
        if module in self._modules or _is_standard(module):
            return
        package = _installed(module)
        if package:
            counted = {name: package[name] for name in package if name not in DECIDE_NO_RESULT}
            self._packages.update(counted)
            return
        spec = _located(module)
        if spec is None:
            if module not in DECIDE_NO_RESULT:
                self._modules[module] = "missing"
            return
        for around in _packages_around(module):
            if self._exports(around) is None:
                self._add(around)
        path = _file(spec)
        if path is None:
            return  # a namespace package: a folder without code of its own
        source = self._source(module, spec)
        self._modules[module] = source.digest
        if module.partition(".")[0] != OURS:
            _require_found(source.imports, path)
            for line in source.unseen:
                _warn_of_unseen(path, line)
        self._waiting += source.imports

    def _add_import(self, wanted: _Import) -> None:
        inner = f"{wanted.module}.{wanted.name}"
        if not wanted.name:
            self._add_used(wanted.module, wanted.used)
        elif _is_module(inner):
            self._add_used(inner, wanted.used)
        else:
            self._add_name(wanted.module, wanted.name)

    def _add_used(self, module: str, used: frozenset[str]) -> None:
        """Add a module that is used as an object, of which these attributes are read."""
        if self._exports(module) is None or EVERYTHING in used:
            self._add(module)
            return
        for name in sorted(used):
            self._add_name(module, name)

    def _add_name(self, module: str, name: str) -> None:
        """Add the module that defines `name` of `module`."""
        exports = self._exports(module)
        if exports is None or name == EVERYTHING:
            self._add(module)
        elif name in exports:
            origin, original = exports[name]
            self._add_import(_Import(origin, original, frozenset({EVERYTHING})))
        elif _is_module(f"{module}.{name}"):
            self._add(f"{module}.{name}")
        elif not name.startswith("__"):  # what Python itself gives a module, and its version
            self._add(module)

    def _exports(self, module: str) -> Mapping[str, tuple[str, str]] | None:
        """The re-exports of a package of ours that does nothing else; None for any other module."""
        if module.partition(".")[0] != OURS:
            return None
        spec = _located(module)
        if spec is None or spec.submodule_search_locations is None or _file(spec) is None:
            return None
        return self._source(module, spec).exports

    def _source(self, module: str, spec: ModuleSpec) -> _Source:
        """The source of the module, read once."""
        if module not in self._sources:
            self._sources[module] = self._read_source(module, spec)
        return self._sources[module]

    def _read_source(self, module: str, spec: ModuleSpec) -> _Source:
        path = _file(spec)
        assert path is not None
        package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
        content = self._read(path)
        if path.suffix != ".py":
            return _Source(hashlib.sha256(content).hexdigest(), (), (), None)
        try:
            return _parsed(content, package)
        except SyntaxError as error:
            raise UserError(f"this code cannot be read: {error}", key=str(path)) from None


@cache
def _parsed(content: bytes, package: str) -> _Source:
    """The code that runs of a module's source; its relative imports start from `package`."""
    tree = ast.parse(content)
    nodes = list(_running(tree))
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    unseen = sorted(call.lineno for call in _import_calls(nodes) if not _called_for(call, package))
    return _Source(digest, tuple(_imports(nodes, package)), tuple(unseen), _exports(tree, package))


def _require_found(imports: Iterable[_Import], path: Path) -> None:
    for each in imports:
        module = each.module
        if each.needed_at and not (_is_standard(module) or _is_module(module) or _installed(module)):
            raise UserError(
                f"line {each.needed_at} imports '{module}', and there is no such module",
                key=str(path),
                remedy="install it or add its folder to PYTHONPATH; or, where the work goes without it, "
                "catch ImportError around the import",
            )


@cache
def _warn_of_unseen(path: Path, line: int) -> None:
    """Warn, once in a process, of an import that can't be followed."""
    log.warning(
        "%s, line %d, imports a module whose name is not written there: a change of that module goes "
        "unnoticed, and results stored before it are used. Write the name there, or use an import statement",
        path,
        line,
    )


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Remove, in place, what does not run from the tree; yields every node that is left."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, [kept for each in block for kept in _kept(each)])
        waiting += ast.iter_child_nodes(node)


def _kept(statement: ast.AST) -> list[ast.AST]:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return []
    if isinstance(statement, ast.Assign) and _assigns(statement, "__version__"):
        return []
    if isinstance(statement, ast.If) and "TYPE_CHECKING" in (
        getattr(statement.test, "id", ""),
        getattr(statement.test, "attr", ""),
    ):
        return [kept for each in statement.orelse for kept in _kept(each)]
    return [statement]


def _imports(nodes: list[ast.AST], package: str) -> Iterator[_Import]:
    used = _attributes(nodes)
    optional = _optional(nodes)
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.asname is None and "." in alias.name
                read = frozenset({EVERYTHING}) if whole else used(alias.asname or alias.name)
                yield _Import(alias.name, "", read, 0 if node in optional else node.lineno)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            for alias in node.names:
                read = used(alias.asname or alias.name)
                yield _Import(module, alias.name, read, 0 if node in optional else node.lineno)
        else:
            for name in _started(node):
                yield _Import(name, "", frozenset({EVERYTHING}))
    for call in _import_calls(nodes):
        if name := _called_for(call, package):
            yield _Import(name, "", frozenset({EVERYTHING}), 0 if call in optional else call.lineno)


def _optional(nodes: list[ast.AST]) -> set[ast.AST]:
    """Nodes under a condition, or where a failed import is caught."""
    return {inner for node in nodes if _may_be_skipped(node) for inner in ast.walk(node)}


def _may_be_skipped(node: ast.AST) -> bool:
    if isinstance(node, ast.Try):
        return any(handler.type is None or _names(handler.type) & IMPORT_ERRORS for handler in node.handlers)
    if isinstance(node, ast.With):
        return any(
            "suppress" in _names(item.context_expr) and _names(item.context_expr) & IMPORT_ERRORS
            for item in node.items
        )
    return isinstance(node, ast.If)


def _names(expression: ast.AST) -> set[str]:
    """Every name in the expression, with those of attributes."""
    return {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(expression)}


def _absolute(node: ast.ImportFrom, package: str) -> str:
    return _resolved("." * node.level + (node.module or ""), package)


def _resolved(name: str, package: str) -> str:
    """The absolute name; one that begins with dots is taken from `package`."""
    relative = name.lstrip(".")
    level = len(name) - len(relative)
    if not level:
        return name
    parts = package.split(".")
    around = parts[: len(parts) - level + 1]
    return ".".join([*around, relative] if relative else around)


def _started(node: ast.AST) -> list[str]:
    """The modules that are named as text where Python is told to run one."""
    if not isinstance(node, ast.List | ast.Tuple):
        return []
    texts = [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
    return [module for flag, module in pairwise(texts) if flag == "-m" and isinstance(module, str)]


def _import_calls(nodes: list[ast.AST]) -> list[ast.Call]:
    """Calls of Python's functions that import a module by its name."""
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    functions = ("import_module", "__import__")
    return [call for call in calls if getattr(call.func, "id", getattr(call.func, "attr", "")) in functions]


def _called_for(call: ast.Call, package: str) -> str:
    """The module that such a call imports; "" where the source does not tell."""
    given = dict(enumerate(call.args)) | {each.arg: each.value for each in call.keywords}
    name, start = given.get(0, given.get("name")), given.get(1, given.get("package"))
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        return ""
    if not name.value.startswith("."):
        return name.value
    if isinstance(start, ast.Constant) and isinstance(start.value, str):
        return _resolved(name.value, start.value)
    return _resolved(name.value, package) if getattr(start, "id", "") in ("__package__", "__name__") else ""


def _attributes(nodes: list[ast.AST]) -> Callable[[str], frozenset[str]]:
    """A function from a name in a module to the attributes that are read of it."""
    read: dict[str, set[str]] = {}
    only: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            read.setdefault(node.value.id, set()).add(node.attr)
            only.add(id(node.value))
    for node in nodes:
        if isinstance(node, ast.Name) and id(node) not in only:
            read.setdefault(node.id, set()).add(EVERYTHING)
    return lambda name: frozenset(read.get(name, ()))


def _exports(tree: ast.Module, package: str) -> Mapping[str, tuple[str, str]] | None:
    """The re-exported names, where the module consists of nothing else."""
    exports: dict[str, tuple[str, str]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            module = _absolute(statement, package)
            exports |= {alias.asname or alias.name: (module, alias.name) for alias in statement.names}
        elif not (isinstance(statement, ast.Assign) and _assigns(statement, "__all__")):
            return None
    return None if EVERYTHING in exports else exports


def _assigns(statement: ast.Assign, name: str) -> bool:
    return [getattr(target, "id", "") for target in statement.targets] == [name]


def _packages_around(module: str) -> list[str]:
    """The packages around the module, outermost first."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _is_standard(module: str) -> bool:
    """Whether the module is of the standard library, and not a user's own of the same name."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names and _lies_in_standard_library(top, tuple(sys.path))


@cache
def _lies_in_standard_library(top: str, searched: tuple[str, ...]) -> bool:
    spec = _spec(top, searched)
    path = _file(spec) if spec is not None else None
    return path is None or path.is_relative_to(sysconfig.get_path("stdlib"))


def _is_module(module: str) -> bool:
    return _located(module) is not None


def _located(module: str) -> ModuleSpec | None:
    return _spec(module, tuple(sys.path))


@cache
def _spec(module: str, searched: tuple[str, ...]) -> ModuleSpec | None:
    """The spec of the module; `searched` is what sys.path is now."""
    return module_spec(module)


def _file(spec: ModuleSpec) -> Path | None:
    return Path(spec.origin) if spec.has_location and spec.origin is not None else None


@cache
def _site_folders() -> tuple[Path, ...]:
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    return tuple(Path(folder).resolve() for folder in {*folders, *site.getsitepackages()})


def _installed(module: str) -> Mapping[str, str]:
    """The distributions that an installed module belongs to, with their versions; none of code that is not
    installed, and of this package. A module that its package makes as it runs belongs to them too."""
    top = module.partition(".")[0]
    return {} if top == OURS else _distributions(top, tuple(sys.path))


@cache
def _distributions(top: str, searched: tuple[str, ...]) -> Mapping[str, str]:
    spec = _spec(top, searched)
    if spec is None:
        return {}
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    found = [Path(str(place)).resolve() for place in places]
    if not any(place.is_relative_to(folder) for folder in _site_folders() for place in found):
        return {}
    return {name: version for name, version, record in _records() if _lists(record, top)}


@cache
def _records() -> tuple[tuple[str, str, str], ...]:
    """Name, version and list of files of every installed distribution.

    `importlib.metadata.packages_distributions` tells the same, and takes half a second longer.
    """
    return tuple((each.name, each.version, each.read_text("RECORD") or "") for each in distributions())


def _lists(record: str, top: str) -> bool:
    """Whether a distribution's list of files has that top-level module."""
    return any(f"\n{top}{rest}" in f"\n{record}" for rest in ("/", "."))
