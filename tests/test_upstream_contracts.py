"""What this project uses of other packages that they do not promise: private names, texts, formats.

Each test holds one such contract against the real object of the other package. After an upgrade that breaks
one it says so within seconds: which package, which version, which files of ours rely on it. These tests run
before all others.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import inspect
import json
import logging
import mmap
import os
import pickle
import queue
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument

from dlas import tracking
from dlas.config import config_folder
from dlas.hardware.no_torch import without_torch

REPOSITORY = Path(__file__).parents[1]
ANSOR_PYTHON = REPOSITORY / "workers/ansor/.venv/bin/python"

CONTRACTS: dict[str, set[str]] = {}
"""The packages of the contracts below, and the files that rely on them."""

Test = Callable[..., None]


def upstream(package: str, *files: str) -> Callable[[Test], Test]:
    """A test of what these files of ours rely on in the package, which its failure names."""
    CONTRACTS.setdefault(package, set()).update(files)

    def named(test: Test) -> Test:
        @functools.wraps(test)
        def run(*arguments: Any, **fixtures: Any) -> None:
            try:
                test(*arguments, **fixtures)
            except (Exception, pytest.fail.Exception) as error:
                told = f"{package} {version(package)} broke what is relied on by {', '.join(files)}"
                raise AssertionError(f"{told}: {str(error) or type(error).__name__}") from error

        return run

    return named


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@functools.cache
def sources() -> Mapping[str, ast.Module]:
    """Our modules, by their paths from the repository's folder."""
    files = (*REPOSITORY.glob("dlas/**/*.py"), *REPOSITORY.glob("workers/ansor/*.py"))
    return {str(file.relative_to(REPOSITORY)): ast.parse(file.read_bytes()) for file in sorted(files)}


# Of the contracts themselves.


def test_every_file_that_uses_a_private_name_has_a_contract() -> None:
    having = {file for files in CONTRACTS.values() for file in files}
    using = {file for file, tree in sources().items() if private_names(tree)}
    assert "dlas/config/merging.py" in using
    assert using <= having


def test_every_contract_names_files_that_are_there() -> None:
    files = {file for files in CONTRACTS.values() for file in files}
    assert [file for file in sorted(files) if not (REPOSITORY / file).is_file()] == []


def test_a_broken_contract_names_the_package_and_our_files() -> None:
    @upstream("numpy", "dlas/datasets/shared/archive_pickle.py")
    def broken(how: Callable[[], None]) -> None:
        how()

    def lacking() -> None:
        raise AttributeError("no _reconstruct")

    def refusing_nothing() -> None:
        with pytest.raises(ValueError, match="no _reconstruct"):
            pass

    for how, said in ((lacking, "no _reconstruct"), (refusing_nothing, "DID NOT RAISE")):
        with pytest.raises(AssertionError, match=re.escape(f"numpy {version('numpy')}")) as failure:
            broken(how)
        assert "dlas/datasets/shared/archive_pickle.py" in str(failure.value)
        assert said in str(failure.value)


