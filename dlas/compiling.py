"""The recipe of layers 4 and 5: from a compressed network to its libraries, by kernels of its layers, or by a
compiler that takes it whole."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dlas import config
from dlas.bundle.libraries import Batch, ChosenKernels
from dlas.config.rules import UNTUNED
from dlas.hardware.sessions.process import LibraryFailed
from dlas.hardware.timing import deployment
from dlas.interfaces.images import ImageDataset
from dlas.interfaces.runner import OTHERS
from dlas.interfaces.targets.target import Target
from dlas.plugins.registry import NETWORK_COMPILERS
from dlas.stages.deployment import Deploy, Deployed
from dlas.stages.kernels.choosing import ChooseKernels
from dlas.stages.kernels.chosen import Kernels
from dlas.stages.kernels.tuning import Tune, Tuned
from dlas.stages.kernels.untuned import KeepUntuned
from dlas.stages.libraries.building import Build
from dlas.stages.libraries.conversion import Convert
from dlas.stages.libraries.library import Library
from dlas.stages.machine.roofs import MeasuredRoofs
from dlas.stages.network import Network
from dlas.stages.program.batches import Enlarge
from dlas.stages.program.fastest import LowerFastest
from dlas.stages.program.lowering import Lower, Lowered
from dlas.stages.store.attempts import decided
from dlas.stages.store.store import StageStore
from dlas.systems.choices import scheduling
from dlas.systems.choices.kind import Kind, kinds_of
from dlas.systems.graph.integer_convolutions import warn_of_wide_weights
from dlas.systems.tuners.common.tuning_store import TuningStore

if TYPE_CHECKING:
    import numpy as np

    from dlas.interfaces.compiler import Int8Compiler


INTEGERS = ("int8", "uint8")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compiled:
    """The libraries of a network."""

    library: Library
    deployed: Deployed
    batches: tuple[Batch, ...]
    chosen: ChosenKernels | None = None
    """Its kernels; None where the compiler has its own."""


def by_kernels(
    stack: config.Stack,
    network: Network,
    target: Target,
    dataset: ImageDataset,
    roofs: MeasuredRoofs | None,
    store: StageStore,
) -> Compiled:
    """The network by kernels of its layers, which TVM compiles."""
    shape, opt_level = dataset.image_shape, stack.compiler.opt_level
    anew = stack.rerun == config.UNSTEADY
    lowered = _lowered(kinds(stack), network, dataset, target, opt_level, store, anew=anew)
    warn_of_wide_weights(lowered.program.layers, target.code)
    tasks = tuple(scheduling.kernel_tasks(lowered.program).values())
    measured = TuningStore(Path(stack.artifacts) / "tuning")
    tuned = store.obtain(Tune(tasks=tasks, settings=stack.tuner, target=target, measured=measured))
    chosen = _kernels(stack.tuner, lowered, tuned, target, opt_level, roofs, store, anew=anew)
    library = _library(lowered, chosen, target, opt_level, store)
    deployed = store.obtain(Deploy(network=network, library=library, dataset=dataset, target=target))
    batches = tuple(
        _batch(size, network, lowered, shape, target, opt_level, store)
        for size in stack.timing.batch_sizes[1:]
    )
    return Compiled(library, deployed, batches, ChosenKernels(lowered, tuned, chosen))


def as_a_whole(
    stack: config.Stack,
    network: Network,
    target: Target,
    runtime: Mapping[str, str],
    dataset: ImageDataset,
    store: StageStore,
) -> Compiled:
    """The network by a compiler that takes it as a whole; `runtime` has the versions of what runs its files
    on a board elsewhere."""
    convert = functools.partial(
        Convert,
        network=network,
        image_shape=dataset.image_shape,
        compiler=stack.compiler.name,
        target=target.code,
    )
    library = store.obtain(convert(batch=1))
    deploy = Deploy(network=network, library=library, dataset=dataset, target=target, runtime=runtime)
    deployed = store.obtain(deploy)
    larger = stack.timing.batch_sizes[1:]
    batches = tuple(Batch(size, store.obtain(convert(batch=size))) for size in larger)
    return Compiled(library, deployed, batches)


def integer_macs(library: Library, images: np.ndarray, target: Target) -> int | None:
    """MACs per image of an int8 network that the runtime of another compiler computes in int8, as it tells
    them of a run of the first of `images`. None, with a warning, where its board can't tell them: that
    costs the point no more."""
    compiler = cast("Int8Compiler", NETWORK_COMPILERS.load(library.runner))
    try:
        told = deployment.data_types(library.path, images[:1], target, runner=library.runner)
    except LibraryFailed as error:
        log.warning("it is not known how much %s computes in int8: %s", library.runner, error.problem)
        return None
    counted = compiler.macs(library.path)
    types = {name: told.get(name, told.get(OTHERS)) for name in counted}
    if untold := sorted(name for name, data_type in types.items() if data_type is None):
        log.warning(
            "it is not known how much %s computes in int8: nothing is told of %s", library.runner, untold[0]
        )
        return None
    found = sum(count for name, count in counted.items() if types[name] in INTEGERS)
    log.info(
        "%s computes %.3g of %.3g million MACs in int8",
        library.runner,
        found / 1e6,
        sum(counted.values()) / 1e6,
    )
    return found


def _lowered(
    kinds: tuple[Kind, ...],
    network: Network,
    dataset: ImageDataset,
    target: Target,
    opt_level: int,
    store: StageStore,
    *,
    anew: bool,
) -> Lowered:
    """The program. With several kinds of kernels to choose from, each layer gets the fastest on the target,
    chosen `anew` where it was while the board did not hold still."""
    if len(kinds) == 1:
        return store.obtain(Lower(network=network, image_shape=dataset.image_shape, kind=kinds[0]))
    stage = LowerFastest(network=network, dataset=dataset, kinds=kinds, target=target, opt_level=opt_level)
    return decided(store, stage, anew=anew)


def _kernels(
    tuner: config.Tuner,
    lowered: Lowered,
    tuned: Tuned,
    target: Target,
    opt_level: int,
    roofs: MeasuredRoofs | None,
    store: StageStore,
    *,
    anew: bool,
) -> Kernels:
    """The schedule of each kernel: the tuned one where it is faster in the network, if anything was tuned;
    chosen `anew` where it was while the board did not hold still."""
    if tuner.registered == UNTUNED:
        return store.obtain(KeepUntuned(lowered=lowered))
    stage = ChooseKernels(
        lowered=lowered, tuned=tuned, tuner=tuner, target=target, opt_level=opt_level, roofs=roofs
    )
    return decided(store, stage, anew=anew)


def _library(
    lowered: Lowered, kernels: Kernels | None, target: Target, opt_level: int, store: StageStore
) -> Library:
    """The library, each kernel by its chosen schedule, or by its algorithm's own where `kernels` is None."""
    return store.obtain(
        Build(lowered=lowered, kernels=kernels, target=target.code, linker=target.linker, opt_level=opt_level)
    )


def _batch(
    size: int,
    network: Network,
    lowered: Lowered,
    image_shape: tuple[int, int, int],
    target: Target,
    opt_level: int,
    store: StageStore,
) -> Batch:
    """The network for a larger batch: every layer by the algorithm and in the format that it has for one
    image, scheduled untuned, since a tuned schedule is for the loops of one shape."""
    larger = store.obtain(Enlarge(lowered=lowered, network=network, image_shape=image_shape, size=size))
    return Batch(size, _library(larger, None, target, opt_level, store), larger)


def kinds(stack: config.Stack) -> tuple[Kind, ...]:
    """The kinds of kernels to choose from."""
    return kinds_of(stack.algorithms, stack.format.formats)
