"""Results that were chosen by timing: which of several attempts is taken, and when there is another one."""

from __future__ import annotations

from dataclasses import replace

from dlas.stages.stage import Result
from dlas.stages.store import decision
from dlas.stages.store.decision import Decision
from dlas.stages.store.store import StageStore


def decided(store: StageStore, stage: Decision[Result], *, anew: bool) -> Result:
    """The result of the stage: the first that was chosen while the board held still.

    Where all stored ones were chosen on an unsteady board, the last of them is taken; with `anew`, another
    attempt is made, and taken however the board was. Where none is stored, one is made.
    """
    attempts = 0
    while (folder := store.find(replace(stage, attempt=attempts))) is not None:
        if not decision.read(folder):
            return store.obtain(replace(stage, attempt=attempts))
        attempts += 1
    last = attempts if anew or not attempts else attempts - 1
    return store.obtain(replace(stage, attempt=last))
