"""The recipe: from a declared stack to a bundle and its metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dlas import compiling, config, datasets, models
from dlas.bundle import writing
from dlas.bundle.libraries import Batch
from dlas.compiling import Compiled
from dlas.files import weights_file
from dlas.files.weights_file import WeightsFile
from dlas.hardware.results import reference
from dlas.hardware.sessions.process import LibraryFailed
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing import deployment, measuring, single_kernels
from dlas.hardware.timing.measuring import NO_YARDSTICKS, Yardstick
from dlas.interfaces.images import ImageDataset
from dlas.interfaces.targets.target import Target
from dlas.models import precision
from dlas.models.untrained import Architecture, Untrained
from dlas.plugins.registry import NETWORK_COMPILERS
from dlas.processes import identity
from dlas.stages.compression import Compress
from dlas.stages.deployment import Deployed
from dlas.stages.given_weights import TakeWeights
from dlas.stages.machine.roofs import MeasuredRoofs, MeasureRoofs
from dlas.stages.machine.yardstick import BuildYardsticks, Yardsticks
from dlas.stages.network import Network
from dlas.stages.stage import Kept
from dlas.stages.store.attempts import decided
from dlas.stages.store.code.first_read import as_first_read
from dlas.stages.store.code.remembering import remember
from dlas.stages.store.store import StageStore, tell_nobody
from dlas.stages.training import Train
from dlas.systems.choices.declared_algorithm import serving_modules
from dlas.systems.compilers.tvm import building, yardstick

PROFILED_RUNS = 30
"""Runs that the per-layer table is made from: each layer's time is a median over so many."""

CHECKED_IMAGES = 16
"""Images that a library for larger batches is checked on: the network itself was checked on
the whole test set."""


