"""Whole networks by `algo=auto` beside every other compiler, as the commands themselves measure them.

    python benchmarks/peers.py
    python benchmarks/peers.py --networks resnet18 vgg16 --compilers onnxruntime openvino
    python benchmarks/peers.py tuner=metaschedule timing.budget=120 --networks resnet18
    PYTHONPATH=. python benchmarks/peers.py --config-dir my_conf --networks mine

One sweep, `python -m dlas.run -m model=… compiler=tvm,…`, or two where there are networks for small and for
large images, makes the points, which stand in the store under the experiment `peers`. Those of each network
are then timed again in turn with each other, `python -m dlas.compare run=<id>,<id> again=true`, so that all
meet one pace of the machine, until each is told from TVM's or `timing.budget` is spent.

A ratio is TVM's time over the other compiler's, and below 1 TVM is faster. The intervals of a network's
ratios hold at once, with 95 %.

Other settings of the command, such as `dataset=cifar10`, come first; those of `timing` are of the times in
turn. Without them the networks have random weights: `train.epochs=0`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from dlas import command_line, config, tracking
from dlas.analysis.table import NOTHING, Cell, Table, as_text, measured, number, text
from dlas.errors import UserError
from dlas.hardware.results.statistics import Interval
from dlas.plugins import compilers
from dlas.plugins.registry import NETWORK_COMPILERS
from dlas.tracking import Record, Store

NETWORKS = ("vgg16", "resnet18", "mobilenetv2", "resnet50", "mobilenetv2_imagenet", "efficientnet_lite0")
LARGE = (
    *("resnet50", "mobilenetv2_imagenet", "efficientnet_lite0", "efficientnet_lite0_pretrained"),
    *("efficientnet_b0", "densenet161"),
)
"""Networks of the package that are made for images of 224x224."""
LARGE_IMAGES = "imagenet_samples"
"""The data set that has such images: pip install 'dlas[samples]'."""
OURS = "tvm"
EXPERIMENT = "peers"
USUAL = ("compression=none", "algo=auto", "tuner=none", "train.epochs=0")
"""Settings that are taken where others are not typed."""


@dataclass(frozen=True)
class Beside:
    """A point beside another one of its network, which is another compiler's."""

    network: str
    compiler: str
    """The other one's compiler."""
    our_ms: float
    their_ms: float
    ratio: float
    """The point's time over the other one's."""
    interval: Interval
    unsteady: bool
    """Whether the board did not hold still."""


def main() -> int:
    options = _options()
    where = [] if options.artifacts is None else [f"artifacts={options.artifacts}"]
    where.append(f"tracking.experiment={EXPERIMENT}")
    timing = [setting for setting in options.overrides if setting.startswith("timing")]
    settings = [setting for setting in options.overrides if setting not in timing]
    typed = {setting.partition("=")[0] for setting in settings}
    usual = [setting for setting in USUAL if setting.partition("=")[0] not in typed]
    folder = [] if options.config_dir is None else ["--config-dir", options.config_dir]
    found: list[Beside] = []
    failed = False
    for networks, dataset in _with_datasets(options.networks, typed):
        swept = [f"model={','.join(networks)}", f"compiler={','.join([OURS, *options.compilers])}"]
        before = _newest(options.artifacts)
        status = _run("run", *folder, "-m", *swept, *dataset, *usual, *settings, "timing=quick", *where)
        sweep = _newest(options.artifacts)
        was_made = sweep != before and status in (command_line.DONE, command_line.FAILED)
        failed |= status != command_line.DONE
        if sweep is None or not was_made:
            failed = True
            break
        for points in _by_network(_store(options.artifacts), sweep).values():
            if len(points) > 1:
                ours_first = sorted(points, key=lambda name: name != OURS)
                beside = in_turn([points[name] for name in ours_first], [*folder, *timing, *where])
                failed |= not beside
                found += beside
    print(as_text(table(found)))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end")
    return command_line.FAILED if failed else command_line.DONE


def _run(command: str, *arguments: str) -> int:
    """Run a command of DLAS; returns its exit status."""
    started = [sys.executable, "-m", f"dlas.{command}", *arguments]
    print(shlex.join(["python", *started[1:]]), flush=True)
    return subprocess.run(started, check=False).returncode


def in_turn(points: Sequence[Record], arguments: Sequence[str]) -> list[Beside]:
    """The first of a network's points beside each other one, all timed in turn; none where that failed."""
    runs = ",".join(point.run_id for point in points)
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        found = Path(folder) / "found.json"
        if _run("compare", *arguments, f"run={runs}", "again=true", f"json={found}") != command_line.DONE:
            return []
        told = json.loads(found.read_text(encoding="utf-8"))
    others = {point.run_id: point for point in points}
    return [_beside(others[one["run"]], one) for one in told["points"]]


def _beside(other: Record, told: Mapping[str, Any]) -> Beside:
    """What the command tells of a point, which is its time over the first one's."""
    low, high = told["interval"]
    return Beside(
        other.params["model.name"],
        other.params["compiler.name"],
        told["then"]["median_ms"],
        told["now"]["median_ms"],
        1 / told["ratio"],
        Interval(1 / high, 1 / low),
        bool(told["unsteady"]),
    )


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
    parser.add_argument("--config-dir", metavar="FOLDER", help="where YAML files of your own are")
    parser.add_argument("--artifacts", metavar="FOLDER", help="where the store is")
    return parser.parse_args()


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


def _by_network(store: Store, sweep: str) -> dict[str, dict[str, Record]]:
    """The sweep's finished points by network and compiler, of the networks that TVM has one of."""
    found: dict[str, dict[str, Record]] = {}
    for point in tracking.points(store, sweep):
        if point.status == "FINISHED":
            found.setdefault(point.params["model.name"], {})[point.params["compiler.name"]] = point
    return {network: points for network, points in found.items() if OURS in points}


def table(found: Sequence[Beside]) -> Table:
    """TVM beside each of the other compilers: on each network, and on all that it was timed with."""
    rows = [
        (
            text(one.network),
            text(one.compiler),
            number(one.our_ms),
            number(one.their_ms),
            *measured(one.ratio, one.interval),
        )
        for one in found
    ]
    nothing = Cell(NOTHING)
    for compiler in dict.fromkeys(one.compiler for one in found):
        ratios = [one.ratio for one in found if one.compiler == compiler]
        of, mean = text(f"geometric mean of {len(ratios)}"), number(geometric_mean(ratios))
        rows.append((of, text(compiler), nothing, nothing, mean, nothing))
    unsteady = sum(one.unsteady for one in found)
    notes = (
        "TVM's time over the compiler's, both timed in turn; below 1 TVM is faster",
        f"{unsteady} of {len(found)} comparisons were made while the board did not hold still",
    )
    headings = ("network", "compiler", "tvm ms", "its ms", "tvm / it", "interval")
    return Table("peers", "TVM beside other compilers", headings, tuple(rows), notes)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
