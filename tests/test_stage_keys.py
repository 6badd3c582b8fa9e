"""Keys of stages: what changes them and what doesn't. Nothing is made; source is changed as it is read."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import REPOSITORY, environment
from torch import nn

from dlas import config
from dlas.compression import channel_pruning
from dlas.datasets.dataset import from_arrays
from dlas.errors import UserError
from dlas.files.checkpoints import Checkpoints
from dlas.files.weights_file import WeightsFile
from dlas.interfaces.images import ImageDataset
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.placement import Placement
from dlas.interfaces.targets.reach import Reach
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.models.resnet import resnet20
from dlas.models.untrained import Architecture, Untrained
from dlas.stages.compression import Compress
from dlas.stages.deployment import Deploy
from dlas.stages.given_weights import TakeWeights
from dlas.stages.kernels.choosing import ChooseKernels
from dlas.stages.kernels.chosen import Kernels
from dlas.stages.kernels.tuning import Tune, Tuned
from dlas.stages.kernels.untuned import KeepUntuned
from dlas.stages.libraries.building import Build
from dlas.stages.libraries.conversion import Convert
from dlas.stages.libraries.library import Library
from dlas.stages.machine.roofs import MeasureRoofs
from dlas.stages.machine.yardstick import BuildYardsticks
from dlas.stages.network import Network
from dlas.stages.program.batches import Enlarge
from dlas.stages.program.fastest import LowerFastest
from dlas.stages.program.lowering import Lower, Lowered
from dlas.stages.stage import Stage
from dlas.stages.store.code import first_read
from dlas.stages.store.code.closure import DECIDE_NO_RESULT, code_of
from dlas.stages.store.code.remembering import remember
from dlas.stages.store.key import inputs_of, key_of
from dlas.stages.training import Train
from dlas.systems.choices.kind import Kind
from dlas.systems.compilers.tvm import yardstick
from dlas.systems.tuners import none
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.common.tuning_store import TuningStore

PACKAGE = REPOSITORY / "dlas"
DIRECT, GEMM = "direct", "gemm"
CODE = CodeTarget("x86_64-linux-gnu", "haswell", cores=2, vector_bytes=32, vector_registers=16)
TARGET = Target("a", CODE, Placement(threads=2))
SHAPE = (3, 32, 32)
BLANK = np.zeros((4, *SHAPE), np.uint8), np.arange(4)
IMAGES = from_arrays("blank", 4, BLANK, BLANK, mirrorable=False, statistics=((0.0,) * 3, (1.0,) * 3))
NETWORK = Network(folder=Path("train/1"), module=nn.Identity())
LOWERED = Lowered(
    folder=Path("lower/2"),
    program=LoweredProgram(None, (yardstick.LAYER,), (), {}),  # type: ignore[arg-type]
)
TASK = TuningTask(yardstick.WORKLOAD, DIRECT)
ANSOR = ansor.Settings("ansor")
TUNED = Tuned(folder=Path("tune/3"), trials=1, failed=0, seconds=1.0, layers=[], stopped="")
LIBRARY = Library(folder=Path("build/4"), path=Path("build/4/model.so"), runner="tvm")
MEASURED = TuningStore(Path("tuning"))
PRUNING = channel_pruning.Settings("channel_pruning")


@cache
def untrained() -> Untrained:
    return Untrained(resnet20(4), SHAPE, "dlas.models.resnet")


def stages() -> dict[str, Stage[Any]]:
    given = WeightsFile(REPOSITORY / "LICENSE")
    architecture = Architecture(untrained().module, SHAPE, "dlas.models.resnet")
    found: list[Stage[Any]] = [
        Train(network=untrained(), dataset=IMAGES, settings=config.Train(), seed=0),
        TakeWeights(network=architecture, dataset=IMAGES, weights=given),
        Compress(network=NETWORK, dataset=IMAGES, settings=PRUNING, train=config.Train(), seed=0),
        Lower(network=NETWORK, image_shape=SHAPE, kind=Kind(GEMM, "dense")),
        LowerFastest(
            network=NETWORK,
            dataset=IMAGES,
            kinds=(Kind(DIRECT, "dense"), Kind(GEMM, "csr")),
            target=TARGET,
            opt_level=3,
        ),
        Enlarge(lowered=LOWERED, network=NETWORK, image_shape=SHAPE, size=4),
        Tune(tasks=(TASK,), settings=ANSOR, target=TARGET, measured=MEASURED),
        ChooseKernels(lowered=LOWERED, tuned=TUNED, tuner=ANSOR, target=TARGET, opt_level=3, roofs=None),
        KeepUntuned(lowered=LOWERED),
        Build(lowered=LOWERED, kernels=None, target=CODE, linker=None, opt_level=3),
        Convert(network=NETWORK, image_shape=SHAPE, batch=1, compiler="onnxruntime", target=CODE),
        BuildYardsticks(target=CODE, linker=None),
        MeasureRoofs(target=TARGET, machine="a"),
        Deploy(network=NETWORK, library=LIBRARY, dataset=IMAGES, target=TARGET),
    ]
    return {type(stage).__name__: stage for stage in found}


NAMES = [
    *("Train", "TakeWeights", "Compress", "Lower", "LowerFastest", "Enlarge", "Tune", "ChooseKernels"),
    *("KeepUntuned", "Build", "Convert", "BuildYardsticks", "MeasureRoofs", "Deploy"),
]


PLACED = ("LowerFastest", "Tune", "ChooseKernels", "MeasureRoofs")
"""Stages whose result depends on where on the machine code runs."""


@cache
def content(path: Path) -> bytes:
    return path.read_bytes()


def changing(*changed: Path) -> Callable[[Path], bytes]:
    """What reads source files as if a constant, or a name that is re-exported, had been added to these."""

    def read(path: Path) -> bytes:
        addition = b""
        if path in changed:
            alone = path.name == "__init__.py"
            addition = b"\nfrom os import sep as added\n" if alone else b"\nADDED = 1\n"
        return content(path) + addition

    return read


def file_of(module: str) -> Path:
    path = REPOSITORY / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_every_stage_is_here() -> None:
    assert list(stages()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_file_of_the_closure_changes_the_key_and_no_other_does(name: str) -> None:
    stage = stages()[name]
    inputs = inputs_of(stage, content)
    closure = {file_of(module) for module in inputs["modules"]}
    assert len(closure) == len(inputs["modules"]) > 3
    for path in sorted(closure):
        assert inputs_of(stage, changing(path)) != inputs, path
    others = {*PACKAGE.rglob("*.py"), *(REPOSITORY / "tests").glob("*.py")} - closure
    assert len(others) > 100
    assert inputs_of(stage, changing(*others)) == inputs


def test_the_closure_holds_all_that_python_imports_for_the_work() -> None:
    """But packages that only re-export, and what `dlas.config` imports for others."""
    program = (
        "import json, sys, dlas.stages.kernels.choosing, dlas.systems.tuners.ansor.tuner\n"
        "print(json.dumps(sorted(name for name in sys.modules if name.startswith('dlas.'))))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, env=environment()
    )
    closure = set(inputs_of(stages()["ChooseKernels"], content)["modules"])
    imported = set(json.loads(told.stdout)) - set(code_of(["dlas.config"], content).modules)
    empty = {"dlas.hardware", "dlas.systems", "dlas.algorithms", "dlas.stages", "dlas.systems.tuners"}
    packages = {name for name in imported if file_of(name).name == "__init__.py"}
    assert imported - closure == packages - closure >= empty


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("Train", "dlas.models.augmentation", "dlas.models.vgg"),
        ("Compress", "dlas.compression.finetuning", "dlas.compression.int8"),
        ("Lower", "dlas.systems.graph.epilogues", "dlas.hardware.timing.deployment"),
        ("LowerFastest", "dlas.hardware.sessions.race", "dlas.systems.tuners.common.search.searching"),
        ("Tune", "dlas.hardware.sessions.session", "dlas.systems.tuners.metaschedule"),
        ("ChooseKernels", "dlas.hardware.timing.race", "dlas.systems.tuners.metaschedule.measuring"),
        ("Build", "dlas.systems.compilers.tvm.fallback_schedule", "dlas.hardware.sessions.session"),
        (
            "MeasureRoofs",
            "dlas.algorithms.shared.integer.dot_products",
            "dlas.systems.compilers.tvm.building",
        ),
        (
            "Convert",
            "dlas.systems.compilers.onnxruntime.compiler",
            "dlas.systems.compilers.tvm.building",
        ),
        ("Deploy", "dlas.hardware.results.reference", "dlas.systems.choices.scheduling"),
    ],
)
def test_closures_are_neither_too_wide_nor_too_narrow(name: str, inside: str, outside: str) -> None:
    modules = inputs_of(stages()[name], content)["modules"]
    assert inside in modules
    assert outside not in modules
    assert file_of(outside).is_file()
    assert not {module for module in modules if module in ("dlas.stages.store.store", "dlas.pipeline")}


def test_the_versions_of_the_tools_that_decide_results_are_there() -> None:
    packages = {name: inputs_of(stage, content)["packages"] for name, stage in stages().items()}
    for name in ("Lower", "Tune", "ChooseKernels", "Build", "BuildYardsticks", "LowerFastest", "Enlarge"):
        assert "apache-tvm" in packages[name], name
    for name in ("Train", "TakeWeights", "Compress", "Lower", "Deploy"):
        assert "torch" in packages[name], name
    assert "torch-pruning" in packages["Compress"]
    assert {"torch", "onnxruntime"} <= packages["Convert"].keys()
    assert all("python" in found for found in packages.values())
    assert not {name for found in packages.values() for name in found} & set(DECIDE_NO_RESULT)


def test_the_ansor_workers_code_and_environment_count_where_ansor_tunes() -> None:
    tune = Tune(tasks=(TASK,), settings=ANSOR, target=TARGET, measured=MEASURED)
    files = set(inputs_of(tune, content)["files"])
    assert {"ansor/searching.py", "ansor/requirements.txt"} <= files
    worker = REPOSITORY / "workers" / "ansor" / "searching.py"
    assert inputs_of(tune, changing(worker)) != inputs_of(tune, content)
    imported = {
        node.module
        for file in worker.parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dlas.")
    }
    assert imported
    assert imported <= set(inputs_of(tune, content)["modules"])
    untuned = replace(tune, settings=none.Settings("none"))
    assert inputs_of(untuned, content)["files"] == {}


@pytest.mark.parametrize(
    ("changed", "different"),
    [
        ({"linker": "ld.lld"}, ()),
        ({"name": "b"}, ()),
        ({"reach": Reach("rpc", port=9091)}, ("MeasureRoofs", "Deploy")),
        ({"placement": Placement(threads=2, affinity=(0,))}, PLACED),
        ({"placement": Placement(threads=2, smt=False)}, PLACED),
        (
            {"code": replace(CODE, cpu="skylake")},
            (
                *("LowerFastest", "Tune", "ChooseKernels", "Build", "Convert", "BuildYardsticks"),
                *("MeasureRoofs", "Deploy"),
            ),
        ),
    ],
)
def test_of_a_target_counts_what_decides_the_result(
    changed: dict[str, Any], different: tuple[str, ...]
) -> None:
    other = replace(TARGET, **changed)
    found = []
    for name, stage in stages().items():
        if isinstance(stage, Convert):
            moved: Stage[Any] = replace(stage, target=other.code)
        elif isinstance(stage, Build | BuildYardsticks):
            moved = replace(stage, target=other.code, linker=other.linker)
        elif hasattr(stage, "target"):
            moved = replace(stage, target=other)  # type: ignore[type-var]
        else:
            continue
        if inputs_of(moved, content) != inputs_of(stage, content):
            found.append(name)
    assert tuple(found) == different


def changed_dataset(**changes: Any) -> ImageDataset:
    return replace(IMAGES, **changes)


@pytest.mark.parametrize("changes", [{"mirrorable": True}, {"mean": (0.5, 0.0, 0.0)}, {"fingerprint": "ab"}])
def test_a_dataset_counts_by_its_content(changes: dict[str, Any]) -> None:
    train = stages()["Train"]
    assert isinstance(train, Train)
    other = replace(train, dataset=changed_dataset(**changes))
    assert key_of(inputs_of(other, content)) != key_of(inputs_of(train, content))
    renamed = replace(train, dataset=changed_dataset(name="another"))
    assert key_of(inputs_of(renamed, content)) == key_of(inputs_of(train, content))


def test_a_kernels_choice_is_of_its_library_s_key() -> None:
    build = stages()["Build"]
    assert isinstance(build, Build)
    tuned = replace(build, kernels=Kernels(folder=Path("kernels/5"), choices=(), tuned={}))
    assert inputs_of(tuned, content)["fields"]["kernels"] == "kernels/5"
    assert inputs_of(build, content)["fields"]["kernels"] is None


def test_another_runtime_on_a_board_makes_another_key() -> None:
    deploy = stages()["Deploy"]
    assert isinstance(deploy, Deploy)
    keys = {
        key_of(inputs_of(replace(deploy, runtime=runtime), content))
        for runtime in ({}, {"onnxruntime": "1.1"}, {"onnxruntime": "1.2"})
    }
    assert len(keys) == 3


@dataclass(frozen=True, kw_only=True)
class Odd(Stage[Library]):
    value: object
    stage = "odd"

    def make(self, folder: Path, checkpoints: Checkpoints) -> None: ...

    def read(self, folder: Path) -> Library:
        return Library(folder=folder)


@pytest.mark.parametrize("value", [Path("a"), {1: 2}, {"a", "b"}, float("nan"), [print]])
def test_what_stands_in_no_key_is_no_field(value: object) -> None:
    with pytest.raises(TypeError, match="value"):
        inputs_of(Odd(value=value))


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user's own modules, on the path."""
    (tmp_path / "mine" / "inner").mkdir(parents=True)
    for name, text in {
        "entry.py": "import mine.inner.used\n",
        "alone.py": "VALUE = 1\n",
        "mine/__init__.py": "LOADED = True\n",
        "mine/inner/__init__.py": "",
        "mine/inner/used.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import alone\n"
        "def work():\n    from ..sibling import *\n",
        "mine/sibling.py": "import numpy\nfrom importlib import import_module\n"
        "try:\n    import mine_missing\nexcept ImportError:\n    mine_missing = None\n"
        "import_module('named')\ncommand = ['python', '-m', 'started']\n"
        "import_module('.relative', __package__)\nimport_module(name='.further', package='mine.inner')\n",
        "mine/relative.py": "",
        "mine/inner/further.py": "",
        "named.py": "",
        "started.py": "",
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_imports_are_followed_wherever_they_stand(users: Path) -> None:
    found = code_of(["entry"], content)
    assert set(found.modules) == {
        *(
            "entry",
            "mine",
            "mine.inner",
            "mine.inner.further",
            "mine.inner.used",
            "mine.relative",
            "mine.sibling",
            "mine_missing",
            "named",
            "started",
        )
    }
    assert found.modules["mine_missing"] == "missing"
    assert found.packages["numpy"] == np.__version__


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("# a comment\nVALUE   =   1\n", True),
        ('"""A docstring."""\n\nVALUE = 1\n', True),
        ('VALUE = 1\n__version__ = "2"\n', True),
        ("VALUE = 1\nif __debug__:\n    import os\n", False),
        ("VALUE = 2\n", False),
        ("VALUE = 1.0\n", False),
    ],
)
def test_what_does_not_run_does_not_count(users: Path, text: str, same: bool) -> None:
    before = code_of(["alone"], content).modules
    assert (code_of(["alone"], lambda _: text.encode()).modules == before) is same


