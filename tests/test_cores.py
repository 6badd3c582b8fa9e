"""Threads that compute have cores of their own, as the system tells by their affinities."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys, threading
from dlas.hardware.sessions import cores

workers, bound = int(sys.argv[1]), json.loads(sys.argv[2])
os.sched_setaffinity(0, json.loads(sys.argv[3]))
end, threads = threading.Event(), []
with cores.kept_apart():
    for _ in range(workers):
        threads.append(threading.Thread(target=end.wait))
        threads[-1].start()
    for thread, core in zip(threads, bound):
        os.sched_setaffinity(thread.native_id, [core])
told = [sorted(os.sched_getaffinity(thread)) for thread in (0, *(one.native_id for one in threads))]
print(json.dumps(told))
end.set()
"""
CORES = sorted(os.sched_getaffinity(0))
several = pytest.mark.skipif(len(CORES) < 2, reason="one core has no room for two threads")


def affinities(workers: int, bound: list[int], allowed: list[int]) -> list[list[int]]:
    """The cores of the calling thread and of each worker, some of which are bound to cores from the start."""
    return told(PROGRAM, str(workers), json.dumps(bound), json.dumps(allowed))


def told(program: str, *arguments: str) -> list[list[int]]:
    """The lists of cores that a program prints."""
    root = Path(__file__).parent.parent
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    found: list[list[int]] = json.loads(ended.stdout)
    return found


@several
def test_the_calling_thread_is_kept_off_the_core_that_a_runtime_chose_for_its_worker() -> None:
    for chosen in CORES[:2]:
        assert affinities(1, [chosen], CORES) == [[core for core in CORES if core != chosen], [chosen]]


@several
def test_a_worker_that_may_be_anywhere_gets_the_last_core() -> None:
    assert affinities(1, [], CORES) == [CORES[:-1], CORES[-1:]]


@several
def test_workers_of_a_second_pool_share_the_cores_of_the_first() -> None:
    """PyTorch has one that is started as a network is loaded, and another with its first run: had that the
    calling thread's core, each would wait for the other, a thousand times as long as a run takes."""
    program = """
import json, os, threading
from dlas.hardware.sessions import cores

end, threads = threading.Event(), []
for pool in ("loaded", "first run", "another run"):
    with cores.kept_apart():
        if pool != "another run":
            threads.append(threading.Thread(target=end.wait))
            threads[-1].start()
print(json.dumps([sorted(os.sched_getaffinity(id)) for id in (0, *(one.native_id for one in threads))]))
end.set()
"""
    caller, first, second = told(program)
    assert first == CORES[-1:]
    assert len(second) == 1
    assert not set(caller).intersection(first, second)
    assert (second == first) == (len(CORES) == 2)
    assert caller == [core for core in CORES if [core] not in (first, second)]


def test_as_many_workers_as_cores_stay_where_they_are() -> None:
    assert affinities(1, [], CORES[:1]) == [CORES[:1]] * 2
    assert affinities(len(CORES), [], CORES) == [CORES] * (1 + len(CORES))


def test_nothing_changes_where_no_thread_starts() -> None:
    assert affinities(0, [], CORES) == [CORES]
