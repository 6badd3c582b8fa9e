"""Whole networks by `algo=auto` beside every other compiler, as the command itself measures them.

    python benchmarks/peers.py
    python benchmarks/peers.py --networks resnet18 vgg16 --compilers onnxruntime openvino --rounds 6
    python benchmarks/peers.py tuner=metaschedule timing=thorough --networks resnet18
    PYTHONPATH=. python benchmarks/peers.py --config-dir my_conf --networks mine

A round is one sweep, `python -m dlas.run -m model=… compiler=tvm,…`, or two where there are networks for
small and for large images; their points stand in the store under the experiment `peers`. The first round
builds; those that follow take all but the times from the store of stages. So the compilers of a network are
timed one right after the other, and again in each round.

A ratio is TVM's time over the other compiler's, and below 1 TVM is faster. That of a round is the ratio of
what both took of the yardstick beside them (`dlas.hardware.results.comparison`); over the rounds it is the
geometric mean, with Student's interval of 95 %. What the machine did to one round and not to another is in
that interval.

Other settings of the command, such as `dataset=cifar10`, come first. Without them the networks have random
weights: `train.epochs=0`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean, median

from dlas import command_line, config, tracking
from dlas.analysis.table import NOTHING, Cell, Table, as_text, measured, number, text
from dlas.errors import UserError
from dlas.hardware.results import statistics
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.results.measurement import Measurement
from dlas.plugins import compilers
from dlas.plugins.registry import NETWORK_COMPILERS
from dlas.report import reading
from dlas.tracking import Record, Store

NETWORKS = ("vgg16", "resnet18", "mobilenetv2", "resnet50", "mobilenetv2_imagenet", "efficientnet_lite0")
LARGE, LARGE_IMAGES = ("resnet50", "mobilenetv2_imagenet", "efficientnet_lite0"), "imagenet_samples"
"""Those of them that are made for images of 224x224, and the data set that has such images:
pip install 'dlas[samples]'."""
OURS = "tvm"
EXPERIMENT = "peers"
USUAL = ("compression=none", "algo=auto", "tuner=none", "train.epochs=0")
"""Settings that are taken where others are not typed."""

Round = Mapping[tuple[str, str], Measurement]
"""What a sweep measured, by network and compiler."""


def main() -> int:
    options = _options()
    where = [] if options.artifacts is None else [f"artifacts={options.artifacts}"]
    typed = {override.partition("=")[0] for override in options.overrides}
    usual = [setting for setting in USUAL if setting.partition("=")[0] not in typed]
    commands = []
    for networks, dataset in _with_datasets(options.networks, typed):
        swept = [f"model={','.join(networks)}", f"compiler={','.join([OURS, *options.compilers])}"]
        command = [sys.executable, "-m", "dlas.run"]
        command += [] if options.config_dir is None else ["--config-dir", options.config_dir]
        command += ["-m", *swept, *dataset, *usual, *options.overrides, *where]
        command += ["rerun=all", f"tracking.experiment={EXPERIMENT}"]
        commands.append(command)
        print(shlex.join(["python", *command[1:]]), flush=True)
    rounds = []
    for number_of_round in range(1, options.rounds + 1):
        print(f"round {number_of_round} of {options.rounds}, {_load()}", flush=True)
        found: dict[tuple[str, str], Measurement] = {}
        for command in commands:
            before = _newest(options.artifacts)
            status = subprocess.run(command, check=False).returncode
            sweep = _newest(options.artifacts)
            if status not in (command_line.DONE, command_line.FAILED) or sweep is None or sweep == before:
                return status or command_line.FAILED
            found |= _measured(_store(options.artifacts), sweep)
        rounds.append(found)
    print(as_text(compared(rounds, options.compilers)))
    print(f"{_load()} at the end")
    return command_line.DONE


def _with_datasets(networks: Sequence[str], typed: Collection[str]) -> list[tuple[list[str], list[str]]]:
    """The networks that share a sweep, each with the setting of its data set, which a typed one replaces."""
    if "dataset" in typed:
        return [([*networks], [])]
    of_large = [name for name in networks if name in LARGE]
    others = [name for name in networks if name not in LARGE]
    groups: list[tuple[list[str], list[str]]] = [(others, []), (of_large, [f"dataset={LARGE_IMAGES}"])]
    return [group for group in groups if group[0]]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="setting=value", help="of dlas.run")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="options of model=")
    parser.add_argument("--compilers", nargs="+", default=installed(), help="all that are installed")
    parser.add_argument("--rounds", type=int, default=4, help="2 or more")
    parser.add_argument("--config-dir", metavar="FOLDER", help="where YAML files of your own are")
    parser.add_argument("--artifacts", metavar="FOLDER", help="where the store is")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds: one round tells no interval, 2 or more do")
    return options


def installed() -> list[str]:
    """The compilers of whole networks whose packages are all here."""
    return [name for name in NETWORK_COMPILERS.names() if _is_installed(name)]


def _is_installed(compiler: str) -> bool:
    try:
        compilers.require_installed(compiler, "compiler")
    except UserError:
        return False
    return True


def _store(artifacts: str | None) -> Store:
    return command_line.existing_store(artifacts, config.Tracking(experiment=EXPERIMENT))


def _newest(artifacts: str | None) -> str | None:
    """The id of the sweep that was started last."""
    folder = command_line.artifacts_folder(artifacts)
    store = tracking.find_store(folder, experiment=EXPERIMENT)
    found = None if store is None else tracking.newest_sweep(store)
    return None if found is None else found.run_id


def _measured(store: Store, sweep: str) -> Round:
    """What was measured of the sweep's finished points."""
    done = [point for point in tracking.points(store, sweep) if point.status == "FINISHED"]
    return {(_network(point), point.params["compiler.name"]): _timing(store, point) for point in done}