TIMING, WRITING = "timing", "bundle"
"""What follows the stages, as it is told of."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """What the stages of a point made."""

    dense: Network
    compressed: Network
    compiled: Compiled
    yardsticks: Yardsticks | None
    roofs: MeasuredRoofs | None


def run_point(
    stack: config.Stack,
    bundle: Path,
    on_use: Callable[[Kept], None] = tell_nobody,
    on_start: Callable[[str, bool], None] = tell_nobody,
) -> writing.Results:
    """Make the point that `stack` declares: fill the folder `bundle` and seal it.

    Finished stages are taken from the store in `stack.artifacts`, and `on_use` is told of each result; the
    others are made, and `on_start` is told of each stage, and of the timing and the writing. The timing is
    always made anew.
    """
    remember_code(stack)
    store = StageStore(Path(stack.artifacts) / "stages", on_use, on_start)
    target = resolve(stack.target)
    there = deployment.require_board(target, stack.compiler.runtime)
    if stack.builds_by_tvm:
        building.require_tools(target.code, target.linker)
    dataset = datasets.normalized_for(stack.model, datasets.load(stack.dataset))
    made = obtain(stack, target, there, dataset, store)
    compiled = made.compiled
    library, deployed = compiled.library, compiled.deployed
    for batch in compiled.batches:
        _require_right(batch, deployed, target)

    on_start(TIMING, False)
    images = deployed.reference.inputs
    timing = measuring.measure(
        library.path,
        images,
        target,
        stack.timing,
        NO_YARDSTICKS if made.yardsticks is None else _beside(made.yardsticks),
        {batch.size: batch.library.path for batch in compiled.batches},
        runner=library.runner,
    )
    is_untold = compiled.chosen is None and precision.is_int8(made.compressed.module)
    profile = single_kernels.profile(library.path, images, target, PROFILED_RUNS) if compiled.chosen else []

    on_start(WRITING, False)
    found = writing.Results(
        stack=stack,
        target=target,
        dataset=dataset,
        dense=made.dense,
        compressed=made.compressed,
        chosen=compiled.chosen,
        library=library,
        deployed=deployed,
        batches=compiled.batches,
        yardsticks=made.yardsticks,
        roofs=made.roofs,
        timing=timing,
        profile=profile,
        runtime=there,
        integer_macs=compiling.integer_macs(library, images, target) if is_untold else None,
    )
    writing.fill(bundle, found)
    return found


def _beside(built: Yardsticks) -> dict[str, Yardstick]:
    return {name: Yardstick(path, yardstick.SHAPES[name]) for name, path in built.paths.items()}


def obtain(
    stack: config.Stack,
    target: Target,
    runtime: Mapping[str, str],
    dataset: ImageDataset,
    store: StageStore,
) -> Made:
    """The results of all stages of the point, in their order. `runtime` has the versions of what runs the
    library on a board elsewhere, as `deployment.require_board` tells them; `dataset` is normalized for the
    model."""
    roofs = _roofs(target, store, anew=stack.rerun == config.UNSTEADY) if stack.measures_roofs else None
    dense = dense_network(stack.model, stack.train, stack.seed, dataset, store)
    network = dense
    for step in stack.compression.values():
        network = store.obtain(
            Compress(network=network, dataset=dataset, settings=step, train=stack.train, seed=stack.seed)
        )
    if stack.compiler.has_own_kernels:
        compiled = compiling.as_a_whole(stack, network, target, runtime, dataset, store)
    else:
        compiled = compiling.by_kernels(stack, network, target, dataset, roofs, store)
    beside = (
        store.obtain(BuildYardsticks(target=target.code, linker=target.linker))
        if stack.timing.yardstick
        else None
    )
    return Made(dense, network, compiled, beside, roofs)


def remember_code(stack: config.Stack) -> None:
    """Read now what the stages will use, so that a change of it while they work is noticed."""
    remember(
        [
            stack.dataset.implementation,
            stack.model.implementation.rpartition(".")[0],
            *(step.implementation for step in stack.compression.values()),
            *(
                name
                for kind in compiling.kinds(stack)
                for whole in (True, False)
                for name in serving_modules(kind, integer=whole)
            ),
            *_compiling_modules(stack),
        ]
    )
    for file in stack.tuner.worker_files:
        as_first_read(file)


def _compiling_modules(stack: config.Stack) -> list[str]:
    """Modules that the choices of layer 5 name."""
    if not stack.compiler.has_own_kernels:
        return [stack.tuner.implementation]
    return [NETWORK_COMPILERS.path(stack.compiler.name)]


def dense_network(
    model: config.Model, train: config.Train, seed: int, dataset: ImageDataset, store: StageStore
) -> Network:
    """The dense network with its given weights, or else trained."""
    built = models.build(model, dataset.classes, seed)
    module, shape = model.implementation.rpartition(".")[0], dataset.image_shape
    if model.weights is not None:
        given = WeightsFile(weights_file.find(model.weights))
        return store.obtain(
            TakeWeights(network=Architecture(built, shape, module), dataset=dataset, weights=given)
        )
    network = Untrained(built, shape, module)
    return store.obtain(Train(network=network, dataset=dataset, settings=train, seed=seed))


def _roofs(target: Target, store: StageStore, *, anew: bool) -> MeasuredRoofs | None:
    """The roofs of the target's machine, measured `anew` where they were while the board did not hold still;
    None, with a warning, where its board can't measure them: that costs the point no more."""
    here = identity.this().host if target.reach.is_local else ""
    try:
        return decided(store, MeasureRoofs(target=target, machine=here), anew=anew)
    except LibraryFailed as error:
        log.warning("the machine's peak and bandwidth are not known: %s", error.problem)
        return None


def _require_right(batch: Batch, deployed: Deployed, target: Target) -> None:
    """UserError unless the library for the batch answers as PyTorch does."""
    known = reference.first(deployed.reference, max(CHECKED_IMAGES, batch.size))
    runner = batch.library.runner
    found = deployment.run(batch.library.path, known.inputs, target, batch.size, runner=runner)
    reference.require_match(known, found, f"the library for batches of {batch.size}")
