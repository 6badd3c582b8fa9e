"""The target of a point: what its code is made for, where on the machine it runs, how that is reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.placement import Placement
from dlas.interfaces.targets.reach import Reach


@dataclass(frozen=True)
class Target:
    """A target: its code target, its placement and the way to it. A function takes the parts that it
    needs."""

    name: str
    code: CodeTarget
    placement: Placement
    reach: Reach = field(default_factory=Reach)
    linker: str | None = None
    """The command that links for it on this machine; None looks for one."""
