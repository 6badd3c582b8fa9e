"""The steps on the way to a point, each kept under the hash of what goes into it."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tvm
from torch import nn

from dlas import config, documents, models, weights_file
from dlas.datasets.dataset import ImageDataset
from dlas.hardware import deployment, reference
from dlas.hardware.deployment import Yardstick
from dlas.hardware.reference import Reference
from dlas.hardware.target import Target, decisive
from dlas.models import checkpoint, evaluation, precision, training, weights
from dlas.registry import ALGORITHMS
from dlas.stage import StageStore, source_digest
from dlas.systems import building, choosing, program, selection, tuning, yardstick
from dlas.systems.assigning import assigned
from dlas.systems.choosing import Kind
from dlas.systems.importing import import_network
from dlas.systems.integer_convolutions import warn_of_wide_weights
from dlas.systems.lowering import enlarged, lowered
from dlas.systems.program import LoweredProgram
from dlas.systems.selection import KernelChoice
from dlas.systems.sites import conv_sites
from dlas.systems.tuning_store import TuningStore

log = logging.getLogger(__name__)

TUNING = "tuning.json"
WEIGHTS = "model.safetensors"
CANDIDATES = "candidates.csv"

CHECKED_IMAGES = 16
"""That a library for larger batches is checked on: the network itself was checked on the whole test set."""


@dataclass(frozen=True)
class Network:
    """A PyTorch network and its top-1 accuracy on the whole test set."""

    key: str
    module: nn.Module
    accuracy: float
    folder: Path

    @property
    def weights(self) -> Path:
        """Its state dict as safetensors."""
        return self.folder / WEIGHTS


@dataclass(frozen=True)
class Lowered:
    """The network as a program that is not scheduled yet."""

    key: str
    folder: Path
    program: LoweredProgram


@dataclass(frozen=True)
class Tuned:
    """What the tuner searched, and its logs where it kept any."""

    key: str
    folder: Path
    trials: int
    failed: int
    seconds: float
    layers: list[dict[str, object]]
    """dlas.systems.tuners.task.LayerTuning of each task."""
    stopped: str
    """Why the search ended before its budget did."""

    @property
    def summary(self) -> Path:
        """All of this as JSON."""
        return self.folder / TUNING


@dataclass(frozen=True)
class Kernels:
    """The schedule chosen for each kernel."""

    key: str
    folder: Path
    choices: tuple[KernelChoice, ...]
    tuned: dict[str, tvm.tirx.PrimFunc]


@dataclass(frozen=True)
class Library:
    """The exported network."""

    key: str
    path: Path


@dataclass(frozen=True)
class Batch:
    """The network built for runs of several images."""

    size: int
    lowered: Lowered
    library: Library


@dataclass(frozen=True)
class Deployed:
    """The library's outputs on the whole test set, checked against PyTorch's."""

    reference: Reference
    accuracy: float


def train(stack: config.Stack, dataset: ImageDataset, store: StageStore) -> Network:
    """The dense network: as its given weights say, else trained."""
    given = None if stack.model.weights is None else weights_file.find(stack.model.weights)
    origin: dict[str, object] = (
        {"train": asdict(stack.train), "seed": stack.seed}
        if given is None
        else {"weights": weights_file.digest(given)}
    )
    inputs = {
        "dataset": dataset.fingerprint,
        "normalization": [dataset.mean, dataset.std],
        "model": stack.model.implementation,
        **origin,
        "code": source_digest("dlas.datasets", "dlas.models", stack.model.implementation.rpartition(".")[0]),
        "torch": version("torch"),
    }

    def make(folder: Path) -> None:
        network = models.build(stack.model, dataset.classes, stack.seed)
        if given is None:
            training.train(network, dataset, stack.train, stack.seed)
        else:
            weights.load(network, given, dataset)
        _keep_network(network, dataset, folder)

    folder = store.obtain("train", inputs, make)
    network = models.build(stack.model, dataset.classes, stack.seed)
    checkpoint.load(network, folder / WEIGHTS)
    return Network(folder.name, network.eval(), _top1(folder), folder)


def compress(
    stack: config.Stack,
    settings: config.Compression,
    dataset: ImageDataset,
    network: Network,
    store: StageStore,
) -> Network:
    """The network made cheaper by one step of compression."""
    method = import_module(settings.implementation)
    inputs = {
        "network": network.key,
        "compression": asdict(settings),
        "train": asdict(stack.train),
        "seed": stack.seed,
        "code": source_digest("dlas.compression", "dlas.models", settings.implementation),
        "torch": version("torch"),
        "torch-pruning": version("torch-pruning"),
        "torchao": version("torchao"),
    }

    def make(folder: Path) -> None:
        compressed = method.compress(network.module, dataset, settings, stack.train, stack.seed, folder)
        _keep_network(compressed, dataset, folder)

    folder = store.obtain(f"compress-{settings.name}", inputs, make)
    return Network(folder.name, method.restore(network.module, folder / WEIGHTS), _top1(folder), folder)


def lower_network(
    stack: config.Stack, dataset: ImageDataset, network: Network, target: Target, store: StageStore
) -> Lowered:
    """The compressed network with a kernel for each of its convolutions.

    Where the stack leaves a choice of algorithms or formats, each layer gets the fastest on the target.
    """
    kinds = [Kind(algorithm, name) for algorithm in stack.algo.algorithms for name in stack.format.formats]
    measured = {"target": decisive(target), "opt_level": stack.compiler.opt_level} if len(kinds) > 1 else {}
    inputs = {
        "network": network.key,
        "kinds": [asdict(kind) for kind in kinds],
        **measured,
        "code": source_digest("dlas.algorithms", "dlas.systems", *stack.algo.implementations),
        "tvm": version("apache-tvm"),
        "torch": version("torch"),
    }
    images = dataset.normalized(dataset.test_images[:1])

    def make(folder: Path) -> None:
        imported = import_network(precision.exportable(network.module), images.shape)
        sites = conv_sites(imported)
        if len(kinds) == 1:
            layers = [assigned(site, kinds[0].algorithm, kinds[0].weight_format) for site in sites]
        else:
            with TemporaryDirectory(prefix="dlas-") as scratch:
                chosen = choosing.choose(
                    imported, sites, kinds, target, stack.compiler.opt_level, images, Path(scratch)
                )
            layers = chosen.layers
            choosing.write_candidates(chosen.candidates, folder / CANDIDATES)
        program.save(lowered(imported, sites, layers), folder)

    folder = store.obtain("lower", inputs, make)
    found = program.load(folder)
    warn_of_wide_weights(found.layers, target)
    return Lowered(folder.name, folder, found)


def tune(stack: config.Stack, lowered: Lowered, target: Target, store: StageStore) -> Tuned:
    """A search over the program's kernels, less what was measured for other networks with the same layers."""
    tasks = list(selection.kernel_tasks(lowered.program).values())
    inputs = {
        "tasks": {task.key: task.count for task in tasks},
        "tuner": asdict(stack.tuner),
        "target": decisive(target),
        "code": source_digest(
            "dlas.algorithms",
            "dlas.systems.tuners",
            stack.tuner.implementation,
            *{ALGORITHMS.path(task.algorithm) for task in tasks},
        ),
    }

    def make(folder: Path) -> None:
        measured = TuningStore(Path(stack.artifacts) / "tuning")
        found = tuning.tune(tasks, target, stack.tuner, folder, measured)
        kept = asdict(found)
        del kept["best"]
        documents.write(tuning.SUMMARY, folder / TUNING, kept)

    folder = store.obtain("tune", inputs, make)
    return Tuned(folder.name, folder, **documents.read(tuning.SUMMARY, folder / TUNING))


