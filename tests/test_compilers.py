"""Compilers that take a whole network and have kernels of their own, against PyTorch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from _pytest.mark.structures import ParameterSet
from torch import nn
from torch.export import ExportedProgram
from user_models import unusual

from dlas import compiling, config
from dlas.compression import int8
from dlas.errors import UserError
from dlas.files.checkpoints import NOWHERE
from dlas.hardware.sessions import runners
from dlas.hardware.targets import target_file
from dlas.hardware.targets.instruction_sets import architecture
from dlas.hardware.targets.target_file import Runtime
from dlas.hardware.timing import deployment
from dlas.interfaces.compiler import Int8Compiler, NetworkCompiler, NetworkNotTaken, RunsOn
from dlas.interfaces.runner import Int8Runner, LoadedNetwork, Runner
from dlas.interfaces.targets.target import Target
from dlas.models import counting, quantized
from dlas.models.graph import places
from dlas.models.graph.exporting import exported
from dlas.models.mobilenetv2 import mobilenetv2
from dlas.models.precision import Float16, exportable
from dlas.models.resnet import resnet20
from dlas.models.trial import Trial
from dlas.plugins import compilers, contracts
from dlas.plugins.finding import module_exists, package_version
from dlas.plugins.registry import NETWORK_COMPILERS
from dlas.stages.checks.conversion import RehearseConversion
from dlas.stages.libraries.conversion import convert
from dlas.stages.libraries.library import Library
from dlas.stages.stage import Kept

NAMES = NETWORK_COMPILERS.names()

NEED_TORCH = frozenset({"executorch", "torch", "torch_inductor"})
"""Compilers whose runtime imports PyTorch."""

ONE_IMAGE = frozenset({"ncnn"})
"""Compilers whose runtime takes one image at a time."""

SLOW = frozenset({"executorch", "iree", "torch_inductor"})
"""Compilers that take more than ten seconds for a small network."""


def _tried(name: str) -> ParameterSet:
    """The compiler, where its packages are installed; a slow one in the exhaustive tests alone."""
    missing = [package for package in NETWORK_COMPILERS.load(name).PACKAGES if not module_exists(package)]
    told = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")
    return pytest.param(name, marks=[told, *([pytest.mark.exhaustive] if name in SLOW else [])])


TRIED = [_tried(name) for name in NAMES]

TAKE_INT8 = [_tried(name) for name in NAMES if "int8" in NETWORK_COMPILERS.load(name).DATA_TYPES]

SHAPE = (3, 32, 32)


def small(network: nn.Module) -> nn.Module:
    """The network with statistics of batch norm as after training, none of them 0 or 1."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


NETWORKS = {"resnet20": lambda: small(resnet20(10)), "mobilenetv2": lambda: small(mobilenetv2(10))}


@cache
def made(network: str) -> nn.Module:
    """The network of that name, the same one for all compilers."""
    return NETWORKS[network]()


@cache
def program(network: str, batch: int) -> ExportedProgram:
    """The network as it is given to every compiler, which leaves it as it is."""
    return exported(exportable(made(network), batch), torch.zeros(batch, *SHAPE))


@pytest.mark.parametrize("name", NAMES)
def test_a_compiler_and_its_runner_offer_what_is_asked_of_them(name: str) -> None:
    module = NETWORK_COMPILERS.load(name)
    assert contracts.of_module(module, NetworkCompiler) == []
    assert contracts.of_module(runners.named(name), Runner) == []
    assert "float32" in module.DATA_TYPES
    assert (name == "torch_inductor") == (module.RUNS_ON is RunsOn.HERE)
    assert not module.FLOAT16 or "float16" in module.DATA_TYPES
    assert sorted([*module.DATA_TYPES, *module.NOT_TAKEN]) == ["float16", "float32", "int8"]
    if "int8" in module.DATA_TYPES:
        assert contracts.of_module(module, Int8Compiler) == []
        assert contracts.of_module(runners.named(name), Int8Runner) == []
    of_runner = runners.named(name).PACKAGES.items()
    assert of_runner - {("torch", "torch")} <= module.PACKAGES.items()
    offered = [member for member in vars(LoadedNetwork) if not member.startswith("_")]
    assert [member for member in offered if not hasattr(runners.named(name).Network, member)] == []
    assert "uncounted" in offered


def test_tvm_has_a_runner_too() -> None:
    assert contracts.of_module(runners.named(runners.TVM), Runner) == []


