"""The fastest kernel for every layer of a network: candidates are timed inside the network, on the target.

The network is built once with each algorithm and format for all its layers; the libraries run in turn in one
process, and every kernel's time is taken where the network calls it, with the caches as they are there. The
choice weighs these times and those of the layout changes. It is then raced against the best network of one
kind, and where it is no faster, that one is chosen.

Faster is what the whole interval of a ratio says. In a tie the simpler choice wins: the kind that was
declared first, and one kind before a mix.
"""

from __future__ import annotations

import csv
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from dlas.hardware.results.statistics import Interval
from dlas.hardware.targets import steadiness
from dlas.hardware.timing.race import RESOLVED, Call, Turns, race, simplest
from dlas.interfaces.program import ConvLayer
from dlas.interfaces.targets.target import Target
from dlas.systems.choices.cheapest_mix import LayerOptions, Option, cheapest
from dlas.systems.choices.declared_algorithm import assigned, in_format
from dlas.systems.choices.kind import Kind
from dlas.systems.choices.layout_costs import LayoutGraph, layout_graph
from dlas.systems.choices.lowering import lowered
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.graph.importing import Imported
from dlas.systems.graph.sites import ConvSite

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A row of the table of candidates."""

    layer: str
    """Name of the layer; "network" for the whole network by one kind of kernel."""
    algorithm: str
    """Name in the registry, or the dotted path of a user's own algorithm; "mixed" for the
    network of the choice."""
    format: str
    """Format of the weights; empty for a mix."""
    time_ms: float
    chosen: bool
    ratio_low: float
    """Lower end of the interval of its time over that of the one it is judged by: of a layer the chosen
    kernel, of a network the best one of one kind."""
    ratio_high: float
    tie: bool
    """Whether the race can't tell the two apart."""


@dataclass(frozen=True)
class Chosen:
    """The layers with their chosen kernels, and all candidates."""

    layers: list[ConvLayer]
    candidates: list[Candidate]
    unsteady: tuple[str, ...]
    """Reasons to doubt the times; none where the board held still."""


@dataclass(frozen=True)
class _Network:
    """The network by one kind of kernel, with its times."""

    kind: Kind
    layers: list[ConvLayer]
    library: Path
    turns: Turns
    layer_turns: list[Turns]
    """Turns of each layer."""


def choose(
    imported: Imported,
    sites: Sequence[ConvSite],
    kinds: Sequence[Kind],
    target: Target,
    opt_level: int,
    inputs: np.ndarray,
    scratch: Path,
) -> Chosen:
    """The fastest network of these `kinds`, timed on the first of `inputs`; libraries go to `scratch`."""

    def built(layers: Sequence[ConvLayer], name: str) -> Path:
        log.info("auto: building the network by %s", name)
        library = scratch / f"{name.replace(' ', '_')}.so"
        program = lowered(imported, sites, layers)
        build_library(program, {}, target.code, target.linker, opt_level, library)
        return library

    assignments = _serving_some(
        {kind: [assigned(site, kind.algorithm, kind.weight_format) for site in sites] for kind in kinds}
    )
    libraries = {kind: built(layers, kind.name) for kind, layers in assignments.items()}
    networks, first_doubts = _timed(assignments, libraries, inputs, target)
    graph = layout_graph(imported, sites, target, scratch)
    mixed = _cheapest_mix(sites, networks, graph)
    best = networks[simplest([network.turns for network in networks], RESOLVED)]
    contenders = [best.library, built([network.layers[i] for i, network in enumerate(mixed)], "mixed")]
    second = race(contenders, inputs, target)
    pure, mix = (contender.turns for contender in second.contenders)
    faster = simplest([pure, mix], RESOLVED) == 1
    if not faster:
        told = "alone is %.2f times as fast as the mix, which has to be faster by 3 %% to be chosen"
        log.info(f"auto: %s {told}", best.kind.name, mix.median_ms / pure.median_ms)
        mixed = [best] * len(sites)
    rows = [
        *_layer_rows(sites, networks, mixed),
        *_network_rows(networks, best, chosen=not faster),
        _mixed_row(mix, pure, best, chosen=faster),
    ]
    doubts = steadiness.worst((*first_doubts, *graph.unsteadiness, *second.unsteadiness))
    return Chosen([network.layers[index] for index, network in enumerate(mixed)], rows, doubts)


def _timed(
    assignments: Mapping[Kind, list[ConvLayer]],
    libraries: Mapping[Kind, Path],
    inputs: np.ndarray,
    target: Target,
) -> tuple[list[_Network], tuple[steadiness.Unsteadiness, ...]]:
    """The networks of one kind, raced against each other, and why their times are to be doubted."""
    log.info("auto: timing %d networks in turn", len(libraries))
    found = race(list(libraries.values()), inputs, target)
    networks = [
        _Network(kind, layers, libraries[kind], one.turns, _layer_turns(layers, one.calls))
        for (kind, layers), one in zip(assignments.items(), found.contenders, strict=True)
    ]
    return networks, found.unsteadiness


