"""The code that does a piece of work: the modules that it imports, theirs, and the packages that these call.

Imports are read from the source, wherever in it they stand; nothing is imported for it. A module counts by
its syntax tree, less what decides nothing: comments, docstrings, blank lines, what stands under
`if TYPE_CHECKING`, the number of its version. Modules in site-packages count by their distribution's version,
the standard library by that of Python, everything else (this package, modules of a user's own) by its files.

Modules of this package define things and do nothing else when they are imported. So one of its `__init__`
that only re-exports counts through the names that are taken from it: who takes `config.Train` depends on the
module that defines it, and not on every other that stands there.
"""

from __future__ import annotations

import ast
import hashlib
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

from dlas.errors import UserError
from dlas.finding import module_spec

OURS = "dlas"

EVERYTHING = "*"

Read = Callable[[Path], bytes]


@dataclass(frozen=True)
class Code:
    """What a piece of work consists of."""

    modules: Mapping[str, str]
    """Dotted name to the sha256 (hex) of what runs of it; "missing" for one that an import names in vain."""
    packages: Mapping[str, str]
    """Distribution to version, and that of Python."""


@dataclass(frozen=True)
class _Import:
    """`from module import name`, or `import module` where the name is empty."""

    module: str
    name: str
    used: frozenset[str]
    """The attributes that are read of it; `EVERYTHING` where it is used in another way."""


@dataclass(frozen=True)
class _Source:
    digest: str
    imports: tuple[_Import, ...]
    exports: Mapping[str, tuple[str, str]] | None
    """Of an `__init__` that only re-exports: the name to the module and the name there."""


def code_of(roots: Iterable[str], read: Read | None = None) -> Code:
    """The code behind the modules `roots` (dotted names). `read` gives a file's content.

    UserError for a root that is no module, for source that can't be read, and where a file was changed since
    this process first read it: what runs here may be the older one.
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


class _Closure:
    """What was found so far."""

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
                f"there is no module '{module}', and the work of a stage is done by it",
                key=module or "module",
                remedy="a dotted path that Python can import; PYTHONPATH=<folder> adds modules of your own",
            )
        self._add(module)
        while self._waiting:
            self._add_import(self._waiting.pop())

    def _add(self, module: str) -> None:
        """The module and the packages around it; what they import waits."""
        if module in self._modules or _is_standard(module):
            return
        spec = _located(module)
        if spec is None:
            self._modules[module] = "missing"
            return
        package = _installed(module, spec)
        if package:
            self._packages.update(package)
            return
        for around in _packages_around(module):
            if self._exports(around) is None:
                self._add(around)
        path = _file(spec)
        if path is None:
            return  # a namespace package: a folder without code of its own
        source = self._source(module, spec)
        self._modules[module] = source.digest
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
        """A module as an object, of which these attributes are read."""
        if self._exports(module) is None or EVERYTHING in used:
            self._add(module)
            return
        for name in sorted(used):
            self._add_name(module, name)

    def _add_name(self, module: str, name: str) -> None:
        """What defines the name that the module has."""
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
        """Of a package of ours that only re-exports; None of any other module."""
        if module.partition(".")[0] != OURS:
            return None
        spec = _located(module)
        if spec is None or spec.submodule_search_locations is None or _file(spec) is None:
            return None
        return self._source(module, spec).exports

    def _source(self, module: str, spec: ModuleSpec) -> _Source:
        """Read once."""
        if module not in self._sources:
            self._sources[module] = self._read_source(module, spec)
        return self._sources[module]

    def _read_source(self, module: str, spec: ModuleSpec) -> _Source:
        path = _file(spec)
        assert path is not None
        package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
        content = self._read(path)
        if path.suffix != ".py":
            return _Source(hashlib.sha256(content).hexdigest(), (), None)
        try:
            return _parsed(content, package)
        except SyntaxError as error:
            raise UserError(f"this code cannot be read: {error}", key=str(path)) from None


@cache
def _parsed(content: bytes, package: str) -> _Source:
    """What runs of the source of a module, whose relative imports start from `package`."""
    tree = ast.parse(content)
    nodes = list(_running(tree))
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return _Source(digest, tuple(_imports(nodes, package)), _exports(tree, package))


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that is left when the tree has lost, in place, what does not run."""
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
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.asname is None and "." in alias.name
                read = frozenset({EVERYTHING}) if whole else used(alias.asname or alias.name)
                yield _Import(alias.name, "", read)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            for alias in node.names:
                yield _Import(module, alias.name, used(alias.asname or alias.name))
        else:
            for name in _named(node):
                yield _Import(name, "", frozenset({EVERYTHING}))


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    around = parts[: len(parts) - node.level + 1]
    return ".".join([*around, node.module] if node.module else around)


def _named(node: ast.AST) -> list[str]:
    """The modules that are named as text where Python is told to run or to import one."""
    if isinstance(node, ast.List | ast.Tuple):
        texts = [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
        return [module for flag, module in pairwise(texts) if flag == "-m" and isinstance(module, str)]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        name = node.args[0].value
        return [name] if called in ("import_module", "__import__") and isinstance(name, str) else []
    return []


def _attributes(nodes: list[ast.AST]) -> Callable[[str], frozenset[str]]:
    """What tells of a name in a module the attributes that are read of it."""
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
    """Outermost first."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _is_standard(module: str) -> bool:
    """Whether it is of the standard library, and not of a user's own by the same name."""
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
    """Where the module lies, `searched` being what sys.path is now."""
    return module_spec(module)


def _file(spec: ModuleSpec) -> Path | None:
    return Path(spec.origin) if spec.has_location and spec.origin is not None else None


@cache
def _site_folders() -> tuple[Path, ...]:
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    return tuple(Path(folder).resolve() for folder in {*folders, *site.getsitepackages()})


def _installed(module: str, spec: ModuleSpec) -> Mapping[str, str]:
    """The distributions that an installed module belongs to, with their versions; none of code that is not
    installed, and of this package."""
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
