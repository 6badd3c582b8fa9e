"""The recipe: from a declared stack to a bundle and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dlas import bundling, config, datasets, stages
from dlas.hardware import deployment, kernels, target
from dlas.stage import StageStore
from dlas.systems import building

PROFILED_RUNS = 30
"""Of the per-layer table: each layer's time is a median over as many runs."""


@dataclass(frozen=True)
class Point:
    """What a run of the store is told, beside the bundle."""

    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def run_point(stack: config.Stack, bundle: Path) -> Point:
    """Make the point that `stack` declares: fill the folder `bundle` and seal it.

    Finished stages are taken from the store in `stack.artifacts`; the timing is always made anew.
    """
    store = StageStore(Path(stack.artifacts) / "stages")
    board = target.resolve(stack.target)
    deployment.require_board(board)
    building.require_tools(board)
    dataset = datasets.normalized_for(stack.model, datasets.load(stack.dataset))

    trained = stages.train(stack, dataset, store)
    compressed = trained
    for step in stack.compression.values():
        compressed = stages.compress(stack, step, dataset, compressed, store)
    lowered = stages.lower_network(stack, dataset, compressed, board, store)
    tuned = stages.tune(stack, lowered, board, store)
    chosen = stages.choose_kernels(stack, lowered, tuned, board, store)
    library = stages.build(stack, lowered, chosen, board, store)
    deployed = stages.deploy(dataset, compressed, library, board, store)
    batches = stages.larger_batches(stack, dataset, compressed, lowered, deployed, board, store)
    yardstick = stages.make_yardstick(stack, board, store)
    larger = {batch.size: batch.library.path for batch in batches}
    timing = deployment.measure(
        library.path, deployed.reference.inputs, board, stack.timing, yardstick, larger
    )
    profile = kernels.profile(library.path, deployed.reference.inputs, board, PROFILED_RUNS)

    found = bundling.Results(
        stack,
        board,
        dataset,
        trained,
        compressed,
        lowered,
        tuned,
        chosen,
        library,
        deployed,
        batches,
        yardstick,
        timing,
        profile,
    )
    bundling.fill(bundle, found)
    return Point(bundling.metrics(found), bundling.tags(found))