@pytest.mark.parametrize(
    ("name", "network"),
    [
        pytest.param(*tried.values, network, marks=tried.marks)
        for tried in TRIED
        for network in NETWORKS
        if network == "resnet20" or tried.values[0] not in NEED_TORCH
    ],
)
def test_outputs_are_those_of_pytorch(name: str, network: str, host: Target, tmp_path: Path) -> None:
    compiler, module = NETWORK_COMPILERS.load(name), made(network)
    images = np.random.default_rng(0).standard_normal((4, *SHAPE), np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(images)).numpy()
    for batch in (1,) if name in ONE_IMAGE else (1, 3):
        library = tmp_path / str(batch)
        library.mkdir()
        compiler.convert(program(network, batch), host.code, library)
        found = deployment.run(library, images, host, batch, runner=name)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    again = tmp_path / "again"
    again.mkdir()
    compiler.convert_again(tmp_path / "1", host.code, again)
    found = deployment.run(again, images, host, runner=name)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TAKE_INT8)
def test_an_int8_network_is_the_one_that_was_calibrated(name: str, host: Target, tmp_path: Path) -> None:
    images = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
    dense = small(resnet20(10))
    network = quantized.calibrated(dense, images, "minmax", 7)  # sums of 8 bits overflow without VNNI
    sizes = []
    for which, library in ((dense, tmp_path / "dense"), (network, tmp_path / "int8")):
        library.mkdir()
        convert(which, (1, *SHAPE), name, host.code, library)
        sizes.append(sum(file.stat().st_size for file in library.iterdir()))
    if name != "torch_inductor":  # whose files tell the network as it was exported, too
        assert sizes[1] < 0.7 * sizes[0], "its weights are integers"
    with torch.inference_mode():
        expected, exact = network(images).numpy(), dense(images).numpy()
    found = deployment.run(tmp_path / "int8", images.numpy(), host, runner=name)
    assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()
    assert np.abs(found - expected).max() < 0.5 * np.abs(exact - expected).max()

    counted = NETWORK_COMPILERS.load(name).macs(tmp_path / "int8")
    assert sum(counted.values()) == counting.macs(dense, SHAPE)
    made = Library(folder=tmp_path, path=tmp_path / "int8", runner=name)
    integer = compiling.integer_macs(made, images.numpy(), host)
    if name in ("openvino", "torch_inductor"):
        assert integer == sum(counted.values())
    else:  # nine convolutions are followed by a sum in float32, and the last layer by nothing
        assert integer == sum(counted.values()) - sum(sorted(counted.values())[-9:]) - min(counted.values())


class Positioned(nn.Module):
    """A network that adds a constant to its images, as a network with positions of patches does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3, padding=1)
        self.positions = nn.Parameter(torch.linspace(-2, 3, 8 * 32 * 32).reshape(1, 8, 32, 32))
        self.head = nn.Linear(8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        summed: torch.Tensor = self.layer(images) + self.positions.expand(images.shape[0], -1, -1, -1)
        return self.head(torch.relu(summed).mean((2, 3)))


@pytest.mark.parametrize("name", TAKE_INT8)
def test_a_constant_that_is_quantized_keeps_its_values(name: str, host: Target, tmp_path: Path) -> None:
    images = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    network = quantized.calibrated(Positioned().eval(), images, "minmax", 7)
    convert(network, (1, *SHAPE), name, host.code, tmp_path)
    with torch.inference_mode():
        expected = network(images).numpy()
    found = deployment.run(tmp_path, images.numpy(), host, runner=name)
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


@pytest.fixture(scope="module")
def half(host: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float16 network as OpenVINO's files."""
    library = tmp_path_factory.mktemp("half")
    convert(Float16(small(resnet20(10))), (1, *SHAPE), "openvino", with_float16(host).code, library)
    return library


def with_float16(target: Target) -> Target:
    """The target, its CPU computing in float16 whatever this machine's does."""
    extension = NETWORK_COMPILERS.load("openvino").FLOAT16[architecture(target.code.triple)]
    sets = tuple({*target.code.instruction_sets, extension})
    return replace(target, code=replace(target.code, instruction_sets=sets))


