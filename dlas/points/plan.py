"""What is tried of all points before the first one starts: machines, networks, and their way to kernels."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config, datasets
from dlas.config.layers.compiler import TVM
from dlas.errors import UserError, at_point
from dlas.files import folders, temporary
from dlas.interfaces.compiler import NetworkNotTaken
from dlas.plugins.finding import is_ours
from dlas.points import fingerprint
from dlas.points.messages import NotTaken
from dlas.stages.store.code.remembering import remember
from dlas.stages.store.store import StageStore
from dlas.systems.choices.kind import Kind, kinds_of
from dlas.users_code import told

if TYPE_CHECKING:
    from dlas.models.trial import Trial
    from dlas.stages.checks.rehearsal import Rehearsed
    from dlas.stages.stage import Kept, Stage


@dataclass
class Rehearsal:
    """A network and the steps that compress it, with all that the points want of them."""

    trial: Trial
    steps: tuple[config.Compression, ...]
    compiler: str = TVM
    target: config.Target | None = None
    """The board of a compiler that takes the whole network, which is tried there; TVM has none here."""
    kinds: list[Kind] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    """Places of its points among all."""

    def is_that_of(self, other: Rehearsal) -> bool:
        """Whether the other is of the same network, steps, compiler and board."""
        network = (self.trial, self.steps) == (other.trial, other.steps)
        return network and (self.compiler, self.target) == (other.compiler, other.target)

    def stage(self, tried: Kept) -> Stage[Rehearsed]:
        """The stage that rehearses; `tried` is the result of trying the network by itself."""
        from dlas.hardware.targets.resolving import resolve
        from dlas.stages.checks.conversion import RehearseConversion
        from dlas.stages.checks.rehearsal import Rehearse

        sizes = tuple(self.batch_sizes)
        if self.target is None:
            kinds = tuple(self.kinds)
            return Rehearse(tried=tried, trial=self.trial, steps=self.steps, kinds=kinds, batch_sizes=sizes)
        return RehearseConversion(
            tried=tried,
            trial=self.trial,
            steps=self.steps,
            compiler=self.compiler,
            target=resolve(self.target),
            batch_sizes=sizes,
        )


def check(stacks: Sequence[config.Stack]) -> None:
    """UserError for what `check_places` and `check_networks` refuse."""
    check_places(stacks)
    check_networks(stacks)


def check_places(stacks: Sequence[config.Stack]) -> None:
    """UserError for the first target, board or device that is not there, weights that are not those of the
    network, or an image that cannot be read.

    The images of every set are read, unless an earlier command read the same files.
    """
    from dlas.models import weights

    artifacts = Path(stacks[0].artifacts)
    temporary.require_room()
    folders.require_writable(artifacts / "stages")
    _require_machines(stacks)
    given: list[tuple[config.Model, config.Dataset]] = []
    for place, stack in enumerate(stacks):
        if stack.model.weights is not None and (stack.model, stack.dataset) not in given:
            with at_point(place):
                weights.check(stack.model, stack.dataset)
            given.append((stack.model, stack.dataset))
    with folders.disk_troubles(artifacts):
        _require_images(stacks, _store(artifacts))


@dataclass
class Tried:
    """What trying the networks of points came to."""

    rehearsed: dict[int, Rehearsed] = field(default_factory=dict)
    """The rehearsals of the points that can be made, by their places."""
    not_taken: list[NotTaken] = field(default_factory=list)
    """The points that can't, each in one of these."""


def check_networks(stacks: Sequence[config.Stack]) -> list[Rehearsed]:
    """The rehearsal of each point; UserError for the first network that cannot be right, cannot be compressed
    as declared, or is not taken by its compiler."""
    tried = try_networks(stacks)
    if tried.not_taken:
        raise tried.not_taken[0].error
    return [tried.rehearsed[place] for place in range(len(stacks))]


def try_networks(stacks: Sequence[config.Stack]) -> Tried:
    """Try the networks of points; UserError for the first that cannot be right, or cannot be compressed as
    declared.

    Each distinct network is tried once, and each distinct compression of it is rehearsed once with each
    compiler; what an earlier command tried is not tried again.
    """
    from dlas.stages.checks.rehearsal import TryNetwork

    artifacts = Path(stacks[0].artifacts)
    store = _store(artifacts)
    found = Tried()
    with folders.disk_troubles(artifacts):
        rehearsals = _rehearsals(stacks, store)
        remember([rehearsal.trial.code for rehearsal in rehearsals])
        for rehearsal in rehearsals:
            with at_point(rehearsal.points[0]):
                tried = store.obtain(TryNetwork(trial=rehearsal.trial))
                try:
                    rehearsed = store.obtain(rehearsal.stage(tried))
                except NetworkNotTaken as error:
                    told = (error.problem, error.key, error.remedy)
                    found.not_taken.append(NotTaken(tuple(rehearsal.points), *told))
                else:
                    found.rehearsed |= dict.fromkeys(rehearsal.points, rehearsed)
    return found