def test_an_unknown_module_is_refused(users: Path) -> None:
    for unknown in ("nowhere", "mine.nowhere", "entry.inner", ""):
        with pytest.raises(UserError, match=f"no module '{unknown}'") as caught:
            code_of([unknown])
        assert caught.value.remedy
    (users / "alone.py").write_text("VALUE = = 1\n")
    with pytest.raises(UserError, match="cannot be read") as caught:
        code_of(["alone"])
    assert caught.value.key == str(users / "alone.py")


def test_code_that_changes_under_a_run_is_refused(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process has imported may be older than what lies there."""
    monkeypatch.setattr(first_read, "_first", {})
    code_of(["alone"])
    (users / "alone.py").write_text("VALUE = 2\n")
    with pytest.raises(UserError, match="changed while the run was at work"):
        code_of(["alone"])


def test_code_changed_before_its_first_key_is_noticed_too(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python imports most of it when a run starts; the key that it counts in is made hours later."""
    monkeypatch.setattr(first_read, "_first", {})
    remember(["entry"])
    (users / "mine" / "sibling.py").write_text("VALUE = 2\n")
    with pytest.raises(UserError, match="changed while the run was at work"):
        code_of(["entry"])
    remembered = set(first_read._first)
    assert remembered >= {
        file_of("dlas.pipeline"),
        file_of("dlas.systems.choices.lowering"),
        users / "entry.py",
    }


@pytest.mark.parametrize(
    "text",
    [
        "import nowhere\n",
        "from nowhere.inner import name\n",
        "from .nowhere import name\n",
        "def work():\n    import nowhere\n",
        "import importlib\nimportlib.import_module('nowhere')\n",
        "try:\n    import nowhere\nexcept ValueError:\n    pass\n",
    ],
)
def test_a_users_import_of_what_is_not_there_is_refused(text: str, users: Path) -> None:
    (users / "mine" / "sibling.py").write_text(text)
    with pytest.raises(UserError, match="nowhere") as caught:
        code_of(["entry"])
    assert caught.value.key == str(users / "mine" / "sibling.py")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import nowhere\nexcept ImportError:\n    import nowhere_either\n",
        "try:\n    from nowhere import name\nexcept (ValueError, ModuleNotFoundError):\n    pass\n",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import nowhere\n",
        "import sys\nif sys.version_info < (3, 11):\n    import nowhere\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere\n",
        "import os.path, torch.made_as_it_runs\n",
    ],
)
def test_an_import_that_may_fail_is_not_refused(text: str, users: Path) -> None:
    (users / "alone.py").write_text(text)
    missing = {name for name, found in code_of(["alone"]).modules.items() if found == "missing"}
    assert ("nowhere" in missing) is ("nowhere" in text and "TYPE_CHECKING" not in text)