def test_a_float16_network_is_asked_for_in_float16(half: Path, host: Target) -> None:
    assert runners.named("openvino").settings(half, 1)["INFERENCE_PRECISION_HINT"] == "f16"
    found = deployment.data_types(half, np.zeros((1, *SHAPE), np.float32), host, runner="openvino")
    read = {data_type for name, data_type in found.items() if re.fullmatch(r"/Conv(_\d+)?", name)}
    computes = set(with_float16(host).code.instruction_sets) == set(host.code.instruction_sets)
    # Elsewhere it falls back in silence, to float32 or to bfloat16: so we refuse.
    assert read in ([{"float16"}] if computes else [{"float32"}, {"bf16"}])


@pytest.mark.parametrize("name", [_tried(name) for name in ("torch", "torch_inductor")])
def test_pytorch_s_operators_compute_a_float16_network(name: str, host: Target, tmp_path: Path) -> None:
    images = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    network = Float16(small(resnet20(10))).eval()
    convert(network, (1, *SHAPE), name, host.code, tmp_path)
    found = deployment.run(tmp_path, images.numpy(), host, runner=name)
    with torch.inference_mode():
        expected = network(images).numpy()
    assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("name", [_tried("mnn")])
def test_mnn_is_asked_for_float16_by_a_file_of_float16(name: str, host: Target, tmp_path: Path) -> None:
    half, dense = tmp_path / "half", tmp_path / "dense"
    code = replace(host.code, triple="aarch64-linux-gnu", instruction_sets=("fullfp16",))
    network = small(resnet20(10))
    for which, folder in ((Float16(deepcopy(network)), half), (network, dense)):
        folder.mkdir()
        convert(which.eval(), (1, *SHAPE), name, code, folder)
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in (half, dense)]
    assert sizes[0] < 0.6 * sizes[1]
    asked = [runners.named(name).settings(folder, 1)["precision"] for folder in (half, dense)]
    assert asked == ["low", "high"]
    images = np.random.default_rng(0).standard_normal((2, *SHAPE), np.float32)
    found, exact = (deployment.run(folder, images, host, runner=name) for folder in (half, dense))
    assert 0 < np.abs(found - exact).max() < 0.02 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("name", "extensions"),
    [
        ("openvino", r"avx512fp16 \(x86_64\) or fullfp16 \(aarch64\)"),
        ("executorch", r"avx512fp16 \(x86_64\) or fullfp16 \(aarch64\)"),
        ("onnxruntime", r"fullfp16 \(aarch64\)"),
        ("mnn", r"fullfp16 \(aarch64\)"),
    ],
)
def test_float16_is_refused_where_the_cpu_does_not_compute_in_it(
    name: str, extensions: str, host: Target, tmp_path: Path
) -> None:
    sets = tuple(set(host.code.instruction_sets) - {"avx512fp16", "fullfp16"})
    without = replace(host.code, instruction_sets=sets)
    with pytest.raises(NetworkNotTaken, match=f"{name} computes in float16 by {extensions}") as told:
        convert(Float16(resnet20(10)).eval(), (1, *SHAPE), name, without, tmp_path)
    assert told.value.key == "compression"
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "data_type"),
    [
        (name, data_type)
        for name in NAMES
        for data_type in ("float16", "int8")
        if data_type not in NETWORK_COMPILERS.load(name).DATA_TYPES
    ],
)
def test_a_data_type_that_a_compiler_does_not_take_is_named(
    name: str, data_type: str, host: Target, tmp_path: Path
) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    images = torch.rand(2, 3, 8, 8)
    network = {
        "float16": Float16(deepcopy(layers)).eval(),
        "int8": quantized.calibrated(layers, images, "minmax", 7),
    }[data_type]
    with pytest.raises(NetworkNotTaken, match=f": {name} takes no network in {data_type}: .") as told:
        convert(network, (1, 3, 8, 8), name, host.code, tmp_path)
    assert told.value.key == "compression"
    assert not any(tmp_path.iterdir())


def test_int8_is_refused_where_its_sums_overflow(host: Target, tmp_path: Path) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    network = quantized.calibrated(layers, torch.rand(2, 3, 8, 8), "minmax", 8)
    code = replace(host.code, triple="x86_64-linux-gnu", cpu="znver3", instruction_sets=("avx2",))
    with pytest.raises(NetworkNotTaken, match="overflow with weights of 8 bits on the CPU znver3") as told:
        convert(network, (1, 3, 8, 8), "onnxruntime", code, tmp_path)
    assert told.value.key == "compression.int8.weight_bits"
    with_vnni = replace(code, instruction_sets=("avx2", "avxvnni"))
    convert(network, (1, 3, 8, 8), "onnxruntime", with_vnni, tmp_path)
    assert any(tmp_path.iterdir())


