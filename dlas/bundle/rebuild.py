"""Make a bundle's library again, without PyTorch or a search: from its lowered program, weights and tuning
log, or from the files of a compiler with kernels of its own.

What can be refused by reading is refused before TVM is imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.bundle import Bundle
from dlas.bundle.rebuild_process import Carried, Rebuilt
from dlas.errors import UserError
from dlas.hardware.results import reference
from dlas.hardware.targets import target_file
from dlas.hardware.targets.fitting import require_float16
from dlas.hardware.targets.llvm import require_known
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Schedules, TuningTask
from dlas.plugins import compilers
from dlas.plugins.registry import ALGORITHMS, NETWORK_COMPILERS, TUNERS
from dlas.printable import printable
from dlas.systems.choices import record
from dlas.systems.compilers.tvm import yardstick
from dlas.systems.program import program
from dlas.systems.tuners.common.old_records import brought_up_to_date

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

    from dlas.interfaces.program import LoweredProgram


def rebuilt(
    bundle: Bundle,
    target: Target,
    destination: Path,
    batch_sizes: Iterable[int] = (),
    yardsticks: Iterable[str] = (),
    trusted: Collection[str] = (),
) -> Rebuilt:
    """The library built for `target` from the verified bundle, in the new folder `destination`, those of
    larger batches of these sizes, and of those yardsticks by these names that there are for the target.

    For the bundle's own target, kernels that its run chose to keep tuned get the log's best schedule again;
    UserError where the log does not hold one. For another, each such schedule is tried on the target's board,
    and kept where it is right and makes the network faster there; none is for a GPU. Raises UserError, with
    nothing imported, where the bundle names an algorithm or a tuner that is neither dlas's own nor of a
    `trusted` package; where an algorithm is not for the target, and where LLVM does not know the target.
    A compiler with kernels of its own writes its files anew, or raises UserError where those of the bundle
    don't tell the network.
    """
    larger_sizes = tuple(batch_sizes)
    runtime = target_file.runtime(bundle.target)
    if runtime is not None:
        sizes = (1, *larger_sizes)
        return _converted_again(bundle, runtime.compiler, target, destination, sizes, yardsticks)
    chosen = record.read(bundle.tuning / record.FILE)
    _require_trusted(bundle, chosen.tuner, larger_sizes, trusted)
    lowered = program.load_from_bundle(bundle.model, bundle.model)
    require_known(target.code.triple, target.code.cpu, target.code.features)

    from dlas.systems.choices.scheduling import kernel_tasks
    from dlas.systems.compilers.tvm.building import build_library
    from dlas.systems.tuners import tuning

    tasks = kernel_tasks(lowered)
    kept = {choice.kernel: tasks[choice.kernel] for choice in chosen.kernels if choice.tuned}
    destination.mkdir(parents=True)
    logs = brought_up_to_date(bundle.tuning, tuning.LOGS, destination / "tuning")
    opt_level = chosen.opt_level
    made_for = target_file.read(bundle.target)
    if target.code == made_for.code:
        tuned = _replayed(logs, chosen.tuner, kept, target.code)
        carried = [Carried(name, carried=True, reason="it was measured for this target") for name in kept]
    elif target.code.kind != made_for.code.kind:
        reason = f"it is a schedule for a {made_for.code.kind} target, not for a {target.code.kind} one"
        tuned, carried = {}, [Carried(name, carried=False, reason=reason) for name in kept]
    else:
        schedules = _schedules(logs, chosen.tuner, kept, target.code, foreign=True)
        carried, tuned = _tried(lowered, kept, schedules, target, opt_level, destination)
    library = destination / "model.so"
    build_library(lowered, tuned, target.code, target.linker, opt_level, library)
    larger = {size: destination / bundle.library_of(size).name for size in larger_sizes}
    for size, path in larger.items():
        enlarged = program.load_from_bundle(bundle.program_of(size), bundle.model)
        build_library(enlarged, {}, target.code, target.linker, opt_level, path)
    beside = _yardsticks(bundle, target, destination, yardsticks)
    return Rebuilt(library, larger, beside, target, tuple(carried))


def _converted_again(
    bundle: Bundle,
    compiler: str,
    target: Target,
    destination: Path,
    batch_sizes: Iterable[int],
    yardsticks: Iterable[str],
) -> Rebuilt:
    """The files of a compiler with kernels of its own for runs of so many images, for the target."""
    compilers.require_programs(compiler, "rebuild")
    if reference.read(bundle.reference).is_float16:
        require_float16(compiler, target.code, "rebuild")
    convert_again = NETWORK_COMPILERS.load(compiler).convert_again
    made = {}
    for size, kept in bundle.libraries(compiler, batch_sizes).items():
        made[size] = destination / kept.name
        made[size].mkdir(parents=True)
        convert_again(kept, target.code, made[size])
    library, beside = made.pop(1), _yardsticks(bundle, target, destination, yardsticks)
    return Rebuilt(library, made, beside, target, None)


def _yardsticks(bundle: Bundle, target: Target, destination: Path, names: Iterable[str]) -> dict[str, Path]:
    """The libraries of the yardsticks of these names that the target has; made anew for other code."""
    beside = {name: bundle.yardstick(name) for name in names if name in yardstick.names(target.code)}
    if target.code == target_file.read(bundle.target).code:
        return beside
    made = {name: destination / path.name for name, path in beside.items()}
    for name, path in made.items():
        yardstick.build(name, target.code, target.linker, path)
    return made


def _require_trusted(
    bundle: Bundle, tuner: str, batch_sizes: Iterable[int], trusted: Collection[str]
) -> None:
    TUNERS.require_trusted(tuner, trusted)
    for folder in (bundle.model, *map(bundle.program_of, batch_sizes)):
        layers, _ = program.load_layers(folder)
        for layer in layers:
            ALGORITHMS.require_trusted(layer.algorithm, trusted)


def _schedules(
    folder: Path, tuner: str, kept: Mapping[str, TuningTask], target: CodeTarget, *, foreign: bool
) -> Schedules:
    if not kept:
        return Schedules()
    from dlas.systems.tuners import tuning

    return tuning.best_schedules(tuner, folder, list(kept.values()), target, foreign=foreign)


def _replayed(
    folder: Path, tuner: str, kept: Mapping[str, TuningTask], target: CodeTarget
) -> dict[str, PrimFunc]:
    schedules = _schedules(folder, tuner, kept, target, foreign=False)
    for kernel, task in kept.items():
        if task.key not in schedules.found:
            reason = printable(schedules.missing[task.key])
            raise UserError(
                f"the tuning log gives no schedule for {printable(kernel)}: {reason}", key="bundle"
            )
    return {kernel: schedules.found[task.key] for kernel, task in kept.items()}


def _tried(
    lowered: LoweredProgram,
    kept: Mapping[str, TuningTask],
    schedules: Schedules,
    target: Target,
    opt_level: int,
    scratch: Path,
) -> tuple[list[Carried], dict[str, PrimFunc]]:
    """The choice among schedules of another target, timed on this one's board."""
    from dlas.systems.choices import scheduling

    never = {task.key: "it was not tuned" for task in scheduling.kernel_tasks(lowered).values()}
    asked = Schedules(schedules.found, never | dict(schedules.missing), schedules.refused)
    chosen = scheduling.choose(lowered, asked, target, opt_level, scratch)
    choices = [choice.doubted(chosen.unsteady) for choice in chosen.choices if choice.kernel in kept]
    return [Carried(choice.kernel, choice.tuned, choice.reason) for choice in choices], chosen.tuned
