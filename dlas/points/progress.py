"""How far the work in the process of a point is, by what that tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dlas.points.messages import Failed, Finished, Started, Tried, Used
from dlas.points.steps import nth


@dataclass
class Progress:
    """How far the work in another process is. A stage that is made ends where its result is used; what is no
    stage ends where the next begins."""

    now: Callable[[], float] = time.monotonic
    """Function that gives the time, in seconds."""
    used: list[str] = field(default_factory=list)
    """Names of the results of stages, `<stage>/<key>`, in the order in which they were used."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time that the step took which the last thing that was told ended, by its name; none where that was not
    made from its beginning."""
    started: Started | None = None
    """The stage that was begun last, unless it is done."""
    since: float = 0.0
    """When that was begun."""
    tried: bool = False
    """Whether its network was, or is being, tried."""
    outcome: Failed | Finished | None = None

    def note(self, told: object) -> None:
        """Note what the work tells."""
        self.seconds = {}
        match told:
            case Started():
                self._end_step()
                self.started, self.since = told, self.now()
            case Used(result):
                self._end_step()
                self.used.append(result)
            case Tried():
                self.tried = True
            case Finished():
                self._end_step()
                self.outcome = told
            case Failed():
                self.outcome = told

    @property
    def step(self) -> str:
        """Name of the step that is going on; "" where none is."""
        if self.started is None:
            return ""
        stage = self.started.stage
        return nth(stage, sum(result.partition("/")[0] == stage for result in self.used))

    def _end_step(self) -> None:
        if self.started is not None and not self.started.goes_on:
            self.seconds[self.step] = self.now() - self.since
        self.started = None

    @property
    def where(self) -> str:
        """Where in the way of a point the work is, for a person."""
        if self.started is not None:
            return f"while the stage {self.started.stage} was going on"
        if self.used:
            return f"after the stage {self.used[-1].partition('/')[0]}"
        return "while its network was tried" if self.tried else "before its first stage"