def choose_kernels(
    stack: config.Stack, lowered: Lowered, tuned: Tuned, target: Target, store: StageStore
) -> Kernels:
    """The tuned or the untuned schedule for each kernel: what is faster in the network, on the target."""
    tasks = list(selection.kernel_tasks(lowered.program).values())
    inputs = {
        "lowered": lowered.key,
        "tuned": tuned.key,
        "opt_level": stack.compiler.opt_level,
        "code": source_digest(
            "dlas.algorithms", "dlas.systems", *{ALGORITHMS.path(task.algorithm) for task in tasks}
        ),
        "tvm": version("apache-tvm"),
    }

    def make(folder: Path) -> None:
        schedules = tuning.best_schedules(stack.tuner.registered, tuned.folder, tasks, target)
        if stack.tuner.name != "none":
            for reason, layers in selection.without_schedule(lowered.program, schedules).items():
                log.info("no tuned schedule for %s: %s", ", ".join(layers), reason)
        with TemporaryDirectory(prefix="dlas-") as scratch:
            choices, kernels = selection.choose(
                lowered.program, schedules, target, stack.compiler.opt_level, Path(scratch)
            )
        (folder / "kernels.json").write_text(tvm.ir.save_json(tvm.IRModule(kernels)))
        _write(folder / "choices.json", [asdict(choice) for choice in choices])

    folder = store.obtain("kernels", inputs, make)
    kernels = tvm.ir.load_json((folder / "kernels.json").read_text())
    return Kernels(
        key=folder.name,
        folder=folder,
        choices=tuple(KernelChoice(**choice) for choice in json.loads((folder / "choices.json").read_text())),
        tuned={var.name_hint: kernel for var, kernel in kernels.functions_items()},
    )