class Bessel(nn.Module):
    """A network with an operator that ONNX does not have."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(images)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_operator_that_the_compiler_does_not_know_is_named(
    name: str, host: Target, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="special_bessel_j0") as told:
        convert(Bessel().eval(), (1, *SHAPE), name, host.code, tmp_path)
    assert told.value.key == "compiler"
    assert len(str(told.value).splitlines()) == 2


@pytest.mark.parametrize("name", [_tried(name) for name in NAMES if name not in NEED_TORCH])
def test_a_conversion_installs_nothing_and_a_session_imports_no_pytorch_and_tells_nobody(
    name: str, host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, programs = tmp_path / "library", tmp_path / "programs"
    for folder in (library, programs):
        folder.mkdir()
    (programs / "pip").write_text(f"#!/bin/sh\ntouch '{tmp_path}/installed'\n")
    (programs / "pip").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    convert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), (1, 3, 8, 8), name, host.code, library)
    assert not (tmp_path / "installed").exists()
    code = (
        "import sys, pathlib, numpy\n"
        "from dlas.hardware.sessions import runners\n"
        f"network = runners.named({name!r}).load(pathlib.Path({str(library)!r}), 1, 'cpu')\n"
        "network.run(network.put(numpy.zeros((1, 3, 8, 8), numpy.float32)))\n"
        "print([name in sys.modules for name in ('torch', 'tvm', 'openvino_telemetry')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[False, False, False]"


@pytest.mark.parametrize("name", TRIED)
def test_a_damaged_library_is_refused_by_its_session(name: str, host: Target, tmp_path: Path) -> None:
    convert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), (1, 3, 8, 8), name, host.code, tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UserError, match="the library"):
        deployment.run(tmp_path, np.zeros((1, 3, 8, 8), np.float32), host, runner=name)


def test_a_compiler_for_one_image_at_a_time_refuses_more(host: Target, tmp_path: Path) -> None:
    with pytest.raises(NetworkNotTaken, match="one image at a time") as refusal:
        convert(nn.Conv2d(3, 4, 3).eval(), (4, 3, 8, 8), "ncnn", host.code, tmp_path)
    assert refusal.value.key == "timing.batch_sizes"


class Branching(nn.Module):
    """A network with a branch that the images' values decide, which torch.export can write down."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cond(images.mean() > 0, lambda x: x * 2, lambda x: x - 1, (images,))


@pytest.mark.parametrize("name", ["onnxruntime", *(_tried(name) for name in ("ncnn", "openvino"))])
def test_whatever_an_exporter_raises_is_told_in_a_sentence(name: str, host: Target, tmp_path: Path) -> None:
    with pytest.raises(NetworkNotTaken, match="cond"):
        convert(Branching().eval(), (1, 3, 8, 8), name, host.code, tmp_path)
    seven = nn.AdaptiveAvgPool2d(7).eval()
    if name != "ncnn":
        with pytest.raises(NetworkNotTaken, match=r"of input size: aten.adaptive_avg_pool2d") as told:
            convert(seven, (1, 3, 16, 16), name, host.code, tmp_path)
        assert "\n" not in told.value.problem


@pytest.mark.parametrize("name", [_tried("iree")])
def test_iree_tells_what_it_can_t_compile(name: str, host: Target, tmp_path: Path) -> None:
    cut = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ZeroPad2d((-1, 2, -3, 1)), nn.Conv2d(4, 4, 3)).eval()
    with pytest.raises(NetworkNotTaken, match=r"offsets to be non-negative.* \(onnx\.\w+\)"):
        convert(cut, (1, 3, 16, 16), name, host.code, tmp_path)


INT8 = int8.Settings("int8", int8.__name__, weight_bits=7)


def rehearsed(compiler: str, steps: tuple[config.Compression, ...], board: Target, folder: Path) -> None:
    """Rehearse a point of a network that PyTorch's export to ONNX gets wrong."""
    RehearseConversion(
        tried=Kept(folder=folder),
        trial=Trial(config.Model(name="floored", factory="user_models.floored"), SHAPE, 10),
        steps=steps,
        compiler=compiler,
        target=board,
        batch_sizes=(1,),
    ).make(folder, NOWHERE)


