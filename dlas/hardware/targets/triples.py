"""Parts of a triple such as `aarch64-linux-gnu`: the machine that it names, and whether that is this one."""

from __future__ import annotations

import platform

from dlas.hardware.targets import machine
from dlas.hardware.targets.instruction_sets import architecture


def system(triple: str) -> str:
    """The operating system of a triple: linux, macos."""
    words = [word.rstrip("0123456789.") for word in triple.lower().split("-")[1:]]
    return next((machine.SYSTEMS[word] for word in words if word in machine.SYSTEMS), "an unknown system")


def of_this_machine(triple: str) -> bool:
    """Whether the triple has this machine's architecture and operating system."""
    here = architecture(platform.machine()) == architecture(triple)
    return here and machine.system() == system(triple)