def private_names(tree: ast.AST) -> list[str]:
    """The names with an underscore that are read of other modules and objects than `self` and `os`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = getattr(node.value, "id", "")
            found += [] if owner in ("self", "cls", "os") else [node.attr]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] not in ("dlas", ""):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found += [name for name in names if is_private(name)]
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


# Names that exist. mypy takes every name of a package without types for one that there is.

UNTYPED = {
    "apache-tvm": ("tvm",),
    "apache-tvm-ffi": ("tvm_ffi",),
    "torchao": ("torchao",),
    "torch-pruning": ("torch_pruning",),
    "mlflow": ("mlflow",),
}


@pytest.mark.parametrize("package", UNTYPED)
def test_the_names_that_dlas_writes_exist(package: str) -> None:
    written = {
        name: files for name, files in names_read().items() if name.partition(".")[0] in UNTYPED[package]
    }
    assert written, f"dlas uses nothing of {package}"
    missing = {name: files for name, files in written.items() if not exists(name)}
    assert not missing, f"{package} {version(package)} has no longer what is read of it: {missing}"


@functools.cache
def names_read() -> Mapping[str, set[str]]:
    """What is imported of those packages, and the attributes that are read of what was imported; with the
    files of dlas that do so."""
    roots = {root for roots in UNTYPED.values() for root in roots}
    found: dict[str, set[str]] = {}
    for file, tree in sources().items():
        if file.startswith("dlas/"):
            for name in dotted_names([*ast.walk(tree)], roots):
                found.setdefault(name, set()).add(file)
    return found


def dotted_names(nodes: list[ast.AST], roots: set[str]) -> set[str]:
    imported: dict[str, str] = {}
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                if first in roots:
                    names.add(alias.name)
                    imported[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in roots:
            for alias in node.names:
                names.add(f"{node.module}.{alias.name}")
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    given = {node.arg for node in nodes if isinstance(node, ast.arg)}
    for node in nodes if imported else ():
        path = attribute_path(node) if isinstance(getattr(node, "ctx", None), ast.Load) else []
        if len(path) > 1 and path[0] in imported and path[0] not in given:
            names.add(".".join([imported[path[0]], *path[1:]]))
    return names


def attribute_path(node: ast.AST) -> list[str]:
    """[a, b, c] of `a.b.c`."""
    if isinstance(node, ast.Name):
        return [node.id]
    before = attribute_path(node.value) if isinstance(node, ast.Attribute) else []
    return [*before, node.attr] if before and isinstance(node, ast.Attribute) else []


@functools.cache
def exists(name: str) -> bool:
    first, *others = name.split(".")
    found, path = import_module(first), first
    for other in others:
        path = f"{path}.{other}"
        if not hasattr(found, other):
            try:
                import_module(path)
            except ImportError:
                return False
        found = getattr(found, other)
    return True


# Hydra and OmegaConf.


@upstream("hydra-core", "dlas/config/composing.py", "dlas/tracking/sweep/callback.py")
def test_hydra_composes_each_point_of_a_sweep_as_its_basic_sweeper_does() -> None:
    from hydra import initialize_config_dir
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        typed = ["seed=1,2", "algo=direct,gemm"]
        master = loader.load_configuration("config", typed, RunMode.MULTIRUN)
        sweeper = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"
        assert master.hydra.sweeper._target_ == sweeper
        assert list(master.hydra.overrides.task) == typed
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(typed)
        (combinations,) = BasicSweeper.split_arguments(overrides, None)
        assert [sorted(each) for each in combinations] == [
            ["algo=direct", "seed=1"],
            ["algo=gemm", "seed=1"],
            ["algo=direct", "seed=2"],
            ["algo=gemm", "seed=2"],
        ]
        master.hydra.overrides.hydra.append("+hydra.job.env_set.DLAS_SWEEP='abc'")
        point = loader.load_sweep_config(master, combinations[-1])
    assert (point.seed, point.algo.name) == (2, "gemm")
    assert point.hydra.job.env_set.DLAS_SWEEP == "abc"


@upstream("hydra-core", "dlas/config/loading.py")
def test_hydra_loads_in_the_steps_that_the_quick_loader_takes_over() -> None:
    """tests/test_loading.py compares what comes of it."""
    from hydra._internal import defaults_list
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.config_repository import CachingConfigRepository

    steps = {
        ConfigLoaderImpl._parse_overrides_and_create_caching_repo: ["config_name", "overrides"],
        ConfigLoaderImpl._compose_config_from_defaults_list: ["defaults", "repo"],
        ConfigLoaderImpl._load_single_config: ["default", "repo"],
    }
    for step, parameters in steps.items():
        assert list(inspect.signature(step).parameters) == ["self", *parameters]
    assert "HYDRA_REMOVE_TOP_LEVEL_DEFAULTS" in inspect.getsource(
        ConfigLoaderImpl._compose_config_from_defaults_list
    )
    assert {"delegate", "cache"} <= vars(CachingConfigRepository(None)).keys()  # type: ignore[arg-type]
    source = inspect.getsource(defaults_list._create_defaults_tree_impl)
    assert "known_choices = _create_interpolation_map(overrides, defaults_list, self_added)" in source
    assert source.count("resolve_interpolation(known_choices)") == 1


@upstream("hydra-core", "dlas/config/composing.py")
@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("seed=1,2", "Ambiguous value for argument 'seed=1,2'"),
        ("seed=range(1,3)", "Sweep parameters 'seed=range(1,3)' requires --multirun"),
        ("model=null", "Config group override must be"),
        ("no_such_key=1", "Could not override 'no_such_key'"),
    ],
)
def test_hydra_words_a_mistake_as_it_is_recognized(override: str, text: str) -> None:
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    with (
        initialize_config_dir(str(config_folder()), version_base="1.3"),
        pytest.raises((HydraException, ValueError)) as failure,
    ):
        compose("config", [override])
    assert str(failure.value).startswith(text)
    if text.startswith("Could not"):
        assert isinstance(failure.value.__cause__, OmegaConfBaseException)


@upstream("hydra-core", "dlas/config/composing.py")
def test_hydra_tells_what_was_mistaken() -> None:
    from hydra import compose, initialize_config_dir
    from hydra.errors import MissingConfigException, OverrideParseException

    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        with pytest.raises(MissingConfigException) as missing:
            compose("config", ["model=resnet19"])
        with pytest.raises(OverrideParseException) as odd:
            compose("config", ["seed=["])
    assert missing.value.missing_cfg_file == "model/resnet19"
    assert "resnet18" in (missing.value.options or [])
    assert odd.value.override == "seed=["


class Leaving:
    """A callback that leaves as that of dlas does, or by an exception."""

    def on_run_start(self, config: Any, **_: Any) -> None:
        sys.exit(2)

    def on_run_end(self, config: Any, **_: Any) -> None:
        raise ValueError("told as a warning")


@upstream("hydra-core", "dlas/config/typed.py")
def test_hydra_reads_overrides_and_flags_as_they_are_put_in_order() -> None:
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ChoiceSweep

    found = get_args_parser().parse_intermixed_args(["a=1", "-m", "b=2", "--config-dir", "c", "d=3"])
    assert (found.overrides, found.multirun, found.config_dir) == (["a=1", "b=2", "d=3"], True, "c")
    override = OverridesParser.create().parse_override("+x.y=1_0,'a',b")
    swept = override.value()
    assert isinstance(swept, ChoiceSweep)
    assert (override.key_or_group, override.get_key_element(), override.get_value_string()) == (
        "x.y",
        "+x.y",
        "1_0,'a',b",
    )
    assert (swept.simple_form, swept.list[0]) == (True, 10)


@upstream("hydra-core", "dlas/tracking/sweep/callback.py")
def test_hydra_lets_a_callback_leave_by_system_exit_alone() -> None:
    from hydra._internal.callbacks import Callbacks
    from omegaconf import OmegaConf

    callbacks = Callbacks()
    callbacks.callbacks.append(Leaving())
    config = OmegaConf.create({})
    with pytest.raises(SystemExit):
        callbacks.on_run_start(config=config, config_name="config")
    with pytest.warns(UserWarning, match="told as a warning"):
        callbacks.on_run_end(config=config, config_name="config", job_return=None)


@upstream("hydra-core", "dlas/run.py")
def test_hydra_raises_its_errors_where_all_of_them_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra._internal.utils import run_and_report

    def fail() -> None:
        raise LookupError("a mistake")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(LookupError, match="a mistake"):
        run_and_report(fail)


@dataclasses.dataclass(frozen=True)
class Inner:
    counts: list[int] = dataclasses.field(default_factory=lambda: [1, 2])
    maybe: list[int] | None = None


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner = dataclasses.field(default_factory=Inner)


@upstream("omegaconf", "dlas/config/merging.py")
def test_omegaconf_tells_of_a_node_what_it_holds() -> None:
    from omegaconf import DictConfig, ListConfig, OmegaConf
    from omegaconf.errors import ReadonlyConfigError, ValidationError

    schema = OmegaConf.structured(Outer)
    inner = schema._get_node("inner")
    assert isinstance(inner, DictConfig)
    assert (inner._is_missing(), inner._is_none()) == (False, False)
    with pytest.raises(ReadonlyConfigError):
        OmegaConf.merge(schema, {"inner": {"counts": [3]}})
    counts, maybe = inner._get_node("counts"), inner._get_node("maybe")
    assert isinstance(counts, ListConfig)
    assert counts._metadata.element_type is int
    assert (counts._is_optional(), maybe._is_optional(), maybe._is_none()) == (False, True, True)
    given = OmegaConf.create({"number": 5, "later": "${number}", "missing": "???", "list": [1]})
    assert given._get_node("number")._value() == 5
    assert given._get_node("later")._is_interpolation()
    assert given._get_node("missing")._is_missing()
    assert isinstance(given._get_node("list"), ListConfig)
    assert list(ListConfig(["1", 2], element_type=int)) == [1, 2]
    with pytest.raises(ValidationError):
        ListConfig(["one"], element_type=int)


@upstream("omegaconf", "dlas/config/merging.py")
def test_omegaconf_tells_of_a_mistake_where_it_is() -> None:
    from omegaconf import OmegaConf
    from omegaconf.errors import ConfigKeyError, OmegaConfBaseException, ValidationError

    schema = OmegaConf.structured(Outer)
    for each in (schema, schema.inner):
        OmegaConf.set_readonly(each, False)
    with pytest.raises(ConfigKeyError) as unknown:
        OmegaConf.merge(schema, {"inner": {"count": [3]}})
    assert unknown.value.full_key == "inner.count"
    assert unknown.value.parent_node is not None
    assert "counts" in unknown.value.parent_node
    with pytest.raises(ValidationError) as wrong:
        OmegaConf.merge(OmegaConf.structured(Number), {"value": "many"})
    assert (wrong.value.full_key, wrong.value.object_type) == ("value", Number)
    assert "many" in str(wrong.value.msg)
    with pytest.raises(OmegaConfBaseException, match="Cannot merge DictConfig with ListConfig"):
        OmegaConf.merge(OmegaConf.create({"group": {"a": 1}}), OmegaConf.create({"group": [1]}))


@dataclasses.dataclass
class Number:
    value: int = 1


# NumPy, PyTorch and what works on its networks.


@upstream("numpy", "dlas/datasets/shared/archive_pickle.py")
def test_numpy_pickles_an_array_by_the_names_that_are_let_in() -> None:
    from numpy._core import multiarray

    pickled = pickle.dumps(np.arange(3), protocol=2)
    assert b"numpy._core.multiarray\n_reconstruct" in pickled.replace(b"\r", b"")
    assert callable(multiarray._reconstruct)


@upstream("torch", "dlas/models/untrained.py")
def test_torch_dispatches_every_operation_through_a_mode() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map

    class Names(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
        ) -> Any:
            names.append((str(function), tree_map(lambda one: tuple(getattr(one, "shape", ())), args)))
            return function(*args, **(kwargs or {}))

    names: list[Any] = []
    with torch.no_grad(), Names():
        torch.nn.functional.relu(torch.ones(2, 3) + 1)
    assert ("aten.relu.default", ((2, 3),)) in names
    assert "aten.add.Tensor" in [name for name, _ in names]


@upstream("torch", "dlas/models/passage.py", "dlas/systems/graph/trusted_operators.py")
def test_torch_finds_the_tensors_in_what_a_layer_is_given() -> None:
    from torch.utils._pytree import tree_leaves

    one, other = torch.ones(1), torch.zeros(2)
    assert [leaf is one or leaf is other for leaf in tree_leaves(((one, 3), {"mask": [other]}))].count(
        True
    ) == 2


class Small(nn.Module):
    """A convolution with a residual, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.classifier = nn.Linear(16, 10)

    def forward(self, images: Any) -> Any:
        before = self.first(images)
        return self.classifier((self.second(before) + before).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def exported() -> Any:
    example = (torch.zeros(2, 3, 8, 8),)
    with torch.no_grad():
        return torch.export.export(Small().eval(), example, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))


