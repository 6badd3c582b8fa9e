"""Parts of a target that decide the result of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget
    from dlas.interfaces.targets.placement import Placement
    from dlas.interfaces.targets.reach import Reach
    from dlas.interfaces.targets.target import Target


def code_and_placement(target: Target) -> tuple[CodeTarget, Placement]:
    """The code and where it runs, which decide its speed; not how the board is reached or what links."""
    return target.code, target.placement


def code_placement_and_reach(target: Target) -> tuple[CodeTarget, Placement, Reach]:
    """The code, where it runs, and the board that runs it, which decide what is measured."""
    return target.code, target.placement, target.reach


def code_and_reach(target: Target) -> tuple[CodeTarget, Reach]:
    """The code that is made, and the board that runs it: this machine, whatever it is, or one elsewhere."""
    return target.code, target.reach