def _mixed_row(mix: Turns, pure: Turns, best: _Network, *, chosen: bool) -> Candidate:
    """The network of the mix. It was raced against the best one of one kind, `pure` in that race; its time is
    brought to the pace of the race of all of these."""
    row = _row("network", "mixed", "", mix, pure, chosen=chosen, share=RESOLVED)
    return replace(row, time_ms=mix.median_ms * best.turns.median_ms / pure.median_ms)


def _row(
    layer: str, algorithm: str, stored: str, turns: Turns, judge: Turns, *, chosen: bool, share: float = 1.0
) -> Candidate:
    ratio = Interval(1.0, 1.0) if turns is judge else turns.over(judge)
    tie = turns is not judge and not (turns.beats(judge, share) or judge.beats(turns, share))
    return Candidate(layer, algorithm, stored, turns.median_ms, chosen, ratio.low, ratio.high, tie)


def write_candidates(candidates: Sequence[Candidate], path: Path) -> None:
    """Write the candidates as CSV, one column per field of `Candidate`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Candidate)])
        writer.writeheader()
        writer.writerows(asdict(candidate) for candidate in candidates)


def _cheapest_mix(
    sites: Sequence[ConvSite], networks: Sequence[_Network], graph: LayoutGraph
) -> list[_Network]:
    """The network from which each layer's kernel is to be taken."""
    served = [_worth_weighing(_serving(networks, index), index) for index in range(len(sites))]
    choices = [
        LayerOptions(
            data=graph.names[site.conv.data],
            residual=None if site.conv.residual is None else graph.names[site.conv.residual],
            output=graph.names[site.conv.output],
            options=tuple(
                Option(
                    network.layer_turns[index].median_ms,
                    network.layers[index].workload.input_block > 1,
                    network.layers[index].workload.output_block > 1,
                )
                for network in candidates
            ),
        )
        for index, (site, candidates) in enumerate(zip(sites, served, strict=True))
    ]
    picked = cheapest(choices, graph.followers, graph.read_plain, graph.changes)
    return [candidates[pick] for candidates, pick in zip(served, picked, strict=True)]


def _serving_some(assignments: Mapping[Kind, list[ConvLayer]]) -> Mapping[Kind, list[ConvLayer]]:
    """The kinds that serve at least one layer, or all kinds where none does: a network of any other kind
    would only repeat its fallback's."""
    serving = {
        kind: layers
        for kind, layers in assignments.items()
        if any(not layer.fallback_reason for layer in layers)
    }
    for kind in assignments:
        if kind not in serving:
            log.info("auto: %s serves none of the layers", kind.name)
    return serving or assignments


def _serving(networks: Sequence[_Network], index: int) -> list[_Network]:
    """The networks whose own kind of kernel serves the layer; all where none does."""
    return [network for network in networks if not network.layers[index].fallback_reason] or list(networks)


def _worth_weighing(networks: Sequence[_Network], index: int) -> list[_Network]:
    """Of the networks whose kernels of a layer work in the same layouts the one with the fastest, or the
    first in a tie: which of them it is makes no difference to the rest."""
    by_layouts: dict[tuple[int, int], list[_Network]] = defaultdict(list)
    for network in networks:
        workload = network.layers[index].workload
        by_layouts[workload.input_block, workload.output_block].append(network)
    return [same[simplest([one.layer_turns[index] for one in same])] for same in by_layouts.values()]


def _layer_turns(layers: Sequence[ConvLayer], calls: Sequence[Call]) -> list[Turns]:
    kernels = {layer.kernel for layer in layers}
    turns = [call.turns for call in calls if call.kernel in kernels]
    assert len(turns) == len(layers)
    return turns


def _layer_rows(
    sites: Sequence[ConvSite], networks: Sequence[_Network], chosen: Sequence[_Network]
) -> list[Candidate]:
    return [
        _row(
            *(site.name, layer.algorithm, layer.workload.format),
            network.layer_turns[index],
            chosen[index].layer_turns[index],
            chosen=network is chosen[index],
        )
        for index, site in enumerate(sites)
        for network in _serving(networks, index)
        for layer in [network.layers[index]]
    ]


def _network_rows(networks: Sequence[_Network], best: _Network, *, chosen: bool) -> list[Candidate]:
    """The networks of one kind beside the best of them; `chosen` is whether that one was."""
    return [
        _row(
            "network",
            in_format(network.kind.algorithm, network.kind.weight_format) or network.kind.algorithm,
            network.kind.weight_format,
            network.turns,
            best.turns,
            chosen=chosen and network is best,
            share=RESOLVED,
        )
        for network in networks
    ]