@upstream("torch", "dlas/models/quantizer.py")
def test_torch_exports_convolutions_and_additions_by_these_names(exported: Any) -> None:
    targets = [str(node.target) for node in exported.module().graph.nodes]
    assert targets.count("aten.conv2d.default") == 2
    assert targets.count("aten.add.Tensor") == 1


@upstream("torch", "dlas/models/graph/state.py", "dlas/models/graph/constants.py")
def test_an_exported_program_that_was_edited_is_what_runs() -> None:
    with torch.no_grad():
        program = torch.export.export(Small().eval(), (torch.zeros(2, 3, 8, 8),))
    (layer,) = program.graph.find_nodes(op="call_function", target=torch.ops.aten.linear.default)
    first = next(iter(program.graph.nodes))
    assert isinstance(first.meta["val"], FakeTensor)
    with program.graph.inserting_before(first):
        placeholder = program.graph.placeholder("other")
    value = torch.nn.Parameter(torch.zeros(10), requires_grad=False)
    placeholder.meta["val"] = first.meta["val"].fake_mode.from_tensor(value, static_shapes=True)
    spec = InputSpec(InputKind.PARAMETER, TensorArgument(placeholder.name), "other", None)
    program.graph_signature.input_specs.insert(0, spec)
    program.state_dict["other"] = value
    layer.args = (*layer.args[:2], placeholder)
    program.graph_module.recompile()
    network, images = Small().eval(), torch.ones(2, 3, 8, 8)
    network.load_state_dict({name: program.state_dict[name] for name in network.state_dict()})
    nn.init.zeros_(network.classifier.bias)
    with torch.no_grad():
        expected = network(images)
        torch.testing.assert_close(program.module()(images), expected)
        torch.testing.assert_close(program.run_decompositions().module()(images), expected)


@upstream(
    "torch",
    "dlas/models/graph/constants.py",
    "dlas/systems/compilers/executorch/quantized.py",
    "dlas/systems/compilers/exported_layers.py",
)
def test_an_operator_says_where_it_is_from_and_whether_it_draws() -> None:
    assert isinstance(torch.ops.aten.rand.default, OpOverload)
    assert torch.ops.aten.rand.default.namespace == "aten"
    assert torch.ops.aten.conv2d.padding.overloadpacket is torch.ops.aten.conv2d
    assert torch.ops.aten.conv2d.__name__ == "conv2d"
    assert torch.Tag.nondeterministic_seeded in torch.ops.aten.rand.default.tags
    assert torch.Tag.nondeterministic_seeded not in torch.ops.aten.add.Tensor.tags


