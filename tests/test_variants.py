"""Tables of variants: what an algorithm of dlas's own and of a user's is served by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_config import parsed

from dlas.errors import UserError
from dlas.interfaces.program import ConvLayer
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS, variants
from dlas.systems.choices.declared_algorithm import kernel_algorithm, serving_modules, unsupported
from dlas.systems.choices.kind import Kind
from dlas.systems.program.kernels import scheduling_modules

LAYER = ConvWorkload(1, 8, 9, 9, 16, (3, 3))
INTEGER = replace(LAYER, dtype="int8")
SPARSE = replace(LAYER, format="csr")
GPU = CodeTarget(triple="", cpu="", cores=1, vector_bytes=16, vector_registers=16, kind="cuda")
FOUR = ("dense", "sparse", "int8", "cuda")
ALONE = {"alone": "dense", "direct": "dense"}


@pytest.fixture
def users_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The table of the package `own.fast`, none of whose modules can be imported."""
    family = tmp_path / "own" / "fast"
    family.mkdir(parents=True)
    fields = [f"{name}='own.fast.{name}'" for name in FOUR]
    own = "from dlas.algorithms.direct.{} import *\nraise RuntimeError('imported')\n"
    for module, served_as in {"__init__": "variants", **dict(zip(FOUR, FOUR, strict=True)), **ALONE}.items():
        (family / f"{module}.py").write_text(own.format(served_as))
    (family / "variants.py").write_text(
        "from dlas.interfaces.variants import Variants\n"
        "raise RuntimeError('run')\n"
        f"VARIANTS = {{'fast': Variants({', '.join(fields)})}}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return family / "variants.py"


@pytest.mark.parametrize(
    ("name", "workload", "served_by"),
    [
        ("direct", LAYER, "direct"),
        ("direct", SPARSE, "direct_sparse"),
        ("gemm", INTEGER, "gemm_int8"),
        ("winograd_f4", LAYER, "winograd_f4"),
        ("winograd_f4", SPARSE, None),
        ("own.fast.dense", LAYER, "own.fast.dense"),
        ("own.fast.dense", SPARSE, "own.fast.sparse"),
        ("own.fast.dense", INTEGER, "own.fast.int8"),
        ("own.fast.alone", SPARSE, None),
    ],
)
def test_a_kernel_is_that_of_the_table(
    name: str, workload: ConvWorkload, served_by: str | None, users_family: Path
) -> None:
    assert kernel_algorithm(name, workload) == served_by
    if served_by is None:
        assert unsupported(name, workload) == f"{name.rpartition('.')[2]} is not made for weights in csr"
    else:
        assert ALGORITHMS.exists(served_by)


def test_the_code_of_a_users_variants_counts(users_family: Path) -> None:
    found = serving_modules(Kind("own.fast.dense", "csr"), integer=True)
    assert {"own.fast.dense", "own.fast.sparse", "own.fast.int8"} <= set(found)
    assert "own.fast.cuda" not in found
    layer = ConvLayer("conv1", LAYER, "own.fast.dense", "own.fast.dense")
    assert scheduling_modules([layer], GPU) == ["own.fast.dense", "own.fast.cuda"]


def test_a_users_algorithm_has_the_formats_and_the_targets_of_its_table(users_family: Path) -> None:
    declared = ("algo.module=own.fast.dense", "compression=weight_pruning")
    parsed(*declared, "format=csr")
    parsed("algo.module=own.fast.dense", "target=cuda", "target.arch=sm_90", "tuner=none")
    with pytest.raises(UserError, match="has no kernels for weights in csr"):
        parsed("algo.module=own.fast.alone", "compression=weight_pruning", "format=csr")
    with pytest.raises(UserError, match=r"GPUs have no schedule of own\.fast\.alone"):
        parsed("algo.module=own.fast.alone", "target=cuda", "target.arch=sm_90", "tuner=none")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("Variants('own.fast.dense')", "by name"),
        ("Variants(dense='own.fast.dense', sprase='own.fast.sparse')", "sprase"),
        ("Variants(sparse='own.fast.sparse')", "dense"),
        ("Variants(dense='own.fast.dense', sparse=MODULE)", "MODULE|malformed"),
        ("Variants(dense='own.fast.dense', sparse=3)", "dotted path"),
        ("'own.fast.dense'", "by name"),
    ],
)
def test_a_table_that_is_not_written_out_is_refused_where_it_lies(
    written: str, told: str, users_family: Path
) -> None:
    users_family.write_text(f"VARIANTS = {{'fast': {written}}}")
    with pytest.raises(UserError, match=told) as refused:
        parsed("algo.module=own.fast.dense")
    assert refused.value.key == str(users_family)
    assert "VARIANTS = {" in refused.value.remedy


def test_what_is_no_family_has_dense_kernels_only() -> None:
    assert variants("json.decoder").dense == "json.decoder"
    assert variants("json.decoder").sparse is None


def test_algorithms_whose_kernels_would_be_called_alike_are_refused(users_family: Path) -> None:
    with pytest.raises(UserError, match=r"direct and own\.fast\.direct") as refused:
        parsed("algo=auto", "algo.candidates=[direct,own.fast.direct]")
    assert refused.value.key == "algo.candidates"
    parsed("algo=auto", "algo.candidates=[direct,own.fast.dense]")
