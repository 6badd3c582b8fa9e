"""The steps of a point as they are declared, in the order in which `dlas.pipeline` takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dlas import config
from dlas.config.rules import UNTUNED
from dlas.systems.choices.kind import kinds_of
from dlas.systems.tuners.common.search.settings import SearchSettings

BESIDE = ("roofs", "yardstick")
"""Stages that take nothing of the steps before them, and give nothing to those behind."""

TIMING = "timing"
"""The step that is no stage: it is done anew each time."""

NETWORK = ("dataset.name", "dataset.module", "model.name", "model.factory", "model.image_size")
TRAINING = (*NETWORK, "train.batch_size", "train.device")
COMPRESSED = (*TRAINING, "compression")
KERNELS = (*COMPRESSED, "algo", "format", "target", "timing.batch_sizes")
TUNED = (*KERNELS, "tuner")
CONVERTED = (*COMPRESSED, "compiler", "target", "timing.batch_sizes")


@dataclass(frozen=True)
class Step:
    """A step of a point."""

    stage: str
    """Name of the stage, or `TIMING`."""
    name: str
    """Name of the step: of the second of one stage `<stage>.2`."""
    declared: tuple[str, ...]
    """All that is declared about it and the steps before it: points that agree in it share the result."""
    alike: tuple[str, ...]
    """Parameters of a run, or beginnings of their names before a dot, that decide how long the step takes."""
    unit: str
    """Parameter that it takes time in proportion to; "" for none."""

    def decisive(self, params: Mapping[str, str]) -> dict[str, str]:
        """Those of a run's parameters that decide how long the step takes, but for its unit."""
        return {
            name: value
            for name, value in params.items()
            if name != self.unit and any(name == each or name.startswith(f"{each}.") for each in self.alike)
        }


def nth(stage: str, earlier: int) -> str:
    """Name of the step, where so many of the same stage are before it."""
    return stage if earlier == 0 else f"{stage}.{earlier + 1}"


def of(stack: config.Stack) -> list[Step]:
    """The steps of the point."""
    found: list[Step] = []
    chain: tuple[str, ...] = ()
    for stage, settings, alike, unit in _steps(stack):
        told = (stage, *(repr(each) for each in settings))
        declared = told if stage in BESIDE else (*chain, *told)
        chain = chain if stage in BESIDE else declared
        name = nth(stage, sum(each.stage == stage for each in found))
        found.append(Step(stage, name, declared, alike, unit))
    return found


def _steps(stack: config.Stack) -> Iterator[tuple[str, tuple[object, ...], tuple[str, ...], str]]:
    """The stage of each step, the settings that it uses, what it takes its time by, and its unit."""
    target, level = stack.target, stack.compiler.opt_level
    if stack.measures_roofs:
        yield "roofs", (target,), ("target",), ""
    if stack.model.weights is None:
        unit = "train.epochs" if stack.train.epochs else ""
        yield "train", (stack.dataset, stack.model, stack.train, stack.seed), TRAINING, unit
    else:
        yield "weights", (stack.dataset, stack.model), NETWORK, ""
    for name, settings in stack.compression.items():
        yield f"compress-{name}", (settings, stack.train, stack.seed), (*COMPRESSED, "train.epochs"), ""
    if stack.compiler.has_own_kernels:
        for name in ("convert", "deploy", *("convert" for _ in stack.timing.batch_sizes[1:])):
            yield name, (stack.compiler, target), CONVERTED, ""
        yield from _last(stack, CONVERTED)
        return
    kinds = kinds_of(stack.algorithms, stack.format.formats)
    yield "lower", (kinds, (target, level) if len(kinds) > 1 else ()), KERNELS, ""
    unit = "tuner.trials" if isinstance(stack.tuner, SearchSettings) else ""
    yield "tune", (stack.tuner, target), TUNED, unit
    yield "kernels", (target, level) if stack.tuner.registered != UNTUNED else (), TUNED, ""
    yield "build", (target, level), TUNED, ""
    yield "deploy", (target,), TUNED, ""
    for size in stack.timing.batch_sizes[1:]:
        yield "lower-batch", (size,), TUNED, ""
        yield "build", (target, level), TUNED, ""
    yield from _last(stack, TUNED)


def _last(
    stack: config.Stack, alike: tuple[str, ...]
) -> Iterator[tuple[str, tuple[object, ...], tuple[str, ...], str]]:
    """The steps after the libraries are there, as `_steps` gives them."""
    if stack.timing.yardstick:
        yield "yardstick", (stack.target,), ("target",), ""
    yield TIMING, (stack.timing,), (*alike, "timing"), ""
