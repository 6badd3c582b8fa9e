"""The places where a network could change the layout of its activations, and the cost of each
change on the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tvm
from tvm import relax, te

from dlas.algorithms.layout import activation_block, physical_shape
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.targets.steadiness import Unsteadiness
from dlas.hardware.timing.single_kernels import KernelArgument, KernelRun, time_kernels
from dlas.interfaces.targets.target import Target
from dlas.systems.choices.cheapest_mix import Follower, LayoutCost
from dlas.systems.compilers.tvm import linking
from dlas.systems.compilers.tvm.fallback_schedule import schedule_plainly
from dlas.systems.graph.epilogues import variable_uses
from dlas.systems.graph.importing import Imported
from dlas.systems.graph.layout_rules import (
    activations,
    is_reshaped_pixel,
    keeps_blocks,
    operator_name,
    shape_of,
)
from dlas.systems.graph.layouts import layout_change
from dlas.systems.graph.sites import ConvSite

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class LayoutGraph:
    """The layouts of a network, as `cheapest` takes them besides its layers; activations go by name."""

    names: Mapping[relax.Var, str]
    followers: list[Follower]
    read_plain: list[str]
    changes: dict[str, LayoutCost]
    unsteadiness: tuple[Unsteadiness, ...]
    """Reasons to doubt the costs."""


def layout_graph(imported: Imported, sites: Sequence[ConvSite], target: Target, scratch: Path) -> LayoutGraph:
    """The layout graph of an imported network; the layout changes are timed by a library in `scratch`."""
    main = imported.module["main"]
    values = variable_uses(main).values
    names = {var: str(index) for index, var in enumerate([*main.params, *values])}
    inside = {var for site in sites for var in (site.conv.output, *site.conv.absorbed)}
    followers, read_plain = [], [names[var] for var in [main.body.body] if shape_of(var) is not None]
    for var, value in values.items():
        if var in inside:
            continue
        read = [names[operand] for operand in activations(value)]
        if keeps_blocks(value):
            followers.append(Follower(tuple(read), names[var]))
        elif not (is_reshaped_pixel(value) or operator_name(value) == "relax.mean"):
            read_plain += read
    shapes = {names[var]: shape for var in names if (shape := shape_of(var)) is not None and _has_two(shape)}
    costs, unsteadiness = _change_costs(sorted(set(shapes.values())), target, scratch)
    changes = {name: costs[shape] for name, shape in shapes.items()}
    return LayoutGraph(names, followers, read_plain, changes, unsteadiness)


def _has_two(shape: Shape) -> bool:
    """Whether changing an activation of this shape between NCHW and NCHWc costs time."""
    _, channels, height, width = shape
    return activation_block(channels) > 1 and (height, width) != (1, 1)


def _change_costs(
    shapes: Sequence[Shape], target: Target, scratch: Path
) -> tuple[dict[Shape, LayoutCost], tuple[Unsteadiness, ...]]:
    """The cost for each shape, and the reasons to doubt them."""
    functions, runs = {}, []
    for index, shape in enumerate(shapes):
        block = activation_block(shape[1])
        for source, destination in ((1, block), (block, 1)):
            name = f"change_{index}_{source}_to_{destination}"
            activation = te.placeholder(physical_shape(shape, source), "float32", name="activation")
            changed = layout_change(shape, source, destination)(activation)
            function = schedule_plainly(te.create_prim_func([activation, changed]))
            functions[name] = function.with_attr("global_symbol", name)
            arguments = (physical_shape(shape, source), physical_shape(shape, destination))
            runs.append(KernelRun(name, tuple(KernelArgument(argument, "float32") for argument in arguments)))
    if not runs:
        return {}, ()
    library = scratch / "layout_changes.so"
    linking.export(
        tvm.compile(tvm.IRModule(functions), tvm_target(target.code)), target.code, target.linker, library
    )
    timed = time_kernels(library, runs, target)
    times = iter(timed.medians_ms)
    return {shape: LayoutCost(next(times), next(times)) for shape in shapes}, timed.unsteadiness
