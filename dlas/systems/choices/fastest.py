"""The fastest kernel for every layer of a network: candidates are timed inside the network, on the target.

The network is built once with each algorithm and format for all its layers; the libraries run in turn in one
process, and every kernel's time is taken where the network calls it, with the caches as they are there. The
choice weighs these times and those of the layout changes. It is then raced against the best network of one
kind, and where it is no faster, that one is chosen.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from dlas.hardware.timing.race import race
from dlas.hardware.timing.single_kernels import KernelTime
from dlas.interfaces.targets.target import Target
from dlas.systems.choices.cheapest_mix import LayerOptions, Option, cheapest
from dlas.systems.choices.declared import assigned, in_format
from dlas.systems.choices.kind import Kind
from dlas.systems.choices.layout_costs import layout_graph
from dlas.systems.choices.lowering import lowered
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.graph.importing import Imported
from dlas.systems.graph.sites import ConvSite
from dlas.systems.program.program import ConvLayer

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


@dataclass(frozen=True)
class Chosen:
    """The layers with their chosen kernels, and all candidates."""

    layers: list[ConvLayer]
    candidates: list[Candidate]


@dataclass(frozen=True)
class _Network:
    """The network by one kind of kernel, with its times."""

    kind: Kind
    layers: list[ConvLayer]
    library: Path
    median_ms: float
    times_ms: list[float]
    """Milliseconds of each layer."""


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
    libraries = [built(layers, kind.name) for kind, layers in assignments.items()]
    log.info("auto: timing %d networks in turn", len(libraries))
    networks = [
        _Network(kind, layers, library, found.median_ms, _layer_times(layers, found.calls))
        for (kind, layers), library, found in zip(
            assignments.items(), libraries, race(libraries, inputs, target), strict=True
        )
    ]
    mixed = _cheapest_mix(imported, sites, networks, target, scratch)
    best = min(networks, key=lambda network: network.median_ms)
    contenders = [best.library, built([network.layers[i] for i, network in enumerate(mixed)], "mixed")]
    pure, mix = (contender.median_ms for contender in race(contenders, inputs, target))
    if pure <= mix:
        log.info("auto: %s alone is %.2f times as fast as the mix", best.kind.name, mix / pure)
        mixed = [best] * len(sites)
    return Chosen(
        [network.layers[index] for index, network in enumerate(mixed)],
        [
            *_table(sites, networks, mixed),
            Candidate("network", "mixed", "", mix * best.median_ms / pure, mix < pure),
        ],
    )


def write_candidates(candidates: Sequence[Candidate], path: Path) -> None:
    """Write the candidates as CSV, one column per field of `Candidate`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Candidate)])
        writer.writeheader()
        writer.writerows(asdict(candidate) for candidate in candidates)


def _cheapest_mix(
    imported: Imported,
    sites: Sequence[ConvSite],
    networks: Sequence[_Network],
    target: Target,
    scratch: Path,
) -> list[_Network]:
    """The network from which each layer's kernel is to be taken."""
    graph = layout_graph(imported, sites, target, scratch)
    served = [_serving(networks, index) for index in range(len(sites))]
    choices = [
        LayerOptions(
            data=graph.names[site.conv.data],
            residual=None if site.conv.residual is None else graph.names[site.conv.residual],
            output=graph.names[site.conv.output],
            options=tuple(
                Option(
                    network.times_ms[index],
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


def _layer_times(layers: Sequence[ConvLayer], calls: Sequence[KernelTime]) -> list[float]:
    kernels = {layer.kernel for layer in layers}
    times = [call.median_ms for call in calls if call.kernel in kernels]
    assert len(times) == len(layers)
    return times


def _table(
    sites: Sequence[ConvSite], networks: Sequence[_Network], chosen: Sequence[_Network]
) -> list[Candidate]:
    rows = [
        _candidate(site.name, network.layers[index], network.times_ms[index], network is chosen[index])
        for index, site in enumerate(sites)
        for network in _serving(networks, index)
    ]
    whole = [
        Candidate(
            "network",
            in_format(network.kind.algorithm, network.kind.weight_format) or network.kind.algorithm,
            network.kind.weight_format,
            network.median_ms,
            all(one is network for one in chosen),
        )
        for network in networks
    ]
    return [*rows, *whole]


def _candidate(name: str, layer: ConvLayer, time_ms: float, chosen: bool) -> Candidate:
    return Candidate(name, layer.algorithm, layer.workload.format, time_ms, chosen)