def _network(point: Record) -> str:
    return point.params["model.name"]


def _timing(store: Store, point: Record) -> Measurement:
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        return reading.timing(store, point, Path(folder))


def compared(rounds: Sequence[Round], peers: Sequence[str]) -> Table:
    """TVM beside each of the peers: on each network, and on all those that every round has of both."""
    rows, nothing = [], Cell(NOTHING)
    networks = list(dict.fromkeys(network for one in rounds for network, _ in one))
    for network in networks:
        rows.append((text(network), text(OURS), _latency(rounds, network, OURS), nothing, nothing))
        for peer in peers:
            latency = _latency(rounds, network, peer)
            rows.append((text(network), text(peer), latency, *_mean(_ratios(rounds, network, peer))))
    for peer in peers:
        ratios = [_ratios(rounds, network, peer) for network in networks]
        whole = [found for found in ratios if len(found) == len(rounds)]
        means = [geometric_mean(of_round) for of_round in zip(*whole, strict=True)]
        of = f"geometric mean of {len(whole)}"
        rows.append((text(of), text(peer), nothing, *_mean(means)))
    measurements = [one for round_ in rounds for one in round_.values()]
    unsteady = sum(bool(one.unsteady) for one in measurements)
    notes = (
        f"TVM's time over the compiler's, by the yardstick, in {len(rounds)} rounds; below 1 TVM is faster",
        f"{unsteady} of {len(measurements)} measurements were made while the board did not hold still",
    )
    headings = ("network", "compiler", "ms", "tvm / it", "interval")
    return Table("peers", "TVM beside other compilers", headings, tuple(rows), notes)


def _latency(rounds: Sequence[Round], network: str, compiler: str) -> Cell:
    """Milliseconds: the middle of the rounds' medians."""
    found = [one[network, compiler].median_ms for one in rounds if (network, compiler) in one]
    return number(median(found) if found else None)


def _ratios(rounds: Sequence[Round], network: str, peer: str) -> list[float]:
    """The ratio of each round that has both."""
    return [
        Comparison(old=one[network, peer], new=one[network, OURS]).ratio
        for one in rounds
        if (network, peer) in one and (network, OURS) in one
    ]


def _mean(ratios: Sequence[float]) -> tuple[Cell, Cell]:
    if len(ratios) < 2:
        return Cell(NOTHING), Cell(NOTHING)
    return measured(geometric_mean(ratios), statistics.geometric_mean_interval(ratios))


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
