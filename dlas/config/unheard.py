"""What is declared beside a compiler that has kernels of its own, and says nothing to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlas.config.stack import OF_KERNELS, Stack

LEVEL = "compiler.opt_level"
"""Setting of the compiler that TVM alone has."""


def overrides(typed: Sequence[str], stack: Stack) -> list[str]:
    """The overrides, among those that the stack was typed with, that say nothing to its compiler."""
    if not stack.compiler.has_own_kernels:
        return []
    return [one for one in typed if key(one) == LEVEL or key(one).partition(".")[0] in OF_KERNELS]


def without(typed: Sequence[str], stack: Stack) -> list[str]:
    """The overrides less those that say nothing."""
    silent = overrides(typed, stack)
    return [one for one in typed if one not in silent]


def are_twins(typed: Sequence[str], other: Sequence[str], stack: Stack) -> bool:
    """Whether two points of the one stack differ in such overrides alone."""
    return without(typed, stack) == without(other, stack) and list(typed) != list(other)


def repeated(stacks: Sequence[Stack]) -> list[int]:
    """The places of the stacks that stand there before."""
    seen: set[str] = set()
    found = []
    for place, text in enumerate(map(repr, stacks)):
        if text in seen:
            found.append(place)
        seen.add(text)
    return found


def told(stacks: Sequence[Stack], typed: Sequence[Sequence[str]]) -> Iterator[str]:
    """Sentences for a person on what was typed and says nothing, compiler by compiler, and on the points that
    are one for it; none where all of it says something."""
    found: dict[str, dict[str, None]] = {}
    for stack, given in zip(stacks, typed, strict=True):
        found.setdefault(stack.compiler.name, {}).update(dict.fromkeys(overrides(given, stack)))
    for compiler, unheard in found.items():
        if unheard:
            yield f"{', '.join(unheard)}: nothing to {compiler}, which has kernels of its own"
    if again := repeated(stacks):
        left = len(stacks) - len(again)
        points = "1 point" if left == 1 else f"{left} points"
        yield f"{len(stacks)} combinations are {points}: what differs in the others says nothing"


def key(override: str) -> str:
    """The key that an override sets, adds or removes."""
    return override.partition("=")[0].lstrip("+~")
