"""Placement of code on a machine: its threads and cores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """Settings that decide how fast a machine runs the code that is made for it, and nothing else."""

    threads: int
    """Largest number of threads that compute at once."""
    affinity: tuple[int, ...] = ()
    """The logical CPUs to run on, by number; none leaves them to the system."""
    smt: bool = True
    """Whether several hardware threads of one core are used."""
    emulated: bool = False
    """Whether another machine plays this one: its times say nothing about a real one."""
