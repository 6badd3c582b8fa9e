"""A search over the program's kernels, less what was measured for other networks with the same layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.files import documents
from dlas.plugins.registry import ALGORITHMS
from dlas.stages import target_parts
from dlas.stages.stage import Kept, Stage, counted_by, nothing
from dlas.systems.tuners import tuning

if TYPE_CHECKING:
    from dlas import config
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.targets.target import Target
    from dlas.interfaces.tuning import TuningTask
    from dlas.interfaces.tuning_records import TuningRecords

TUNING = "tuning.json"


@dataclass(frozen=True, kw_only=True)
class Tuned(Kept):
    """The result of a search: its numbers, and the tuner's logs where it kept any."""

    trials: int
    failed: int
    seconds: float
    layers: list[dict[str, object]]
    """A `dlas.interfaces.tuning.LayerTuning` for each task, as plain values."""
    stopped: str
    """Why the search ended before its budget did; "" where it did not."""

    @property
    def summary(self) -> Path:
        """The file of this result as JSON."""
        return self.folder / TUNING


@dataclass(frozen=True, kw_only=True)
class Tune(Stage[Tuned]):
    """The declared tuner's search over the tasks."""

    tasks: tuple[TuningTask, ...]
    settings: config.Tuner
    target: Target = field(metadata=counted_by(target_parts.code_and_placement))
    """The board to time on. How it is reached and what links for it are not counted: another board of its
    kind is as fast."""
    measured: TuningRecords = field(metadata=counted_by(nothing))
    """Records of earlier searches. They are not counted: they only shorten the search, and a search finds
    other schedules each time anyway. Whatever it finds is in its result."""

    stage = "tune"

    def named_modules(self) -> Sequence[str]:
        return [self.settings.implementation, *(ALGORITHMS.path(task.algorithm) for task in self.tasks)]

    def other_files(self) -> Sequence[Path]:
        return self.settings.worker_files

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        found = asdict(tuning.tune(self.tasks, self.target, self.settings, folder, self.measured))
        del found["best"]
        documents.write(tuning.SUMMARY, folder / TUNING, found)

    def read(self, folder: Path) -> Tuned:
        return Tuned(folder=folder, **documents.read(tuning.SUMMARY, folder / TUNING))