@upstream("torchao", "dlas/models/quantized.py", "dlas/models/quantizer.py")
def test_torchao_observes_and_quantizes_what_is_annotated(exported: Any) -> None:
    logging.disable(logging.WARNING)  # it tells of libraries for other machines
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torchao.quantization.pt2e import HistogramObserver, PerChannelMinMaxObserver
            from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
            from torchao.quantization.pt2e.quantizer import (
                QuantizationAnnotation,
                QuantizationSpec,
                Quantizer,
            )

            activation = QuantizationSpec(
                dtype=torch.uint8,
                observer_or_fake_quant_ctr=HistogramObserver,
                quant_min=0,
                quant_max=255,
                qscheme=torch.per_tensor_affine,
            )
            weight = QuantizationSpec(
                dtype=torch.int8,
                observer_or_fake_quant_ctr=PerChannelMinMaxObserver,
                quant_min=-127,
                quant_max=127,
                qscheme=torch.per_channel_symmetric,
                ch_axis=0,
            )

            class Convolutions(Quantizer):
                def annotate(self, model: Any) -> Any:
                    for node in model.graph.nodes:
                        if str(node.target) == "aten.conv2d.default":
                            inputs = {node.args[0]: activation, node.args[1]: weight}
                            node.meta["quantization_annotation"] = QuantizationAnnotation(
                                input_qspec_map=inputs, _annotated=True
                            )
                    return model

                def validate(self, model: Any) -> None:
                    pass

            prepared = prepare_pt2e(exported.module(), Convolutions())
            with torch.no_grad():
                prepared(torch.randn(2, 3, 8, 8))
            state = list(prepared.state_dict())
            quantized = convert_pt2e(prepared, fold_quantize=False)
    finally:
        logging.disable(logging.NOTSET)
    targets = [str(node.target) for node in quantized.graph.nodes]
    assert len([name for name in state if name.endswith(".histogram")]) == 2
    assert {"first.weight", "second.weight"} <= set(state)
    assert targets.count("quantized_decomposed.quantize_per_tensor.default") == 2
    assert targets.count("quantized_decomposed.dequantize_per_channel.default") == 2
    assert quantized.get_parameter("first.weight").dtype == torch.float32


@upstream("torch-pruning", "dlas/compression/channel_pruning.py", "dlas/compression/channel_removal.py")
def test_torch_pruning_chooses_before_it_keeps_the_floor_of_what_the_ratio_leaves() -> None:
    from torch_pruning import importance
    from torch_pruning.pruner import MagnitudePruner

    network = Small().eval()
    first, second, classifier = (layer.weight.detach().abs() for layer in network.children())
    norms = first.sum((1, 2, 3)) + second.sum((1, 2, 3)) + second.sum((0, 2, 3)) + classifier.sum(0)
    pruner = MagnitudePruner(
        network,
        (torch.zeros(1, 3, 8, 8),),
        importance.MagnitudeImportance(p=1, target_types=[nn.Conv2d, nn.Linear]),
        pruning_ratio=0.0,
        pruning_ratio_dict=dict.fromkeys((network.first, network.second), 1 - 10.5 / 16),
        ignored_layers=[network.classifier],
        in_channel_groups={},
        out_channel_groups={},
    )
    for number, group in enumerate(pruner.step(interactive=True)):
        if not number:
            network.second.bias.data = torch.arange(16.0, dtype=torch.float64)
            network.second.weight.data = torch.zeros(16, 16, 3, 3)
        group.prune()
    assert network.second.bias.tolist() == sorted(norms.argsort(descending=True)[:10].tolist())
    assert network.first.weight.shape == (10, 3, 3, 3)
    assert network.second.weight.shape == (10, 10, 3, 3)
    assert network.classifier.weight.shape == (10, 10)


# TVM.


@upstream("torch", "dlas/models/graph/decompositions.py")
def test_torch_takes_operators_apart_by_definitions_of_its_own_and_ours() -> None:
    from torch._decomp import get_decompositions
    from torch._ops import OpOverload
    from torch.utils._pytree import tree_map_only

    aten = torch.ops.aten
    defined = get_decompositions([aten.elu.default, aten.grid_sampler_2d.default])
    assert all(isinstance(operator, OpOverload) for operator in defined)
    image, grid = torch.rand(1, 2, 4, 4), torch.rand(1, 3, 3, 2)
    torch.testing.assert_close(
        defined[aten.grid_sampler_2d.default](image, grid, 0, 0, False),
        torch.nn.functional.grid_sample(image, grid, align_corners=False),
    )
    assert tree_map_only(torch.Tensor, torch.numel, ((image, 3), {"other": grid})) == ((32, 3), {"other": 18})

    def of_matrices(data: Any, dim: int, half_to_float: bool) -> Any:
        return data + 1 if data.dim() == 2 else NotImplemented

    class Twice(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.layer_norm(x, [3]).softmax(1) + x[0].softmax(0)

    table = torch.export.default_decompositions()
    assert aten.rrelu.default in table
    assert aten.upsample_bicubic2d.vec in table
    program = torch.export.export(Twice(), (torch.zeros(2, 3),))
    program = program.run_decompositions({**table, aten._softmax.default: of_matrices})
    targets = [str(node.target) for node in program.graph.nodes]
    assert targets.count("aten.native_layer_norm.default") == 1
    assert targets.count("aten._softmax.default") == 1


@upstream("torch", "dlas/models/graph/decompositions.py", "dlas/models/graph/exporting.py")
def test_torch_takes_a_network_apart_by_two_tables_as_by_the_whole_one() -> None:
    from dlas.models.graph import decompositions, exporting

    class Mixed(nn.Module):
        """Composite operators: one that is kept, one of our definition, others of PyTorch's own."""

        def forward(self, x: Any) -> Any:
            x = torch.nn.functional.rrelu(torch.nn.functional.interpolate(x, scale_factor=2))
            return torch.std_mean(torch.nn.functional.scaled_dot_product_attention(x, x, x), 1)

    whole, parts = (exporting.exported(Mixed().eval(), torch.rand(1, 2, 4, 4)) for _ in range(2))
    whole, parts = whole.run_decompositions(decompositions.table()), exporting.decomposed(parts)
    assert parts.graph_module.code == whole.graph_module.code
    assert parts.graph_signature == whole.graph_signature
    assert "upsample_nearest2d.vec" in parts.graph_module.code


@upstream("apache-tvm", "dlas/systems/graph/translation.py", "dlas/systems/graph/converters/converter.py")
def test_tvm_imports_an_exported_network_with_converters_of_ours() -> None:
    from tvm import relax
    from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

    converted: dict[str, int] = {}

    def linear(node: Any, importer: Any) -> Any:
        data, weight, *_ = importer.retrieve_args(node)
        converted[node.name] = int(weight.ty.shape[0])
        return importer.block_builder.emit(relax.op.matmul(data, relax.op.permute_dims(weight)))

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        decompositions = torch.export.default_decompositions()
        del decompositions[torch.ops.aten.linear.default]
        exported = torch.export.export(Small().eval(), (torch.zeros(1, 3, 8, 8),))
        exported = exported.run_decompositions(decompositions)
        importer = ExportedProgramImporter()
        module = importer.from_exported_program(
            exported,
            keep_params_as_input=True,
            unwrap_unit_return_tuple=True,
            no_bind_return_tuple=False,
            custom_convert_map={"linear.default": linear},
        )
    assert all(node in importer.env for node in exported.graph.nodes if node.op == "call_function")
    module, detached = relax.frontend.detach_params(module)
    assert list(converted.values()) == [10]
    names = {**exported.graph_signature.inputs_to_parameters, **exported.graph_signature.inputs_to_buffers}
    imported = {
        names[var.name]: value.numpy().shape
        for var, value in zip(module["main"].params[1:], detached["main"], strict=True)
    }
    assert imported["first.weight"] == (16, 3, 3, 3)
    (block,) = module["main"].body.blocks
    calls = {
        binding.value.op.name: binding.value
        for binding in block.bindings
        if isinstance(binding.value, relax.Call)
    }
    assert {"relax.nn.conv2d", "relax.add", "relax.nn.relu", "relax.reshape"} <= set(calls)
    convolution = calls["relax.nn.conv2d"].attrs
    assert [int(each) for each in (*convolution.strides, *convolution.padding)] == [1, 1, 1, 1, 1, 1]
    assert (int(convolution.groups), [int(each) for each in convolution.dilation]) == (1, [1, 1])
    assert sorted(int(axis) % 4 for axis in calls["relax.mean"].attrs.axis) == [2, 3]
    assert calls["relax.mean"].attrs.keepdims in (True, False)


@pytest.fixture(scope="module")
def program() -> Any:
    """A small program in Relax and TensorIR."""
    from tvm import relax

    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType((1, 8), "float32"))
    with builder.function("main", [image]):
        with builder.dataflow():
            output = builder.emit_output(builder.emit(relax.op.nn.relu(relax.op.add(image, image))))
        builder.emit_func_output(output)
    return relax.transform.LegalizeOps()(builder.finalize())


