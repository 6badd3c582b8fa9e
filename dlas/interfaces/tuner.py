"""Layer 5: a tuner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dlas.interfaces.targets.code_target import CodeTarget
    from dlas.interfaces.targets.target import Target
    from dlas.interfaces.tuning import Schedules, Tuning, TuningTask
    from dlas.interfaces.tuning_records import TuningRecords


@runtime_checkable
class Tuner(Protocol):
    """A module that finds schedules for kernels. It is light to import: TVM is imported where it is used."""

    Settings: type
    """A frozen subclass of `dlas.config.Tuner`: what the option's YAML may say. `worker_files` names code
    that no import tells of.

    Kernels in TensorIR have parameters and no schedules to search. With `SearchSettings` as the base class
    (common.search.settings) they are searched beside this tuner, out of the same trials; with
    `TransferSettings` (common.transferring) those of similar layers are measured. `tasks` are the others
    then. With any other base class `tasks` are all, and those in TensorIR belong into `missing`."""

    def tune(
        self,
        tasks: Sequence[TuningTask],
        target: Target,
        settings: Any,
        log: Path,
        store: TuningRecords,
        /,
    ) -> Tuning:
        """Search schedules of the tasks, each distinct one with its `count`, and tell how it went.

        Candidates are timed on the target's board. What was measured is in the new file `log` and in `store`,
        as soon as it is known: an interrupted search loses nothing. `store` holds what was measured for all
        networks, `log` is what the bundle gets of it. UserError where the target can't be measured on.
        """
        ...

    def best_schedules(
        self, log: Path, tasks: Sequence[TuningTask], target: CodeTarget, /, *, foreign: bool = False
    ) -> Schedules:
        """Give the best kernel that `log` holds for each task in `found`, or why there is none in `missing`.

        `log` may not be there: a tuner that measures nothing writes none. Needs nothing but its arguments: a
        bundle's log gives the same kernels again, years later. UserError where the log was measured for
        another target, unless `foreign` schedules are asked for.
        """
        ...
