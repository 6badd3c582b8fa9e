"""Run sessions (see `session`) in fresh processes of this machine; a crash there costs nothing here.

run_session(request, folder, time_limit)              one, by itself
run_in_turn(requests, folders, turns, time_limit)     several that take their samples in turn

Needs no more than a board has: NumPy, psutil, filelock and the library's runtime.
"""

from dlas.hardware.sessions.process.alone import run_session
from dlas.hardware.sessions.process.in_turn import run_in_turn
from dlas.hardware.sessions.process.starting import LibraryFailed

__all__ = ["LibraryFailed", "run_in_turn", "run_session"]