@upstream("apache-tvm", "dlas/systems/program/kernels.py")
@pytest.mark.parametrize(("pattern", "fused"), [(0, 1), (8, 0)])
def test_tvm_fuses_nothing_into_kernels_of_the_opaque_pattern(program: Any, pattern: int, fused: int) -> None:
    import tvm
    from tvm import relax

    module = tvm.IRModule(program.functions)
    for var, function in program.functions_items():
        if isinstance(function, tvm.tirx.PrimFunc):
            module.update_func(var, function.with_attr("op_pattern", pattern))
    made = relax.transform.FuseOps()(module).functions.values()
    assert [isinstance(each, relax.Function) and "Primitive" in (each.attrs or {}) for each in made].count(
        True
    ) == fused


@upstream("apache-tvm", "dlas/systems/program/saved_module.py")
def test_tvm_writes_a_module_as_a_list_of_nodes(program: Any) -> None:
    import tvm

    from dlas.systems.program.saved_module import NUMBER_FIELDS, NUMBERS

    nodes = json.loads(tvm.ir.save_json(program))["nodes"]
    assert all(isinstance(node["type"], str) for node in nodes)
    written: dict[tuple[str, str], Any] = {}
    for number, node in enumerate(nodes):
        data = node.get("data")
        assert node["type"] not in NUMBERS or all(isinstance(each, int) for each in data)
        fields = dict(enumerate(data)) if isinstance(data, list) else data if isinstance(data, dict) else {}
        for name, value in fields.items():
            written[node["type"], str(name)] = value
            refers = isinstance(value, int) and node["type"] not in NUMBERS
            if refers and (node["type"], name) not in NUMBER_FIELDS:
                assert value < number, f"{node['type']}.{name} refers to a later node, or to none"
    assert written.keys() >= NUMBER_FIELDS


@pytest.fixture(scope="module")
def library(program: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Any]]:
    """The program as a library, and what TVM asked of the function that links it."""
    import tvm

    asked: dict[str, Any] = {}

    def link(library: str, objects: list[str], **options: Any) -> None:
        asked["objects"] = list(objects)
        subprocess.run(["cc", "-fPIC", "-shared", "-o", library, *objects], check=True)

    def triple() -> str:
        asked["triple"] = True
        return str(tvm.target.codegen.llvm_get_system_triple())

    link.get_target_triple = triple  # type: ignore[attr-defined]
    destination = tmp_path_factory.mktemp("library") / "model.so"
    tvm.compile(program, tvm.target.Target({"kind": "llvm"})).export_library(str(destination), fcompile=link)
    return destination, asked


