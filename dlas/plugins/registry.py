"""Names that last: what is written to disk says `direct`, wherever the code of `direct` lies by then.

    ALGORITHMS.names()                             those of the package's own
    ALGORITHMS.name("dlas.algorithms.direct")      direct, as it was written before it had a name
    ALGORITHMS.path("direct")                      dlas.algorithms.direct.dense
    ALGORITHMS.load("direct")                      that module
    ALGORITHMS.require_trusted("direct", ())       before anything that somebody else named is imported

An implementation of the package's own is named by its file in the room of its kind, a network by its
factory, an algorithm by the table of its family: nothing else lists them. The only name of a user's own is
the dotted path by which Python imports it.
Nothing is imported to find a name.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from dlas.errors import UserError, require
from dlas.interfaces.variants import Variants
from dlas.plugins import variant_tables
from dlas.plugins.finding import is_ours, module_exists
from dlas.printable import printable

if TYPE_CHECKING:
    from dlas.interfaces.algorithm import Algorithm
    from dlas.interfaces.compiler import NetworkCompiler
    from dlas.interfaces.compression import Compression
    from dlas.interfaces.dataset import Dataset
    from dlas.interfaces.network import NetworkFactory
    from dlas.interfaces.tuner import Tuner

Interface = TypeVar("Interface")
"""Interface that an implementation of the kind offers."""


@dataclass(frozen=True)
class Registry(Generic[Interface]):
    """The implementations of one kind, by name."""

    kind: str
    """Word for one of the kind in messages."""
    room: str
    """The package with those of dlas's own."""
    find: Callable[[], Mapping[str, str]]
    """Look-up of dlas's own: their dotted paths by their names."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Names that were written before, or paths below the room, to the names of now."""

    def names(self) -> list[str]:
        """Names of dlas's own."""
        return sorted(self.find())

    def name(self, given: str) -> str:
        """The name that lasts; a dotted path of a user's own, and what there is not, as it was given."""
        by_path = {path: name for name, path in self.find().items()}
        short = by_path.get(given, given.removeprefix(f"{self.room}."))
        short = self.renamed.get(short, short)
        return short if short in self.find() else given

    def path(self, name: str) -> str:
        """The dotted path to import it by."""
        return self.find().get(self.name(name), name)

    def exists(self, name: str) -> bool:
        """Whether there is an implementation of that name, of dlas's own or of a user's."""
        own = self.name(name) in self.find()
        return own or (not is_ours(name) and bool(name) and module_exists(name))

    def load(self, name: str) -> Interface:
        """Import the module of the implementation."""
        return cast(Interface, import_module(self.path(name)))

    def require(self, key: str, name: str) -> None:
        """Raises `UserError` (`key`) where there is none of that name."""
        require(self.exists(name), key, f"there is no {self.kind} '{name}'", self.remedy())

    def require_trusted(self, name: str, trusted: Collection[str]) -> None:
        """Raises `UserError` (bundle) for one that is neither of dlas's own nor of a trusted package."""
        if self.name(name) in self.find():
            return
        package = name.partition(".")[0]
        if not is_ours(name) and package in trusted:
            self.require("trust", name)
            return
        own = is_ours(name) or not all(part.isidentifier() for part in name.split("."))
        raise UserError(
            f"the bundle names the {self.kind} '{printable(name)}': it is not dlas's own and is not imported",
            key="bundle",
            remedy=f"dlas has {', '.join(self.names())}."
            if own
            else f"If you know that package and trust it: trust={package}",
        )

    def remedy(self) -> str:
        """Sentence on the names that are allowed, for a message."""
        return (
            f"one of: {', '.join(self.names())}; or a dotted path that Python can import; "
            "PYTHONPATH=<folder> adds modules of your own"
        )


def variants(algorithm: str) -> Variants:
    """The modules of an algorithm, by its name or the dotted path of a user's own. What has no table has no
    kernels but its dense ones.

    UserError where a user's table is not written out.
    """
    own = _families(ALGORITHMS.room).get(ALGORITHMS.name(algorithm))
    if own is not None:
        return own
    beside = () if is_ours(algorithm) else variant_tables.table_beside(algorithm).values()
    return next((each for each in beside if each.dense == algorithm), Variants(dense=algorithm))