@pytest.mark.parametrize("steps", [(), (INT8,)], ids=["float32", "int8"])
def test_answers_that_are_not_pytorch_s_are_refused_before_any_training(
    steps: tuple[config.Compression, ...], host: Target, tmp_path: Path
) -> None:
    with pytest.raises(NetworkNotTaken, match=r"onnxruntime gives wrong outputs: .* untrained") as told:
        rehearsed("onnxruntime", steps, host, tmp_path)
    assert told.value.key == "compiler"


def test_answers_of_pytorch_itself_are_taken(host: Target, tmp_path: Path) -> None:
    rehearsed("torch", (), host, tmp_path)


@pytest.mark.parametrize("name", [_tried(name) for name in ("executorch", "mnn", "ncnn")])
def test_an_operator_that_a_compiler_does_not_know_is_named_with_its_layer(
    name: str, host: Target, tmp_path: Path
) -> None:
    with pytest.raises(NetworkNotTaken, match=r"erfinv.*: aten.erfinv in the layer bent \(.*user_models.py:"):
        convert(unusual(10).eval(), (1, 3, 8, 8), name, host.code, tmp_path)


@pytest.mark.parametrize(
    ("said", "layers"),
    [
        ("Exporting the operator 'aten::erfinv' to ONNX", ["bent"]),
        ("Operator torch._ops.aten.erfinv.default is not Aten Canonical", ["bent"]),
        ("Could not find an implementation for Tanh(13) node with name '/Tanh'", ["bent"]),
        ("it does not know torch.erfinv, aten::conv2d", ["stem", "bent"]),
        ("Could not find an implementation for Conv(11) node with name '/Conv'", ["stem"]),
        ("Could not find an implementation for Gemm(13) node with name '/Gemm'", ["last"]),
        ("the mean of a linear operator to view", []),
    ],
)
def test_the_layers_are_found_of_operators_that_a_compiler_names(said: str, layers: list[str]) -> None:
    program = exported(unusual(10).eval(), torch.zeros(1, 3, 8, 8))
    found = places.of_operators(program, said)
    assert [one.partition("in the layer ")[2].partition(" ")[0] for one in found] == layers


class _Without:
    """A finder for which some packages are not installed."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name in self.names:
            raise ModuleNotFoundError(name)
        return None


@pytest.mark.parametrize("name", [name for name in NAMES if NETWORK_COMPILERS.load(name).PACKAGES])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = [*NETWORK_COMPILERS.load(name).PACKAGES][-1]
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Without(package), *sys.meta_path])
    with pytest.raises(UserError) as told:
        compilers.require_installed(name, "compiler")
    assert package in told.value.problem
    assert told.value.remedy == f"pip install 'dlas[{name}]'"


def test_a_build_of_another_name_is_found_by_the_module_that_it_brings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As onnxruntime-gpu brings onnxruntime."""
    (tmp_path / "some_runtime").mkdir()
    (tmp_path / "some_runtime" / "__init__.py").touch()
    told = tmp_path / "some_runtime_gpu-9.8.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: some-runtime-gpu\nVersion: 9.8\n")
    (told / "RECORD").write_text("some_runtime/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package_version("some_runtime", "some-runtime") == "9.8"
    assert package_version("no_runtime", "no-runtime") is None


def test_the_runtime_of_a_library_is_told_beside_its_target(host: Target, tmp_path: Path) -> None:
    runtime = Runtime("onnxruntime", {"onnxruntime": "1.0"}, {"intra_op_num_threads": "2"})
    target_file.write(host, tmp_path / "target.json", runtime)
    assert target_file.runtime(tmp_path / "target.json") == runtime
    target_file.write(host, tmp_path / "target.json")
    assert target_file.runtime(tmp_path / "target.json") is None


@pytest.mark.parametrize("compiler", ["os", "dlas.hardware.sessions.runners.tvm", "../evil", "tvm", ""])
def test_no_module_is_imported_that_a_bundle_names(compiler: str, host: Target, tmp_path: Path) -> None:
    path = tmp_path / "target.json"
    target_file.write(host, path, Runtime("onnxruntime", {}, {}))
    values = json.loads(path.read_text())
    values["runtime"]["compiler"] = compiler
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="compiler"):
        target_file.runtime(path)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_kernels_of_its_own(name: str) -> None:
    compiler = config.Compiler(name)
    assert compiler.has_own_kernels
    assert not config.Compiler("tvm").has_own_kernels