@upstream("torch", "dlas/points/server.py")
def test_torch_has_what_an_export_imports_in_these_modules() -> None:
    program = (
        "import sys, torch, torch._dynamo, torch.export._trace; before = set(sys.modules)\n"
        "torch.export.export(torch.nn.ReLU(), (torch.zeros(1),))\n"
        "print(len(set(sys.modules) - before))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 100


@upstream("apache-tvm-ffi", "dlas/systems/compilers/tvm/symbols.py")
def test_tvm_reads_symbols_once_and_those_of_the_libraries_that_are_there() -> None:
    program = (
        "import json, sys; from dlas.systems.compilers.tvm import symbols\n"
        "def mapped(): return sum('libtorch_cpu' in line for line in open('/proc/self/maps'))\n"
        "first = 'torch' in sys.modules\n"
        "if sys.argv[1] == 'before': symbols.read_before_torch()\n"
        "import torch; loaded = mapped(); import tvm; print(json.dumps([first, mapped() - loaded]))"
    )
    command = [sys.executable, "-c", program]
    found = {
        when: json.loads(subprocess.check_output([*command, when], text=True)) for when in ("before", "never")
    }
    assert found["before"] == [False, 0]
    assert found["never"][1] > 0, "dlas/systems/compilers/tvm/symbols.py is not needed any more"


@upstream("apache-tvm", "dlas/systems/compilers/tvm/linking.py")
def test_tvm_links_by_a_function_of_ours(library: tuple[Path, Mapping[str, Any]]) -> None:
    path, asked = library
    assert path.exists()
    assert asked["objects"]
    assert all(name.endswith((".o", ".c")) for name in asked["objects"])


@upstream("apache-tvm", "dlas/hardware/sessions/tvm_runtime.py", "dlas/hardware/sessions/single_kernels.py")
def test_tvms_runtime_runs_a_library_and_tells_of_every_call_by_these_names(
    library: tuple[Path, Mapping[str, Any]],
) -> None:
    import tvm
    import tvm_ffi

    names = ("GetDeviceAttr", "Device_StreamSync", "TVMTensorAllocWithScope")
    for name in (*names, "TVMTensorCopyFromBytes", "TVMTensorCopyToBytes"):
        assert tvm_ffi.get_global_func(f"runtime.{name}") is not None
    machine = tvm_ffi.load_module(str(library[0]))["vm_load_executable"]()
    cpu = int(tvm_ffi.device("cpu", 0).dlpack_device_type())
    pooled = tvm.runtime.vm.VirtualMachine.POOLED_ALLOCATOR
    assert (cpu, pooled, int(tvm.runtime.vm.VMInstrumentReturnKind.NO_OP)) == (1, 2, 0)
    machine["vm_initialization"](cpu, 0, pooled)
    calls: list[tuple[str, bool]] = []

    def instrument(function: object, name: str, before: bool, result: object, *arguments: object) -> int:
        calls.append((name, before))
        return 0

    machine["set_instrument"](tvm_ffi.convert(instrument))
    image = np.linspace(-1, 1, 8, dtype="float32").reshape(1, 8)
    output = machine["main"](tvm.runtime.tensor(image)).numpy()
    np.testing.assert_allclose(output, np.maximum(2 * image, 0))
    kernels = [call for call in calls if not call[0].startswith("vm.")]
    assert kernels == [("add", True), ("add", False), ("relu", True), ("relu", False)]


@upstream(
    "apache-tvm",
    "dlas/systems/tuners/common/popen_pools.py",
    "dlas/systems/tuners/common/building_processes.py",
)
def test_tvms_pools_start_their_processes_by_a_method_that_can_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tvm.exec import popen_worker
    from tvm.support.popen_pool import PopenWorker

    monkeypatch.setenv("PYTHONPATH", without_torch(os.environ)["PYTHONPATH"])  # a third of the time
    worker = PopenWorker()
    assert worker._proc is None
    assert parameters(PopenWorker._start) == ["self"]
    assert parameters(popen_worker.main) == []
    worker.send(len, ("four",))
    assert worker.recv() == 4
    assert callable(worker._proc.wait)
    assert (worker._reader.readable(), worker._writer.writable()) == (True, True)
    worker.kill()
    assert worker._proc is None


@upstream("apache-tvm", "dlas/hardware/targets/llvm.py", "dlas/hardware/targets/instruction_sets.py")
def test_tvm_tells_what_llvm_knows_of_cpus() -> None:
    from tvm.target import Target, codegen

    triple = "x86_64-linux-gnu"
    assert codegen.llvm_is_valid_cpu("skylake-avx512", triple)
    assert not codegen.llvm_is_valid_cpu("no-such-cpu", triple)
    assert "znver3" in [
        str(name) for name in codegen.llvm_get_cpu_archlist(Target({"kind": "llvm", "mtriple": triple}))
    ]
    described = {"kind": "llvm", "mtriple": triple, "mcpu": "skylake-avx512", "mattr": ["-avx512vl"]}
    features = codegen.llvm_get_cpu_features(Target(described))
    assert "avx512f" in features
    assert "avx512vl" not in features


@upstream(
    "apache-tvm",
    "dlas/systems/compilers/tvm/cuda_compiler.py",
    "dlas/hardware/sessions/device.py",
)
def test_tvm_asks_for_machine_code_of_gpus_by_these_names() -> None:
    import tvm
    from tvm.support.nvcc import compile_cuda

    libraries = Path(tvm.__file__).parent / "lib"
    assert holds(libraries / "libtvm_compiler.so", b"tvm_callback_cuda_postproc")
    assert holds(libraries / "libtvm_compiler.so", b"TVM_COMPILE_FORCE_FALLBACK")
    assert holds(libraries / "libtvm_runtime_cuda.so", b"tvm_callback_cuda_compile")
    assert parameters(compile_cuda)[:4] == ["code", "target_format", "arch", "options"]
    assert "compiler" in parameters(compile_cuda)


def holds(file: Path, text: bytes) -> bool:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(text) >= 0


@upstream("apache-tvm", "dlas/hardware/boards/board_server.py")
def test_tvm_serves_a_connection_by_a_function_that_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    from tvm.rpc import base, server

    class Served(Exception):
        pass

    def serve(connection: object, address: object, options: dict[str, float], libraries: object) -> None:
        served.put((connection, options, libraries))
        raise Served

    served: queue.SimpleQueue[tuple[Any, dict[str, float], object]] = queue.SimpleQueue()
    assert parameters(server._serving) == ["sock", "addr", "opts", "load_library"]
    monkeypatch.setattr(server, "_serving", serve)
    key = b"client:board -timeout=7"
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        client.sendall(struct.pack("<ii", base.RPC_MAGIC, len(key)) + key)
        with pytest.raises(Served):
            server._listen_loop(listening, 0, "board", None, None, "127.0.0.1")
    connection, options, libraries = served.get_nowait()
    connection.close()
    assert isinstance(connection, socket.socket)
    assert (options, libraries) == ({"timeout": 7.0}, None)


@upstream("apache-tvm", "dlas/hardware/boards/board_server.py")
def test_tvm_serves_the_functions_of_a_session_in_its_folder() -> None:
    from tvm.rpc import server
    from tvm.support import utils

    assert Path(utils.tempdir().path).is_dir()
    assert parameters(server._serve_loop) == ["sock", "load_library", "work_path"]


@upstream("apache-tvm", "dlas/hardware/boards/connection.py")
def test_tvm_connects_to_boards_and_trackers_with_limits() -> None:
    from tvm import rpc
    from tvm.rpc.client import RPCSession, TrackerSession

    assert {"key", "session_timeout"} <= set(parameters(rpc.connect))
    assert parameters(rpc.connect_tracker)[:2] == ["url", "port"]
    assert {"session_timeout", "max_retry"} <= set(parameters(TrackerSession.request))
    for function in ("upload", "download", "get_function"):
        assert callable(getattr(RPCSession, function))


@pytest.fixture(scope="module")
def facts() -> Mapping[str, Any]:
    """What TVM does in a process that torch is kept out of."""
    environment = without_torch({**os.environ, "PYTHONPATH": str(REPOSITORY)})
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("tvm_without_torch.py"))],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