def test_a_users_import_that_cannot_be_followed_is_warned_of_once(
    users: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (users / "alone.py").write_text(
        "from importlib import import_module\n\nWORK = import_module('na' + 'med')\n"
    )
    for _ in range(2):
        assert set(code_of(["alone"]).modules) == {"alone"}
    (told,) = [record.getMessage() for record in caplog.records]
    assert f"{users / 'alone.py'}, line 3" in told


CODE_BEHIND = """
import json
from dlas.stages.store.code.closure import code_of
print(json.dumps(dict(code_of(["dlas.config", "alone"]).modules)))
"""


def test_what_an_earlier_process_parsed_is_taken_for_the_same_source_alone(
    users: Path, tmp_path: Path
) -> None:
    """Keys are the same with what was kept, without it, and where it is damaged."""

    def told(**changed: str) -> dict[str, str]:
        env = environment(
            {"PYTHONPATH": f"{REPOSITORY}:{users}", "PYTHONPYCACHEPREFIX": str(prefix), **changed}
        )
        done = subprocess.run(
            [sys.executable, "-c", CODE_BEHIND], env=env, capture_output=True, text=True, check=True
        )
        modules: dict[str, str] = json.loads(done.stdout)
        return modules

    prefix = tmp_path / "bytecode"
    first = told(PYTHONDONTWRITEBYTECODE="1")
    assert first == dict(code_of(["dlas.config", "alone"], content).modules)
    assert not list(prefix.rglob("*.json"))
    assert told(PYTHONDONTWRITEBYTECODE="") == first
    (kept,) = prefix.rglob("*.json")
    kept.write_text(kept.read_text().replace(first["alone"], "another"))
    assert told() == {**first, "alone": "another"}  # it is read
    (users / "alone.py").write_text("VALUE = 2\n")
    assert told()["alone"] not in ("another", first["alone"])
    (users / "alone.py").write_text("VALUE = 1\n")
    kept.write_text(kept.read_text()[:-1000])
    assert told() == first


def test_a_module_that_is_no_python_leaves_the_others_to_be_kept(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(first_read, "_first", {})
    (users / "broken.py").write_text("def (\n")
    with pytest.raises(UserError, match="broken"):
        code_of(["broken"])
    assert "alone" in code_of(["alone"]).modules


def shapes(digests: Sequence[Architecture]) -> int:
    return len({each.digest for each in digests})


def network(activation: type[nn.Module] = nn.ReLU, stride: int = 1, frozen: bool = False) -> nn.Module:
    made = nn.Sequential(nn.Conv2d(3, 4, 3, stride=stride), activation(), nn.Dropout(0.5), nn.BatchNorm2d(4))
    made[0].weight.requires_grad = not frozen
    with torch.no_grad():
        made[0].weight.fill_(1.0)
        made[0].bias.fill_(0.0)
    return made


class Branching(nn.Module):
    """Computes something else in training, without a layer that tells."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self._power = power

    def forward(self, images: Any) -> Any:
        return images**self._power if self.training else images


def test_a_network_counts_by_what_it_computes_and_its_first_weights() -> None:
    def of(module: nn.Module) -> Untrained:
        return Untrained(module, SHAPE, "mine")

    assert of(network()).digest == of(network()).digest
    others = [network(nn.Hardswish), network(stride=2), network(frozen=True), Branching(2), Branching(3)]
    assert shapes([of(module) for module in (network(), *others)]) == 6
    heavier = network()
    with torch.no_grad():
        heavier[0].weight[0, 0, 0, 0] = 2.0
    assert of(heavier).digest != of(network()).digest
    assert of(heavier).graph == of(network()).graph
    assert Architecture(heavier, SHAPE, "mine").digest == Architecture(network(), SHAPE, "mine").digest


class Constant(nn.Module):
    """Adds what no state dict has: by an attribute, or made anew by every run."""

    def __init__(self, values: list[float], way: str) -> None:
        super().__init__()
        self._values, self._way = values, way
        self._tensor = torch.tensor(values)

    def forward(self, images: Any) -> Any:
        made = {
            "attribute": lambda: self._tensor,
            "tensor": lambda: torch.tensor(self._values),
            "numpy": lambda: torch.from_numpy(np.array(self._values, "float32")),
            "arange": lambda: torch.arange(len(self._values)) * self._values[0],
            "zeros": lambda: torch.zeros(images.shape[0], 1, 1, len(self._values)) + self._values[0],
        }
        return images + made[self._way]()


@pytest.mark.parametrize("way", ["attribute", "tensor", "numpy", "arange", "zeros"])
def test_the_values_of_a_networks_constants_count(way: str) -> None:
    made = [Untrained(Constant([value] * 32, way), SHAPE, "mine") for value in (1.0, 1.0, 2.0)]
    assert made[0].digest == made[1].digest != made[2].digest


class ByContent(nn.Module):
    """Goes by what is in its images, and by chance."""

    def forward(self, images: Any) -> Any:
        for _ in range(int(images.sum()) + 2):
            images = torch.relu(images)
        return images[images > torch.rand(()).item()]


def test_a_network_whose_way_depends_on_its_images_has_a_digest() -> None:
    state = torch.get_rng_state()
    digests = [Untrained(ByContent(), SHAPE, "mine").digest for _ in range(2)]
    assert digests[0] == digests[1]
    assert torch.equal(torch.get_rng_state(), state)


class Returning(nn.Module):
    def __init__(self, which: str) -> None:
        super().__init__()
        self._which = which

    def forward(self, images: Any) -> Any:
        first = torch.relu(images)
        second = torch.sigmoid(first)
        return {"first": first, "second": second, "pair": (first, second)}[self._which]


def test_what_a_network_returns_counts() -> None:
    returning = [Untrained(Returning(which), SHAPE, "mine") for which in ("first", "second", "pair")]
    assert shapes(returning) == 3


def test_a_networks_digest_leaves_it_as_it_was() -> None:
    module = network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert Untrained(module, SHAPE, "mine").digest
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_network_that_does_not_take_the_images_is_refused() -> None:
    with pytest.raises(UserError, match="images of 1x8x8") as caught:
        _ = Untrained(network(), (1, 8, 8), "mine").digest
    assert caught.value.key == "model.factory"


def test_the_programs_that_a_compiler_calls_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    stage = Convert(network=NETWORK, image_shape=SHAPE, batch=1, compiler="torch_inductor", target=CODE)
    keys = {key_of(inputs_of(stage, content))}
    for version in ("12", "13"):
        (tmp_path / "g++").write_text(version)
        (tmp_path / "g++").chmod(0o755)
        keys.add(key_of(inputs_of(stage, Path.read_bytes)))
    assert len(keys) == 3


@pytest.mark.parametrize(("algorithm", "keys"), [("onednn", 2), (GEMM, 1)])
def test_what_compiles_c_for_a_library_counts(
    algorithm: str, keys: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    layer = replace(yardstick.LAYER, algorithm=algorithm)
    lowered = replace(LOWERED, program=replace(LOWERED.program, layers=(layer,)))
    stage = Build(lowered=lowered, kernels=None, target=CODE, linker="cc -fPIC", opt_level=3)
    found = set()
    for version in ("12", "13"):
        (tmp_path / "cc").write_text(version)
        (tmp_path / "cc").chmod(0o755)
        found.add(key_of(inputs_of(stage, Path.read_bytes)))
    assert len(found) == keys