def _store(artifacts: Path) -> StageStore:
    return StageStore(artifacts / "stages", level=logging.DEBUG)


def _require_machines(stacks: Sequence[config.Stack]) -> None:
    """UserError for the first target that cannot be, or whose board or tools are not there, and for a device
    to train on that this machine lacks."""
    from dlas.hardware.targets.resolving import resolve
    from dlas.hardware.timing import deployment
    from dlas.models.training import available_device
    from dlas.systems.compilers.tvm import building

    checked: list[tuple[config.Target, str, bool]] = []
    devices: list[str] = []
    for place, stack in enumerate(stacks):
        with at_point(place):
            wanted = (stack.target, stack.compiler.runtime, stack.builds_by_tvm)
            if wanted not in checked:
                checked.append(wanted)
                target = resolve(stack.target)
                deployment.require_board(target, stack.compiler.runtime)
                if stack.builds_by_tvm:
                    building.require_tools(target.code, target.linker)
                if target.reach.is_local:
                    stages = Path(stack.artifacts) / "stages"
                    temporary.require_libraries(stages, "artifacts", folders.REMEDY)
                    temporary.require_temporary_libraries()
            if stack.train.device not in devices:
                devices.append(stack.train.device)
                available_device(stack.train.device)


def _rehearsals(stacks: Sequence[config.Stack], store: StageStore) -> list[Rehearsal]:
    """The distinct networks with their distinct compressions, in the order of the points."""
    from dlas.models.trial import Trial

    found: list[Rehearsal] = []
    for place, stack in enumerate(stacks):
        with at_point(place):
            shape, classes = _images(stack.dataset, store)
            datasets.require_normalizing(stack.model, shape[0])
        model = dataclasses.replace(stack.model, weights=None)
        one = Rehearsal(
            Trial(model, shape, classes, batch_size=_batch_size(stack)),
            tuple(stack.compression.values()),
            stack.compiler.runtime,
            stack.target if stack.compiler.has_own_kernels else None,
        )
        same = next((each for each in found if each.is_that_of(one)), None)
        if same is None:
            found.append(one)
        into = one if same is None else same
        into.points.append(place)
        wanted = kinds_of(stack.algorithms, stack.format.formats)
        into.kinds += [kind for kind in wanted if kind not in into.kinds]
        into.batch_sizes += [size for size in stack.timing.batch_sizes if size not in into.batch_sizes]
    return found


def _batch_size(stack: config.Stack) -> int | None:
    """Images in a step of training, as far as a trial asks: one, or more."""
    if stack.model.weights is not None or stack.train.epochs == 0:
        return None
    return min(stack.train.batch_size, 2)


def _images(dataset: config.Dataset, store: StageStore) -> tuple[tuple[int, int, int], int]:
    """Channels, height and width of its images, and the number of its classes."""
    if dataset.image_shape is not None and dataset.classes is not None:
        return dataset.image_shape, dataset.classes
    found = _read(dataset, store)
    return found.image_shape, found.classes


@dataclass(frozen=True)
class Images:
    """What is known of a set once every image was read."""

    image_shape: tuple[int, int, int]
    classes: int
    deviations: tuple[float, ...]


def _read(dataset: config.Dataset, store: StageStore) -> Images:
    """What is known of a set of which every image can be read; UserError where one can't be."""
    from dlas.stages.checks.images import ReadImages

    try:
        if _tells_files(dataset):
            found = store.obtain(ReadImages(settings=dataset, files=fingerprint.files_of(dataset)))
            return Images(found.image_shape, found.classes, found.deviations)
        read = datasets.load(dataset)
        return Images(read.image_shape, read.classes, read.std)
    except UserError:
        raise
    except Exception as error:  # a user's own code may raise anything
        raise UserError(
            f"{dataset.implementation} cannot read its images: {told(error)}",
            key="dataset.module",
            remedy="mend it there",
        ) from error


def _tells_files(dataset: config.Dataset) -> bool:
    """Whether all files that a set is read from are known: not those of a user's own that names no folder."""
    return dataset.root is not None or is_ours(dataset.implementation)


def _require_images(stacks: Sequence[config.Stack], store: StageStore) -> None:
    """UserError for the first set with an image that cannot be read, or that its network cannot be given."""
    read: list[tuple[config.Dataset, Images]] = []
    for place, stack in enumerate(stacks):
        with at_point(place):
            found = next((images for dataset, images in read if dataset == stack.dataset), None)
            if found is None:
                found = _read(stack.dataset, store)
                read.append((stack.dataset, found))
            if stack.model.mean is None or stack.model.std is None:
                datasets.require_varied(stack.dataset.name, found.deviations)
