"""Import closure of a piece of work: the modules that it imports, theirs, and the packages that they call.

What counts of each, and what does not, the package around this tells.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import MappingProxyType

from dlas.errors import UserError
from dlas.plugins.finding import is_ours
from dlas.stages.store.code import kept
from dlas.stages.store.code.distributions import installed
from dlas.stages.store.code.first_read import Read, as_first_read
from dlas.stages.store.code.imports import EVERYTHING, Import
from dlas.stages.store.code.modules import (
    file_of,
    is_module,
    is_standard,
    located,
    packages_around,
)
from dlas.stages.store.code.source import Source, of_bytes

log = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class Code:
    """The code behind a piece of work: its modules and the packages that they call."""

    modules: Mapping[str, str]
    """Dotted name to the sha256 (hex) of the module's code that runs; "missing" for one that an import names
    in vain."""
    packages: Mapping[str, str]
    """Distribution to version, with Python's own."""


def code_of(roots: Iterable[str], read: Read | None = None) -> Code:
    """The code behind the modules `roots` (dotted names). `read` gives a file's content; without it files are
    read as they are, and what was parsed of them is kept for later processes.

    UserError for a root that is no module, for a user's module that imports one in vain, for source that
    can't be read, and where a file was changed since this process first read it: what runs here may be the
    older one.
    """
    closure = _Closure(read or as_first_read)
    for root in sorted(set(roots)):
        closure.add_root(root)
    if read is None:
        kept.save()
    return closure.code()


class _Closure:
    """The import closure as far as it was followed."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._modules: dict[str, str] = {}
        self._sources: dict[str, Source] = {}
        self._waiting: list[Import] = []
        self._packages = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}

    def code(self) -> Code:
        return Code(dict(sorted(self._modules.items())), dict(sorted(self._packages.items())))

    def add_root(self, module: str) -> None:
        if not module or located(module) is None:
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
        if module in self._modules or is_standard(module):
            return
        package = installed(module)
        if package:
            counted = {name: package[name] for name in package if name not in DECIDE_NO_RESULT}
            self._packages.update(counted)
            return
        spec = located(module)
        if spec is None:
            if module not in DECIDE_NO_RESULT:
                self._modules[module] = "missing"
            return
        for around in packages_around(module):
            if self._exports(around) is None:
                self._add(around)
        path = file_of(spec)
        if path is None:
            return  # a namespace package: a folder without code of its own
        source = self._source(module, spec)
        self._modules[module] = source.digest
        if not is_ours(module):
            _require_found(source.imports, path)
            for line in source.unseen:
                _warn_of_unseen(path, line)
        self._waiting += source.imports

    def _add_import(self, wanted: Import) -> None:
        inner = f"{wanted.module}.{wanted.name}"
        if not wanted.name:
            self._add_used(wanted.module, wanted.used)
        elif is_module(inner):
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
            self._add_import(Import(origin, original, frozenset({EVERYTHING})))
        elif is_module(f"{module}.{name}"):
            self._add(f"{module}.{name}")
        elif not name.startswith("__"):  # what Python itself gives a module, and its version
            self._add(module)

    def _exports(self, module: str) -> Mapping[str, tuple[str, str]] | None:
        """The re-exports of a package of ours that does nothing else; None for any other module."""
        if not is_ours(module):
            return None
        spec = located(module)
        if spec is None or spec.submodule_search_locations is None or file_of(spec) is None:
            return None
        return self._source(module, spec).exports

    def _source(self, module: str, spec: ModuleSpec) -> Source:
        """The source of the module, read once."""
        if module not in self._sources:
            self._sources[module] = self._read_source(module, spec)
        return self._sources[module]

    def _read_source(self, module: str, spec: ModuleSpec) -> Source:
        path = file_of(spec)
        assert path is not None
        package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
        content = self._read(path)
        if path.suffix != ".py":
            return of_bytes(content)
        try:
            return kept.source(content, package)
        except SyntaxError as error:
            raise UserError(f"this code cannot be read: {error}", key=str(path)) from None


def _require_found(imports: Iterable[Import], path: Path) -> None:
    for each in imports:
        module = each.module
        if each.needed_at and not (is_standard(module) or is_module(module) or installed(module)):
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
