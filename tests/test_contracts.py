"""A user's implementation that lacks something is refused by name while the config is checked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_config import parsed

import dlas
from dlas import models
from dlas.config import Model
from dlas.errors import UserError
from dlas.plugins import finding, sources

SETTINGS = """
from dataclasses import dataclass
from dlas import config

@dataclass(frozen=True)
class Settings(config.{}):
    pass
"""

DATASET, COMPRESSION, TUNER = (SETTINGS.format(base) for base in ("Dataset", "Compression", "Tuner"))

ALGORITHM = """
raise RuntimeError("imported")
def unsupported(workload): ...
def layouts(workload): ...
def pack_weight(workload, weight): ...
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module of a user's own that has the text of the test's parameter."""
    name = f"contracts_{abs(hash((request.node.name, str(tmp_path))))}"
    (tmp_path / f"{name}.py").write_text(request.param)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def refused(*overrides: str) -> UserError:
    with pytest.raises(UserError) as told:
        parsed(*overrides)
    return told.value


@pytest.mark.parametrize(
    ("own", "lacking"),
    [
        ("x = 1", ["no Settings, a frozen dataclass", "it lacks load(settings)"]),
        (DATASET, ["it lacks load(settings)"]),
        (DATASET + "load = 3", ["load cannot be called"]),
        (DATASET + "def load(): ...", ["load() has to be load(settings)"]),
        (DATASET + "def load(settings, more): ...", ["load(settings, more) has to be load(settings)"]),
    ],
    indirect=["own"],
)
def test_a_dataset_lacks_what_it_is_said_to(own: str, lacking: list[str]) -> None:
    error = refused(f"dataset.module={own}")
    assert error.key == "dataset.module"
    assert f"'{own}' is no dataset: " in error.problem
    assert all(each in error.problem for each in lacking)
    assert "dlas.interfaces.dataset.Dataset" in error.remedy


@pytest.mark.parametrize(
    ("own", "lacking"),
    [
        (
            COMPRESSION,
            "compress(model, dataset, settings, train, seed, checkpoints); it lacks rehearse(model, "
            "image_shape, settings); it lacks restore(model, weights)",
        ),
        (
            COMPRESSION
            + "def compress(model, dataset, settings, train): ...\ndef restore(model, weights): ...",
            "compress(model, dataset, settings, train) has to be",
        ),
        (
            COMPRESSION + "def compress(*given): ...\ndef restore(weights, model): ...",
            "restore(weights, model) has to be restore(model, weights)",
        ),
    ],
    indirect=["own"],
)
def test_a_compression_lacks_what_it_is_said_to(own: str, lacking: str) -> None:
    error = refused("compression=weight_pruning", f"compression.weight_pruning.module={own}")
    assert error.key == "compression.weight_pruning.module"
    assert lacking in error.problem


@pytest.mark.parametrize(
    ("own", "lacking"),
    [
        (
            TUNER + "def tune(tasks, target, settings, log, store): ...",
            "it lacks best_schedules(log, tasks, target",
        ),
        (
            TUNER + "def tune(*given): ...\ndef best_schedules(log, tasks, target): ...",
            "best_schedules(log, tasks, target) has to be best_schedules(log, tasks, target, *, foreign)",
        ),
    ],
    indirect=["own"],
)
def test_a_tuner_lacks_what_it_is_said_to(own: str, lacking: str) -> None:
    error = refused("tuner=none", f"tuner.module={own}")
    assert error.key == "tuner.module"
    assert lacking in error.problem


@pytest.mark.parametrize(
    ("own", "lacking"),
    [
        (
            "x = 1",
            ["it lacks unsupported(workload)", "neither compute and schedule (TE) nor kernel (TensorIR)"],
        ),
        (ALGORITHM + "def compute(workload): ...", ["it lacks schedule(sch, workload, target)"]),
        (
            ALGORITHM + "def compute(workload): ...\ndef schedule(workload, sch, target): ...",
            ["schedule(workload, sch, target) has to be schedule(sch, workload, target)"],
        ),
        (
            ALGORITHM + "def kernel(workload, target): ...\ndef parameters(workload): ...",
            ["it lacks kernel_with(workload, target, chosen)", "parameters(workload) has to be"],
        ),
        (ALGORITHM + "def kernel(workload, target): ...\ndef compute(workload): ...", ["one of the two"]),
        (ALGORITHM + "kernel = 'direct'", ["kernel cannot be called"]),
    ],
    indirect=["own"],
)
def test_an_algorithm_lacks_what_it_is_said_to_and_is_not_imported(own: str, lacking: list[str]) -> None:
    error = refused(f"algo.module={own}")
    assert error.key == "algo.module"
    assert f"'{own}' is no algorithm: " in error.problem
    assert all(each in error.problem for each in lacking)


@pytest.mark.parametrize(
    "own",
    [
        ALGORITHM + "def kernel(wl, hardware): ...",
        ALGORITHM + "from functools import partial\nkernel = partial(print, 1)",
        ALGORITHM + "from dlas.algorithms.direct.dense import compute, schedule",
        ALGORITHM + "from dlas.algorithms.direct.sparse import *",
        ALGORITHM
        + "try:\n    from nowhere import kernel\nexcept ImportError:\n    def kernel(a, b, c=1): ...",
        "def __getattr__(name): ...",
    ],
    indirect=True,
)
def test_an_algorithm_that_lacks_nothing_that_its_source_tells_is_taken(own: str) -> None:
    assert parsed(f"algo.module={own}").algo.algorithms == [own]


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("def net(): ...", "net() has to be net(classes)"),
        ("def net(classes, width): ...", "net(classes, width) has to be net(classes)"),
        ("net = 3", "net cannot be called"),
        ("import os as net", "net cannot be called"),
        ("def nett(classes): ...", "it lacks net(classes)"),
        ("class net:\n    def __init__(self): ...", "net() has to be net(classes)"),
    ],
    indirect=["own"],
)
def test_a_factory_that_cannot_be_called_with_the_classes_is_refused(own: str, told: str) -> None:
    error = refused(f"model.factory={own}.net")
    assert error.key == "model.factory"
    assert told in error.problem


@pytest.mark.parametrize(
    "own",
    [
        "def net(classes): ...",
        "def net(classes, width=1, *, deep=False): ...",
        "class net:\n    def __init__(self, classes): ...",
        "class net(dict): ...",
        "net = lambda classes: 3",
        "from functools import partial\nnet = partial(dict, 1)",
    ],
    indirect=True,
)
def test_a_factory_that_can_be_called_is_taken(own: str) -> None:
    assert parsed(f"model.factory={own}.net").model.factory == f"{own}.net"


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("net = [print].pop()\nnet = dict().get('x')", "cannot be called with the number of classes"),
        ("net = (lambda: (lambda: 3))()", "cannot be called with the number of classes"),
        ("def net(classes): return 3", "gives a int"),
    ],
    indirect=["own"],
)
def test_a_factory_whose_source_does_not_tell_is_refused_when_it_is_called(own: str, told: str) -> None:
    model = Model(name="mine", factory=f"{own}.net")
    with pytest.raises(UserError, match=told) as refusal:
        models.build(model, 10)
    assert refusal.value.key == "model.factory"


def test_what_the_source_tells_is_what_python_finds() -> None:
    """Of modules of ours, which import nothing heavy."""
    import inspect
    from importlib import import_module

    for module in (
        "dlas.errors",
        "dlas.config",
        "dlas.plugins.registry",
        "dlas.systems.tuners.none",
        "textwrap",
    ):
        for name, found in vars(import_module(module)).items():
            told = sources.definition(module, name)
            if name.startswith("__") or told.kind == "unknown":
                continue
            assert told.kind == ("function" if callable(found) else "value"), (module, name)
            if told.signature is not None:
                assert list(told.signature.parameters) == list(inspect.signature(found).parameters)


def test_checking_a_users_algorithm_imports_neither_torch_nor_tvm(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from dlas.algorithms.direct.dense import *\n")
    program = (
        "import sys\nfrom dlas.plugins import contracts\n"
        "assert contracts.of_algorithm('mine') == []\n"
        "assert not {'torch', 'tvm', 'mlflow'} & set(sys.modules), sorted(sys.modules)"
    )
    told = {**os.environ, "PYTHONPATH": str(Path(dlas.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env=told)


def test_a_module_within_packages_without_a_file_of_their_own_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare" / "barer").mkdir(parents=True)
    (tmp_path / "bare" / "barer" / "module.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert finding.module_exists("bare")
    assert not finding.module_exists("bare.barer.module")
