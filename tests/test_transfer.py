"""Schedules of similar layers: what is similar, how tiles are made to fit, and what really runs."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sampled_schedules import compiled, largest_error
from small_searches import SMALL, metaschedule_settings

from dlas.errors import UserError
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.systems.tuners import transfer
from dlas.systems.tuners.common.relatives import distance
from dlas.systems.tuners.common.tiles import adapted_tiles
from dlas.systems.tuners.common.tuning_store import TuningStore
from dlas.systems.tuners.metaschedule import tuner as metaschedule

DIRECT = "direct"
KNOWN = TuningTask(SMALL, DIRECT)
WIDER = TuningTask(replace(SMALL, in_channels=12, out_channels=20, height=7, width=7, residual=True), DIRECT)
ALONE = TuningTask(replace(SMALL, kernel=(1, 1), padding=(0, 0, 0, 0)), DIRECT)


def settings(candidates: int) -> transfer.Settings:
    return transfer.Settings("transfer", "dlas.systems.tuners.transfer", candidates)


@pytest.fixture(scope="module")
def searched(host: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a search of `KNOWN`."""
    folder = tmp_path_factory.mktemp("searched")
    store = TuningStore(folder / "store")
    metaschedule.tune([KNOWN], host, metaschedule_settings(6), folder / "log.json", store)
    return folder / "store"


@pytest.fixture
def store(searched: Path, tmp_path: Path) -> TuningStore:
    return TuningStore(shutil.copytree(searched, tmp_path / "store"))


def test_a_distance_is_of_shapes() -> None:
    assert distance(SMALL, SMALL) == 0
    assert distance(SMALL, replace(SMALL, in_channels=16)) == pytest.approx(1)
    assert distance(SMALL, replace(SMALL, in_channels=16, out_channels=8)) == pytest.approx(2)
    assert distance(SMALL, replace(SMALL, dtype="float16")) == math.inf
    assert distance(SMALL, replace(SMALL, format="csr")) == math.inf


@pytest.mark.parametrize(
    "other",
    [
        {"kernel": (5, 5), "padding": (2, 2, 2, 2)},
        {"stride": (2, 2)},
        {"groups": 8},
        {"padding": (0, 0, 0, 0)},
        {"input_block": 8},
    ],
)
def test_other_loops_are_farther_than_other_extents_and_those_than_another_epilogue(
    other: dict[str, object],
) -> None:
    loops = distance(SMALL, replace(SMALL, **other))
    extents = distance(SMALL, replace(SMALL, in_channels=32, height=12, width=12))
    epilogue = distance(SMALL, replace(SMALL, residual=True, activation=""))
    assert loops > extents > epilogue > 0


@given(
    st.integers(1, 600),
    st.lists(st.integers(1, 64), min_size=2, max_size=4),
    st.sampled_from([1, 16, 64]),
)
def test_adapted_tiles_are_a_factorization(extent: int, tiles: list[int], limit: int) -> None:
    found = adapted_tiles(extent, tiles, limit)
    assert math.prod(found) == extent
    assert len(found) == len(tiles)
    assert found[-1] <= limit


def test_inner_tiles_are_kept_where_they_divide() -> None:
    assert adapted_tiles(64, [4, 1, 2, 8], 64) == [4, 1, 2, 8]
    assert adapted_tiles(96, [4, 1, 2, 8], 64) == [6, 1, 2, 8]
    assert adapted_tiles(7, [4, 1, 1, 4], 64) == [1, 1, 1, 7]
    assert adapted_tiles(128, [1, 128], 64) == [2, 64]


def test_a_layer_gets_its_relatives_schedules_and_one_without_any_is_named(
    store: TuningStore, host: Target, tmp_path: Path
) -> None:
    log = tmp_path / "log.json"
    tuning = transfer.tune([KNOWN, WIDER, ALONE], host, settings(2), log, store)
    assert (tuning.trials, tuning.failed) == (6 + 2, 0)
    schedules = transfer.best_schedules(log, [KNOWN, WIDER, ALONE], host.code)
    assert schedules.found.keys() == {KNOWN.key, WIDER.key}
    assert schedules.missing == {ALONE.key: "the store has no schedule of a similar layer that fits"}
    (function,) = compiled([schedules.found[WIDER.key]], host.code)
    assert largest_error(function, WIDER.workload, WIDER.algorithm) < 1e-5
    assert metaschedule.best_schedules(log, [WIDER], host.code).found.keys() == {WIDER.key}

    again = transfer.tune([WIDER], host, settings(4), tmp_path / "again.json", store)
    assert again.trials == 2  # it has records of its own by now


def test_a_layer_of_which_only_failures_are_known_gets_its_relatives_schedules_once(
    store: TuningStore, host: Target, tmp_path: Path
) -> None:
    shelf = store.shelf(metaschedule.VERSION, host)
    transfer.tune([WIDER], host, settings(1), tmp_path / "first.json", store)
    (record,) = shelf.records(WIDER)
    key, (trace, _, *more) = json.loads(record)
    shelf.file(WIDER).write_text(json.dumps([key, [trace, [1e10], *more]]) + "\n")

    again = transfer.tune([WIDER], host, settings(2), tmp_path / "again.json", store)
    assert (again.trials, again.failed) == (1 + 2, 1)
    assert again.best.keys() == {WIDER.key}
    assert len({json.dumps(trace) for trace in traces(tmp_path / "again.json")}) == 3


@pytest.mark.slow
def test_a_search_starts_from_the_same_schedules(store: TuningStore, host: Target, tmp_path: Path) -> None:
    theirs = TuningStore(shutil.copytree(store.root, tmp_path / "theirs"))
    transfer.tune([WIDER], host, settings(2), tmp_path / "transfer.json", store)
    metaschedule.tune([WIDER], host, metaschedule_settings(2), tmp_path / "search.json", theirs)
    transferred, searched = (traces(tmp_path / name) for name in ("transfer.json", "search.json"))
    assert transferred == searched
    assert len(searched) == 2


def traces(log: Path) -> list[object]:
    return [json.loads(line)[1][0] for line in log.read_text().splitlines()]


def test_an_empty_store_gives_nothing_and_asks_nobody(host: Target, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    assert transfer.tune([ALONE], host, settings(2), log, TuningStore(tmp_path / "store")).trials == 0
    assert transfer.best_schedules(log, [ALONE], host.code).missing.keys() == {ALONE.key}


def test_zero_candidates_are_refused() -> None:
    with pytest.raises(UserError, match=r"tuner\.candidates: 0 is too few"):
        settings(0)
