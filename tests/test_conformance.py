"""The package's own implementations do what their interfaces say; what does not is found."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from small_networks import Residual

from dlas import config, models
from dlas.compression.finetuning import Finetune
from dlas.config.layers.compiler import VENDORS
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.compiler import KernelCompiler
from dlas.interfaces.compression import Compression
from dlas.interfaces.dataset import Dataset
from dlas.interfaces.images import ImageDataset
from dlas.interfaces.tuner import Tuner
from dlas.interfaces.tuning import TuningTask
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins import contracts
from dlas.plugins.registry import ALGORITHMS, COMPRESSIONS, DATASETS, FACTORIES, TUNERS, variants
from dlas.systems.compilers.tvm import building
from dlas.testing import check_algorithm, check_compression, check_dataset, check_network, check_tuner

LAYER = ConvWorkload(
    1, 8, 9, 12, 16, (3, 3), padding=(1, 1, 1, 1), bias=True, residual=True, activation="relu"
)

KERNELS = {"_sparse": replace(LAYER, format="csr"), "_int8": replace(LAYER, dtype="int8", output_zero=3)}

ERRORS = {"winograd_f4": 1e-4}

TRAIN = config.Train(epochs=0)

PRUNINGS = ("channel_pruning", "weight_pruning", "block_pruning")


def replaced(module: ModuleType, **members: object) -> ModuleType:
    """A module with other members than `module`."""
    found = ModuleType(module.__name__)
    found.__dict__.update({**vars(module), **members})
    return found


@pytest.mark.parametrize("name", [name for name in ALGORITHMS.names() if name not in VENDORS])
def test_an_algorithm_conforms(name: str) -> None:
    assert contracts.of_algorithm(ALGORITHMS.path(name)) == []
    workload = next((each for suffix, each in KERNELS.items() if name.endswith(suffix)), LAYER)
    served = check_algorithm(ALGORITHMS.load(name), [workload], largest_error=ERRORS.get(name, 1e-5))
    assert served == [workload]


@pytest.mark.parametrize("name", ["direct", "gemm"])
def test_a_schedule_for_gpus_conforms(name: str) -> None:
    cuda = variants(name).cuda
    assert cuda is not None
    assert contracts.of_gpu_schedule(cuda) == []


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_dataset_offers_what_is_asked_of_it(name: str) -> None:
    assert contracts.of_module(DATASETS.load(name), Dataset) == []


def test_the_digits_conform() -> None:
    digits = DATASETS.load("digits")
    check_dataset(digits, digits.Settings("digits"))


@pytest.mark.parametrize("name", COMPRESSIONS.names())
def test_a_compression_offers_what_is_asked_of_it(name: str) -> None:
    assert contracts.of_module(COMPRESSIONS.load(name), Compression) == []


@pytest.mark.parametrize("name", [*PRUNINGS, "float16"])
def test_a_compression_conforms(name: str, digits: ImageDataset, tmp_path: Path) -> None:
    module = COMPRESSIONS.load(name)
    tuned = {"finetune": Finetune(epochs=0)} if name in PRUNINGS else {}
    model = models.build(config.Model(name="resnet20"), digits.classes).eval()
    check_compression(module, module.Settings(name, **tuned), model, digits, TRAIN, tmp_path)


@pytest.mark.parametrize("name", ["resnet20", "mobilenetv1"])
def test_a_factory_conforms(name: str) -> None:
    path = FACTORIES.path(name)
    module, _, function = path.rpartition(".")
    assert contracts.of_factory(path) == []
    check_network(getattr(import_module(module), function), 32)


@pytest.mark.parametrize("name", TUNERS.names())
def test_a_tuner_offers_what_is_asked_of_it(name: str) -> None:
    assert contracts.of_module(TUNERS.load(name), Tuner) == []


@pytest.mark.parametrize("name", ["none", pytest.param("metaschedule", marks=pytest.mark.slow)])
def test_a_tuner_conforms(name: str, tmp_path: Path) -> None:
    module = TUNERS.load(name)
    settings = module.Settings(name) if name == "none" else module.Settings(name, trials=2)
    target = resolve(config.Target(name="host"))
    check_tuner(module, settings, [TuningTask(LAYER, "direct")], target, tmp_path)


def test_tvm_is_a_compiler() -> None:
    assert contracts.of_module(building, KernelCompiler) == []


def test_an_algorithm_that_changes_its_weight_is_found() -> None:
    direct = import_module("dlas.algorithms.direct.dense")

    def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
        packed: tuple[np.ndarray, ...] = direct.pack_weight(workload, weight)
        weight *= 2
        return packed

    with pytest.raises(AssertionError, match="changes the weight"):
        check_algorithm(replaced(direct, pack_weight=pack_weight), [LAYER])


def test_an_algorithm_that_is_wrong_is_found() -> None:
    direct = import_module("dlas.algorithms.direct.dense")

    def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(2 * array for array in direct.pack_weight(workload, weight))

    with pytest.raises(AssertionError, match=LAYER.key):
        check_algorithm(replaced(direct, pack_weight=pack_weight), [LAYER])


def test_a_dataset_with_a_label_that_is_no_class_is_found(digits: ImageDataset) -> None:
    module = import_module("dlas.datasets.digits")
    wrong = replace(digits, test_labels=digits.test_labels + 1)
    with pytest.raises(AssertionError, match="labels are 0 to 9"):
        check_dataset(replaced(module, load=lambda settings: wrong), module.Settings("digits"))


def test_a_network_of_another_number_of_classes_is_found() -> None:
    with pytest.raises(AssertionError, match="for each of 7 classes"):
        check_network(lambda classes: Residual(), 12)


def test_a_compression_that_restores_another_network_is_found(digits: ImageDataset, tmp_path: Path) -> None:
    module = import_module("dlas.compression.weight_pruning")
    settings = module.Settings("weight_pruning", finetune=Finetune(epochs=0))
    model = models.build(config.Model(name="resnet20"), digits.classes).eval()
    broken = replaced(module, restore=lambda model, weights: model)
    with pytest.raises(AssertionError, match="is not what it made"):
        check_compression(broken, settings, model, digits, TRAIN, tmp_path)
