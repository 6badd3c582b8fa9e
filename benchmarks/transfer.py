"""What schedules of other networks' layers are worth, beside what a search of the network gains.

    python benchmarks/transfer.py [--networks resnet18 vgg16] [--algorithm spatial_pack] [--trials 256]

Each network is searched by MetaSchedule first, unless the store holds as many trials. Then each is left out
in turn: tuner=transfer finds only what the store has of the other networks, and of no layer that this one
has too. The untuned, the transferred and the searched network take turns in one process; figures are medians.
`--search-only` ends before the comparison.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean
from tempfile import TemporaryDirectory

import tuned
from tuned import NETWORKS

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.systems.tuners import transfer
from dlas.systems.tuners.common.tuning_store import TuningStore
from dlas.systems.tuners.metaschedule import tuner as metaschedule


def main() -> None:
    options = _options()
    target = resolve(config.Target(name="host"))
    store = TuningStore(options.store)
    programs = {name: tuned.program(name, options.algorithm) for name in options.networks}
    with TemporaryDirectory() as scratch:
        best = {
            name: search(name, lowered, options.trials, target, store, Path(scratch))
            for name, lowered in programs.items()
        }
        if options.search_only:
            return
        compared = [
            compare(name, lowered, best[name], target, store, Path(scratch))
            for name, lowered in programs.items()
        ]
    by_transfer, by_search = (geometric_mean(ratios) for ratios in zip(*compared, strict=True))
    print(f"geometric means: transfer {by_transfer:.2f}, search {by_search:.2f}", end="")
    print(f", {(1 - by_transfer) / (1 - by_search):.0%} of the search's gain" if by_search < 1 else "")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS], default=[*NETWORKS])
    parser.add_argument("--algorithm", default="spatial_pack")
    parser.add_argument("--trials", type=int, default=256, help="of each network's search")
    parser.add_argument("--store", type=Path, default=Path(config.default_artifacts()) / "tuning")
    parser.add_argument("--search-only", action="store_true")
    return parser.parse_args()


def search(
    name: str, lowered: LoweredProgram, trials: int, target: Target, store: TuningStore, folder: Path
) -> Mapping[str, float]:
    """Search the network into the store, its log into `folder`: the seconds of the fastest by task."""
    settings = metaschedule.Settings("metaschedule", metaschedule.__name__, trials=trials, patience=trials)
    found = metaschedule.tune(tuned.tasks(lowered), target, settings, folder / f"{name}.json", store)
    print(f"{name}: {found.trials} trials, {found.seconds:.0f} s of them now", flush=True)
    return found.best


def without(store: TuningStore, lowered: LoweredProgram, target: Target, root: Path) -> TuningStore:
    """A copy in the new folder `root`, less the network's own layers."""
    own = [f"-{task.workload.key}-" for task in tuned.tasks(lowered)]

    def left_out(_: str, names: list[str]) -> list[str]:
        return [name for name in names if any(key in name for key in own)]

    copy = TuningStore(root)
    there, here = (one.shelf(metaschedule.VERSION, target).folder for one in (store, copy))
    shutil.copytree(there, here, ignore=left_out)
    return copy


def total(tasks: Sequence[TuningTask], best: Mapping[str, float], others: Mapping[str, float]) -> float:
    """Seconds of the layers that both have a time for."""
    return sum(task.count * best[task.key] for task in tasks if task.key in best and task.key in others)


def compare(
    name: str,
    lowered: LoweredProgram,
    best: Mapping[str, float],
    target: Target,
    store: TuningStore,
    scratch: Path,
) -> tuple[float, float]:
    """The network's latency by the transferred schedules, and by those of the search, whose seconds by task
    are `best`: over the untuned network's."""
    tasks, folder = tuned.tasks(lowered), scratch / name
    folder.mkdir()
    others = without(store, lowered, target, folder / "store")
    settings = transfer.Settings("transfer", transfer.__name__)
    found = transfer.tune(tasks, target, settings, folder / "transfer.json", others)
    transferred = transfer.best_schedules(folder / "transfer.json", tasks, target.code)
    searched = metaschedule.best_schedules(scratch / f"{name}.json", tasks, target.code)
    untuned, by_transfer, by_search = tuned.medians(
        [
            tuned.untuned(lowered, target, folder),
            tuned.library(lowered, transferred, target, folder / "transferred"),
            tuned.library(lowered, searched, target, folder / "searched"),
        ],
        name,
        target,
    )
    alone = total(tasks, found.best, best) / total(tasks, best, found.best) if found.best else float("nan")
    print(
        f"{name}: latency / untuned: transfer {by_transfer / untuned:.2f}, search {by_search / untuned:.2f}\n"
        f"  {found.trials} transferred candidates of {len(transferred.found)} of {len(tasks)} layers took "
        f"{found.seconds:.0f} s; each kernel alone, transfer / search {alone:.2f}",
        flush=True,
    )
    return by_transfer / untuned, by_search / untuned


if __name__ == "__main__":
    main()