def build(
    stack: config.Stack, lowered: Lowered, kernels: Kernels, target: Target, store: StageStore
) -> Library:
    """The library that is deployed."""
    return _built(stack, lowered, kernels.key, kernels.tuned, target, store)


def _built(
    stack: config.Stack,
    lowered: Lowered,
    key: str,
    tuned: dict[str, tvm.tirx.PrimFunc],
    target: Target,
    store: StageStore,
) -> Library:
    """`key` stands for the `tuned` kernels."""
    inputs = {
        "lowered": lowered.key,
        "kernels": key,
        "target": decisive(target),
        "compiler": asdict(stack.compiler),
        "tvm": version("apache-tvm"),
    }

    def make(folder: Path) -> None:
        building.build_library(lowered.program, tuned, target, stack.compiler.opt_level, folder / "model.so")

    folder = store.obtain("build", inputs, make)
    return Library(folder.name, folder / "model.so")


def make_yardstick(stack: config.Stack, target: Target, store: StageStore) -> Yardstick | None:
    """The network that tells of the board's pace, where the timing asks for it."""
    if not stack.timing.yardstick:
        return None
    inputs = {
        "target": decisive(target),
        "code": source_digest("dlas.algorithms", "dlas.systems", ALGORITHMS.path(yardstick.ALGORITHM)),
        "tvm": version("apache-tvm"),
    }
    folder = store.obtain(
        "yardstick", inputs, lambda folder: yardstick.build(target, folder / "yardstick.so")
    )
    return Yardstick(folder / "yardstick.so", yardstick.INPUT)


def deploy(
    dataset: ImageDataset, network: Network, library: Library, target: Target, store: StageStore
) -> Deployed:
    """The library run on every test image on its board; UserError unless it answers as PyTorch does."""
    board = {"board": [target.reach, asdict(target.rpc)]} if target.reach != "local" else {}
    inputs = {"library": library.key, "network": network.key, "dataset": dataset.fingerprint, **board}
    images, bits = dataset.normalized(dataset.test_images), precision.bits(network.module)

    def make(folder: Path) -> None:
        expected = evaluation.logits(network.module, images)
        found = deployment.run(library.path, images, target)
        reference.require_match(reference.of_precision(images, expected, bits), found)
        np.save(folder / "expected.npy", expected, allow_pickle=False)
        _write(folder / "accuracy.json", {"top1": evaluation.top1(found, dataset.test_labels)})

    folder = store.obtain("deploy", inputs, make)
    expected = np.load(folder / "expected.npy", allow_pickle=False)
    return Deployed(reference.of_precision(images, expected, bits), _top1(folder))


def larger_batches(
    stack: config.Stack,
    dataset: ImageDataset,
    network: Network,
    lowered: Lowered,
    deployed: Deployed,
    target: Target,
    store: StageStore,
) -> tuple[Batch, ...]:
    """The network for each further batch size of the timing: every layer by the algorithm and in the format
    that it has for one image, scheduled untuned, since a tuned schedule is for the loops of one shape.

    UserError unless their libraries answer as PyTorch does.
    """
    batches = []
    for size in stack.timing.batch_sizes[1:]:
        program_of_size = _enlarged(lowered, size, dataset, network, store)
        library = _built(stack, program_of_size, "untuned", {}, target, store)
        known = reference.first(deployed.reference, max(CHECKED_IMAGES, size))
        found = deployment.run(library.path, known.inputs, target, size)
        reference.require_match(known, found, f"the library for batches of {size}")
        batches.append(Batch(size, program_of_size, library))
    return tuple(batches)


def _enlarged(
    lowered: Lowered, size: int, dataset: ImageDataset, network: Network, store: StageStore
) -> Lowered:
    inputs = {
        "lowered": lowered.key,
        "network": network.key,
        "batch": size,
        "code": source_digest("dlas.algorithms", "dlas.systems"),
        "tvm": version("apache-tvm"),
        "torch": version("torch"),
    }

    def make(folder: Path) -> None:
        shape = (size, *dataset.image_shape)
        program.save(enlarged(lowered.program, precision.exportable(network.module), shape), folder)

    folder = store.obtain("lower-batch", inputs, make)
    return Lowered(folder.name, folder, program.load(folder))


def _keep_network(network: nn.Module, dataset: ImageDataset, folder: Path) -> None:
    checkpoint.save(network, folder / WEIGHTS)
    _write(folder / "accuracy.json", {"top1": evaluation.accuracy(network, dataset)})


def _top1(folder: Path) -> float:
    accuracy: float = json.loads((folder / "accuracy.json").read_text())["top1"]
    return accuracy


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n")
