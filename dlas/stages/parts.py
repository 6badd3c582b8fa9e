"""Of a target, what decides the result of a stage that is handed all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlas.hardware.targets.code_target import CodeTarget
    from dlas.hardware.targets.placement import Placement
    from dlas.hardware.targets.reach import Reach
    from dlas.hardware.targets.target import Target


def code_and_placement(target: Target) -> tuple[CodeTarget, Placement]:
    """The code and its speed: not where a board is reached, nor what links for it."""
    return target.code, target.placement


def code_and_reach(target: Target) -> tuple[CodeTarget, Reach]:
    """What code is made for, and which board runs it: this machine, whatever it is, or one elsewhere."""
    return target.code, target.reach
