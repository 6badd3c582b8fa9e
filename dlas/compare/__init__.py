"""Points, or sweeps, side by side: as they were measured, or timed again now, in turn with each other.

command     the arguments
stored      what the store has of them
asked       which points are timed again
again       their times, and what these say
as_run, as_json    the same for the store and for scripts
"""

from dlas.compare.command import main

__all__ = ["main"]