@upstream("apache-tvm-ffi", "dlas/hardware/no_torch/torch.py", "dlas/hardware/sessions/session.py")
def test_tvm_works_where_torch_cannot_be_imported(facts: Mapping[str, Any]) -> None:
    assert facts["torch"] == []


@upstream("apache-tvm", "dlas/systems/tuners/metaschedule/intrinsics.py")
def test_metaschedule_is_content_with_the_intrinsics_of_one_architecture(facts: Mapping[str, Any]) -> None:
    assert facts["intrinsics"] == {"dot_16x4_vnni": True, "dot_4x4_i8i8s32_sdot": True}
    assert not facts["of_gpus"]


@upstream(
    "apache-tvm",
    "dlas/systems/tuners/metaschedule/measuring.py",
    "dlas/systems/tuners/metaschedule/replay.py",
    "dlas/systems/tuners/metaschedule/tuner.py",
)
def test_metaschedule_writes_a_record_as_trace_times_target_and_arguments(facts: Mapping[str, Any]) -> None:
    trace, seconds, target, arguments = facts["record"]
    assert len(trace) == 2
    assert (seconds, facts["run_secs"]) == ([1.0, 3.0], [1.0, 3.0])
    assert target["kind"] == "llvm"
    assert len(arguments) == 3
    assert facts["replayed"]


@upstream("apache-tvm", "dlas/systems/tuners/metaschedule/transfer.py")
def test_metaschedule_lets_the_tiles_of_a_trace_be_decided_anew(facts: Mapping[str, Any]) -> None:
    parts, largest = facts["tile"]
    assert (parts, largest) == (4, 64)
    assert "SamplePerfectTile" in facts["decisions"]


