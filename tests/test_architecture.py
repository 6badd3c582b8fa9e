"""The structure that docs/architecture.md tells of: arrows point down, and no room is a hall."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "dlas"

MAX_ROOM = 15
"""Entries of a folder; of models and data sets there may be as many as people want."""

FULL_OF_CHOICES = {"dlas", "dlas.models", "dlas.datasets"}


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Imports of a file, wherever in it they stand; a type that is named for the reader alone is no arrow."""
    found: list[ast.Import | ast.ImportFrom] = []
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            waiting += ast.iter_child_nodes(node)
    return tuple(found)


def imported(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports."""
    for node in imports(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else node.module for name in names)


def libraries(path: Path) -> set[str]:
    """What a file imports, by the first word of its name."""
    nodes = imports(path)
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def rooms_used() -> Mapping[str, Mapping[str, set[str]]]:
    """For every folder, which of its entries takes something of which other."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, path in MODULES.items():
        for other in imported(path):
            here, there = name.split("."), other.split(".")
            shared = next(
                (at for at, (a, b) in enumerate(zip(here, there, strict=False)) if a != b),
                min(len(here), len(there)),
            )
            if shared < min(len(here), len(there)):
                found[".".join(here[:shared])][here[shared]].add(there[shared])
    return found


USED = rooms_used()


@pytest.mark.parametrize("folder", sorted(USED))
def test_no_two_entries_of_a_folder_need_each_other(folder: str) -> None:
    assert USED[folder]
    try:
        TopologicalSorter(USED[folder]).prepare()
    except CycleError as error:
        pytest.fail(f"{folder}: {' <- '.join(error.args[1])}")


def test_no_room_is_a_hall() -> None:
    entries: dict[str, set[str]] = defaultdict(set)
    for name in MODULES:
        folder, _, entry = name.rpartition(".")
        entries[folder].add(entry)
    halls = {
        folder: len(inside)
        for folder, inside in entries.items()
        if len(inside) > MAX_ROOM and folder not in FULL_OF_CHOICES
    }
    assert not halls
    assert len(entries) > 20


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("mlflow", {"dlas.tracking"}),
        ("hydra", {"dlas.run", "dlas.config", "dlas.tracking.sweep"}),
        ("rich", {"dlas.points.view"}),
        ("torchao", {"dlas.models.quantized", "dlas.models.quantizer"}),
        ("torch_pruning", {"dlas.compression"}),
        ("tvm", {"dlas.algorithms", "dlas.bundle", "dlas.hardware", "dlas.systems", "dlas.testing"}),
    ],
)
def test_a_library_stays_behind_its_doors(library: str, rooms: set[str]) -> None:
    users = {name for name, path in MODULES.items() if library in libraries(path)}
    assert users
    assert {name for name in users if not any(f"{name}.".startswith(f"{room}.") for room in rooms)} == set()


def test_the_analysis_knows_neither_where_points_come_from_nor_what_made_them() -> None:
    users = [path for name, path in MODULES.items() if name.startswith("dlas.analysis")]
    assert users
    found = {library for path in users for library in libraries(path)}
    assert not found & {"mlflow", "hydra", "omegaconf", "torch", "tvm", "statsmodels"}


def test_the_analysis_is_imported_without_heavy_packages() -> None:
    modules = ", ".join(name for name in MODULES if name.startswith("dlas.analysis"))
    heavy = {"mlflow", "hydra", "torch", "tvm", "statsmodels", "pandas"}
    code = f"import sys, {modules}; print(sorted({heavy!r} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