def kernel_names(algorithm: str) -> list[str]:
    """Names that a record may give for the kernel of a layer that the algorithm serves: its own, and those of
    its variants."""
    made = variants(algorithm)
    return [ALGORITHMS.name(module) for module in (made.dense, made.sparse, made.int8) if module is not None]


@cache
def _modules(room: str, *offered: str) -> Mapping[str, str]:
    """Every module of the room that offers these names."""
    files = sorted(_folder(room).glob("*.py"))
    return {file.stem: f"{room}.{file.stem}" for file in files if set(offered) <= _defined(file)}


@cache
def _families(room: str) -> Mapping[str, Variants]:
    """The tables of the room's families, as one."""
    files = sorted(_folder(room).glob(f"*/{variant_tables.MODULE}.py"))
    return {name: entry for file in files for name, entry in variant_tables.table(file).items()}


@cache
def _algorithms(room: str) -> Mapping[str, str]:
    """Every algorithm of the room's families, with those for sparse and for int8 weights."""
    return {
        f"{name}{suffix}": module
        for name, entry in _families(room).items()
        for suffix, module in (("", entry.dense), ("_sparse", entry.sparse), ("_int8", entry.int8))
        if module is not None
    }


@cache
def _tuners(room: str, *offered: str) -> Mapping[str, str]:
    """Every tuner of the room: a module, or the module `tuner` of a folder, that offers these names."""
    folders = {
        file.parent.name: f"{room}.{file.parent.name}.tuner"
        for file in sorted(_folder(room).glob("*/tuner.py"))
        if set(offered) <= _defined(file)
    }
    return {**_modules(room, *offered), **folders}


@cache
def _network_compilers(room: str, *offered: str) -> Mapping[str, str]:
    """The module `compiler` of every folder of the room that offers these names."""
    return {
        file.parent.name: f"{room}.{file.parent.name}.compiler"
        for file in sorted(_folder(room).glob("*/compiler.py"))
        if set(offered) <= _defined(file)
    }


@cache
def _factories(room: str) -> Mapping[str, str]:
    """Every public function of a module of the room that takes the number of `classes` and nothing else."""
    return {
        one.name: f"{room}.{file.stem}.{one.name}"
        for file in sorted(_folder(room).glob("*.py"))
        for one in ast.parse(file.read_bytes()).body
        if isinstance(one, ast.FunctionDef)
        and not one.name.startswith("_")
        and ast.unparse(one.args) == "classes: int"
    }


def _folder(room: str) -> Path:
    return Path(__file__).resolve().parents[2].joinpath(*room.split("."))


def _defined(file: Path) -> set[str]:
    """Names that `from module import name` would find, by the module's source."""
    names: set[str] = set()
    for statement in ast.parse(file.read_bytes()).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in statement.names}
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
            names |= {node.id for node in stored if isinstance(node.ctx, ast.Store)}
    return names


ALGORITHMS: Registry[Algorithm] = Registry(
    "algorithm",
    "dlas.algorithms",
    lambda: _algorithms("dlas.algorithms"),
    {
        f"{algorithm}_{weight_format}": f"{algorithm}_sparse"  # one module for each format, once
        for algorithm in ("direct", "gemm", "spatial_pack")
        for weight_format in ("csr", "bsr", "channel_index")
    },
)
TUNERS: Registry[Tuner] = Registry(
    "tuner",
    "dlas.systems.tuners",
    lambda: _tuners("dlas.systems.tuners", "Settings", "tune", "best_schedules"),
)
COMPRESSIONS: Registry[Compression] = Registry(
    "compression",
    "dlas.compression",
    lambda: _modules("dlas.compression", "Settings", "rehearse", "compress", "restore"),
)
DATASETS: Registry[Dataset] = Registry(
    "dataset", "dlas.datasets", lambda: _modules("dlas.datasets", "Settings", "load")
)
FACTORIES: Registry[NetworkFactory] = Registry(
    "factory of a network", "dlas.models", lambda: _factories("dlas.models")
)
NETWORK_COMPILERS: Registry[NetworkCompiler] = Registry(
    "compiler of whole networks",
    "dlas.systems.compilers",
    lambda: _network_compilers(
        "dlas.systems.compilers", "PACKAGES", "PROGRAMS", "DATA_TYPES", "convert", "convert_again"
    ),
)