@upstream(
    "apache-tvm",
    "workers/ansor/searching.py",
    "workers/ansor/measuring.py",
    "workers/ansor/elsewhere.py",
)
@pytest.mark.skipif(not ANSOR_PYTHON.exists(), reason="make ansor-worker sets it up")
def test_ansor_builds_runs_and_schedules_by_functions_that_can_be_replaced() -> None:
    asked = """
import inspect, json, tvm
from tvm.auto_scheduler import TaskScheduler
functions = ("local_builder.build", "local_runner.run")
print(json.dumps({
    "version": tvm.__version__,
    "functions": [tvm.get_global_func(f"auto_scheduler.{name}", True) is not None for name in functions],
    "register": list(inspect.signature(tvm._ffi.register_func).parameters),
    "tune_task": list(inspect.signature(TaskScheduler._tune_task).parameters),
}))
"""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TVM_"))
    }
    done = subprocess.run([ANSOR_PYTHON, "-c", asked], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["version"].startswith("0.19.")
    assert found["functions"] == [True, True]
    assert found["register"] == ["func_name", "f", "override"]
    assert found["tune_task"] == ["self", "task_idx"]


# MLflow.


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Of a database that was made as dlas makes it."""
    names = tracking.CLIENT_ENVIRONMENT
    kept = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    from mlflow import MlflowClient
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    folder = tmp_path_factory.mktemp("mlflow")
    engine = create_sqlalchemy_engine(f"sqlite:///{folder / 'unfinished.db'}")
    _initialize_tables(engine)
    engine.dispose()
    (folder / "unfinished.db").rename(folder / "mlflow.db")
    yield MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    for name, value in kept.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@upstream("mlflow", "dlas/tracking/store/writing.py", "dlas/tracking/embedded/fresh.py")
def test_mlflow_takes_as_much_as_is_told_at_once(client: Any) -> None:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.time import get_current_time_millis

    experiment = client.create_experiment("contracts")
    run = client.create_run(experiment, tags={"mlflow.parentRunId": "above"}, run_name="child").info.run_id
    now = get_current_time_millis()
    client.log_batch(
        run,
        metrics=[Metric(f"m{index}", 1.0, now, 0) for index in range(100)],
        params=[Param(f"p{index}", "x" * 6000) for index in range(50)],
        tags=[RunTag(f"t{index}", "x" * 8000) for index in range(50)],
    )
    found = client.get_run(run)
    assert found.info.status == "RUNNING"
    assert (len(found.data.metrics), len(found.data.params["p0"]), len(found.data.tags["t0"])) == (
        100,
        6000,
        8000,
    )
    chosen = client.search_runs([experiment], "tags.`mlflow.parentRunId` = 'above' and tags.`t0` LIKE 'x%'")
    assert [one.info.run_id for one in chosen] == [run]
    assert client.search_runs([experiment], "attributes.status != 'RUNNING'") == []


@upstream("mlflow", "dlas/tracking/store/writing.py")
def test_mlflow_ends_no_run_of_a_client_when_the_process_ends(client: Any) -> None:
    from mlflow.tracking import fluent
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    run = client.create_run("0", tags=resolve_tags({"dlas.kind": "point"})).info.run_id
    fluent._safe_end_run()
    assert client.get_run(run).info.status == "RUNNING"
    assert client.get_run(run).data.tags["dlas.kind"] == "point"
    assert MLFLOW_PARENT_RUN_ID == tracking.store.PARENT


@upstream("mlflow", "dlas/tracking/embedded/location.py")
def test_mlflow_keeps_the_places_of_files_in_these_columns(client: Any, tmp_path: Path) -> None:
    place = (tmp_path / "mlruns").as_uri()
    experiment = client.create_experiment("places", artifact_location=place)
    run = client.create_run(experiment).info
    assert run.artifact_uri == f"{place}/{run.run_id}/artifacts"
    with contextlib.closing(sqlite3.connect(client.tracking_uri.removeprefix("sqlite:///"))) as connection:
        told = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
        assert connection.execute(told, [experiment]).fetchall() == [(place,)]
        told = "SELECT artifact_uri FROM runs WHERE run_uuid = ?"
        assert connection.execute(told, [run.run_id]).fetchall() == [(run.artifact_uri,)]
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, 'mlruns', 'others')")
        connection.commit()
    assert client.get_run(run.run_id).info.artifact_uri == run.artifact_uri.replace("mlruns", "others")
    assert "others" in client.create_run(experiment).info.artifact_uri


@upstream("mlflow", "dlas/tracking/embedded/schema.py")
def test_mlflow_tells_the_version_of_its_tables(client: Any) -> None:
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    database = client.tracking_uri.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (row,) = connection.execute("SELECT version_num FROM alembic_version")
    assert row == (utils._get_latest_schema_revision(),)
    steps = ScriptDirectory.from_config(utils._get_alembic_config("")).walk_revisions()
    assert {row[0], "0584bdc529eb"} <= {step.revision for step in steps}
    assert parameters(utils._upgrade_db) == ["engine"]


@upstream("mlflow", "dlas/tracking/store/files.py")
def test_mlflow_gives_access_to_files_by_their_place(tmp_path: Path) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    (tmp_path / "made" / "inner").mkdir(parents=True)
    (tmp_path / "made" / "inner" / "file").write_text("four")
    repository = get_artifact_repository((tmp_path / "kept").as_uri(), tracking_uri="sqlite:///none")
    repository.log_artifacts(str(tmp_path / "made"), None)
    (inner,) = repository.list_artifacts(None)
    assert (inner.path, inner.is_dir) == ("inner", True)
    (file,) = repository.list_artifacts("inner")
    assert (file.path, file.is_dir, file.file_size) == ("inner/file", False, 4)
    (tmp_path / "fetched").mkdir()
    fetched = Path(repository.download_artifacts("", str(tmp_path / "fetched")))
    assert (fetched / "inner" / "file").read_text() == "four"


@upstream("mlflow", "dlas/tracking/store/client.py", "dlas/ui.py")
def test_mlflow_is_told_by_these_variables_and_options() -> None:
    from mlflow import cli, environment_variables

    for name in tracking.SERVER_ENVIRONMENT:
        assert name == "GIT_PYTHON_REFRESH" or hasattr(environment_variables, name), name
    command = cli.cli.get_command(None, "ui")
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--backend-store-uri", "--host", "--port", "--workers"} <= options


@upstream("mlflow", "dlas/tracking/experiment_kind.py")
def test_mlflow_s_ui_tells_kinds_of_experiments_by_a_tag() -> None:
    from dlas.tracking import experiment_kind

    shown = _main_script()
    assert f'"{experiment_kind.KIND}"===' in shown
    for kind in (experiment_kind.MODEL_TRAINING, f"genai_development_{experiment_kind.GUESSED}"):
        assert f'"{kind}"' in shown, kind
    assert f'"no_{experiment_kind.GUESSED}_type"' in shown


@upstream("mlflow", "dlas/tracking/ui/page.py")
def test_mlflow_s_ui_takes_views_from_tags_of_the_experiment() -> None:
    from dlas.tracking.ui import page

    shown = _main_script()
    for text in (page.VIEW, page.SHARED, "selectedColumns", "columnOrder", *page.TRAINING.values()):
        assert f'"{text}"' in shown, text


def _main_script() -> str:
    """The main script of MLflow's UI."""
    import mlflow.server

    (script,) = Path(mlflow.server.__file__).parent.glob("js/build/static/js/main.*.js")
    return script.read_text(encoding="utf-8")


# pytest-xdist.


@upstream("pytest-xdist", "tests/conftest.py")
def test_xdist_shares_tests_out_by_a_scheduler_of_ours() -> None:
    from xdist import newhooks
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

    assert parameters(newhooks.pytest_xdist_make_scheduler) == ["config", "log"]
    assert parameters(LoadScopeScheduling._split_scope) == ["self", "nodeid"]
    assert isinstance(Producer("tests").loadscopesched, Producer)


@pytest.mark.skipif(find_spec("executorch") is None, reason="pip install 'dlas[executorch]'")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its import reads a file by importlib's old way
@upstream("executorch", "dlas/hardware/sessions/runners/executorch.py")
def test_executorch_s_threads_are_limited_and_its_files_loaded() -> None:
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(1)
    assert portable_lib._threadpool_get_thread_count() == 1
    assert callable(portable_lib._load_for_executorch)


@upstream("torch", "dlas/hardware/sessions/runners/torch_inductor.py")
def test_onednn_tells_the_data_types_and_sides_of_what_it_computes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    from torch.backends import mkldnn

    from dlas.hardware.sessions.runners import torch_inductor

    images, weight = torch.zeros(2, 4, 9, 7), torch.zeros(6, 2, 3, 3)
    with mkldnn.verbose(mkldnn.VERBOSE_ON):
        output = nn.functional.conv2d(images, weight, stride=2, groups=2)
    (told,) = torch_inductor.COMPUTED.finditer(capfd.readouterr().out)
    assert torch_inductor.DATA_TYPES[told["type"]] == "float32"
    assert torch_inductor._macs(told["kind"], told["sides"]) == output.numel() * 2 * 3 * 3
    assert torch_inductor._macs("matmul", "3x64:64x10") == 3 * 64 * 10
    assert torch_inductor._macs("inner_product", "mb3ic64oc10") == 3 * 64 * 10


@upstream(
    "torch",
    "dlas/systems/compilers/torch_inductor/packaging.py",
    "dlas/hardware/sessions/runners/torch_inductor.py",
)
def test_torch_compiles_ahead_of_time_by_these_settings() -> None:
    from torch._inductor import aoti_compile_and_package, aoti_load_package, config

    from dlas.systems.compilers.torch_inductor import packaging

    assert {"package_path", "inductor_configs"} <= inspect.signature(
        aoti_compile_and_package
    ).parameters.keys()
    assert "run_single_threaded" in inspect.signature(aoti_load_package).parameters
    assert hasattr(torch._C._aoti.AOTIModelPackageLoader, "boxed_run")
    for setting in packaging.SETTINGS:
        functools.reduce(getattr, setting.split("."), config)
