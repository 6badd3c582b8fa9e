"""The results that a store has, to be looked at: nothing is made, and nothing there is changed."""

from __future__ import annotations

from dataclasses import dataclass

from dlas.stages.stage import Result, Stage
from dlas.stages.store import entry
from dlas.stages.store.key import inputs_of, key_of
from dlas.stages.store.store import StageStore, is_begun


class NotMade(Exception):
    """Tells of the first stage whose result is not there."""

    def __init__(self, result: str, *, begun: bool) -> None:
        super().__init__(result)
        self.result = result
        """Name that its result will have: `<stage>/<key>`."""
        self.begun = begun
        """Whether an interrupted attempt left something to go on from."""


@dataclass(frozen=True)
class FinishedStages(StageStore):
    """A store of which only finished, whole results are taken."""

    def obtain(self, stage: Stage[Result]) -> Result:
        """The result of the stage; `NotMade` where it is not there, or is damaged."""
        folder = self.root / stage.stage / key_of(inputs_of(stage))
        if not folder.is_dir() or entry.damage(folder):
            raise NotMade(f"{stage.stage}/{folder.name}", begun=is_begun(folder))
        result = stage.read(folder)
        self.on_use(result)
        return result
