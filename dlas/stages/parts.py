"""Of a target, what decides the result of a stage.

Each function leaves out what it names, so that what is new in a target counts until somebody says otherwise.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlas.hardware.targets.target import Target

NAME, LINKER = "name", "linker"
REACH = ("reach", "rpc")
PLACEMENT = ("affinity", "smt", "emulated")


def code(target: Target) -> dict[str, Any]:
    """What code is made for."""
    return _without(target, NAME, LINKER, *REACH, *PLACEMENT)


def code_and_placement(target: Target) -> dict[str, Any]:
    """What decides the code and its speed: not where a board is reached."""
    return _without(target, NAME, LINKER, *REACH)


def code_and_board(target: Target) -> dict[str, Any]:
    """What code is made for, and which board runs it: this machine, whatever it is, or one elsewhere."""
    return _without(target, NAME, LINKER, *PLACEMENT, *(["rpc"] if target.reach == "local" else []))


def _without(target: Target, *left_out: str) -> dict[str, Any]:
    return {name: value for name, value in asdict(target).items() if name not in left_out}
