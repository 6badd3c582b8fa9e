"""What the processor counts: events of the kernel where a virtual machine has no others, and reasons."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_library
from command import environment
from test_spread import measured, session

from dlas import config
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.tables import point
from dlas.errors import UserError
from dlas.hardware.results import measurement, processor_counts, spread
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.results.processor_counts import Counts
from dlas.hardware.sessions import runners
from dlas.hardware.sessions import session as sessions
from dlas.hardware.sessions.observers import counts, footprint, perf_events
from dlas.hardware.sessions.observers.footprint import Start
from dlas.hardware.sessions.process import turns
from dlas.hardware.sessions.samples import Loaded
from dlas.hardware.targets import llvm, resolving
from dlas.redeployment import Redeployed
from dlas.verdicts import as_json
from dlas.verdicts.point_as_text import report
from dlas.verdicts.result import Result, Results

PAGES, PAGE = 500, os.sysconf("SC_PAGE_SIZE")


def is_counted(event: perf_events.Event) -> bool:
    try:
        with perf_events.counting(event):
            return True
    except OSError:
        return False


needs_software = pytest.mark.skipif(
    not is_counted(perf_events.PAGE_FAULTS), reason="perf_event_open is not allowed here"
)


def touch() -> None:
    """Take pages that were never touched, so that each is a fault."""
    with mmap.mmap(-1, PAGES * PAGE) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for at in range(0, len(memory), PAGE):
            memory[at] = 1


@needs_software
def test_page_faults_are_counted_to_the_page_from_0_on_each_start() -> None:
    with perf_events.counting(perf_events.PAGE_FAULTS) as counter:
        for _ in range(2):
            counter.start()
            touch()
            counter.stop()
            touch()
            assert counter.count() in range(PAGES, PAGES + PAGES // 10)


@needs_software
def test_other_threads_are_not_counted() -> None:
    with perf_events.counting(perf_events.PAGE_FAULTS) as counter:
        thread = threading.Thread(target=touch)
        counter.start()
        thread.start()
        thread.join()
        counter.stop()
        found = counter.count()
    assert found is not None
    assert found < PAGES


@needs_software
def test_the_task_clock_is_the_threads_own_time() -> None:
    with perf_events.counting(perf_events.TASK_CLOCK) as counter:
        counter.start()
        before = time.thread_time_ns()
        sum(range(200_000))
        inner = time.thread_time_ns() - before
        counter.stop()
        outer = time.thread_time_ns() - before
        found = counter.count()
    assert found is not None
    assert 0.9 * inner <= found <= 1.5 * outer + 1_000_000


def test_a_processor_counts_instructions_alike_or_it_is_said_why_not() -> None:
    told = counts.on_one_thread(lambda: sum(range(100_000)))
    assert bool(told["instructions"]) != bool(told["missing"])
    if told["instructions"]:
        assert max(told["instructions"]) <= 1.005 * min(told["instructions"])


@pytest.mark.parametrize(
    ("code", "said"),
    [(13, "perf_event_paranoid is"), (1, "containers"), (38, "no perf_event_open"), (2, "virtual")],
)
def test_a_reason_is_told(code: int, said: str) -> None:
    assert said in perf_events.reason(OSError(code, os.strerror(code)))


THREADS = """
import os, sys
from pathlib import Path
import numpy as np
from dlas.hardware.sessions import session, tvm_runtime
from dlas.hardware.sessions.observers import counts
from dlas.processes import environment
session.keep_torch_out()
from dlas.hardware.sessions.device import Device
device = Device("cpu")
main = device.main(tvm_runtime.loaded(Path(sys.argv[1])))
image = device.put(np.zeros((1, 3, 32, 32), "float32"))
def threads():
    return sorted({int(one) for one in tvm_runtime.array(main(image)).ravel()})
several = threads()
with environment.changed(counts.ON_ONE_THREAD):
    alone = threads()
print(len(several), alone == [os.getpid()], len(threads()))
"""


def test_tvm_computes_on_the_calling_thread_once_it_is_told_to(tmp_path: Path) -> None:
    """Each element of the output is the number of the thread that computed it."""
    host = resolving.resolve(config.Target("host"))
    library = tiny_library.export_thread_numbers(llvm.tvm_target(host.code), tmp_path / "threads.so")
    ended = subprocess.run(
        [sys.executable, "-c", THREADS, str(library)],
        env=environment({"TVM_NUM_THREADS": "2", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert ended.stdout.split() == ["2", "True", "2"], ended.stderr


@needs_software
def test_a_session_keeps_what_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With events of the kernel's in the place of the processor's, which few virtual machines have."""
    monkeypatch.setattr(perf_events, "INSTRUCTIONS", perf_events.TASK_CLOCK)
    monkeypatch.setitem(counts.EVENTS, "cycles", perf_events.TASK_CLOCK)
    monkeypatch.setenv("TVM_NUM_THREADS", "1")
    host = resolving.resolve(config.Target("host"))
    library = tiny_library.export_matmul(llvm.tvm_target(host.code), tmp_path / "model.so")
    network = runners.named(runners.TVM).load(library, 1, "cpu")
    start = Start(footprint.mark(), footprint.mark(), footprint.mark())
    told = sessions.timed(Loaded(network, start, {}), tiny_library.images(1), 20, 1, 0, turns.Alone())
    assert os.environ["TVM_NUM_THREADS"] == "1"
    found = measurement.of_sessions({1: [told]}, {}, config.Timing(name="test", runs=20), 1, emulated=False)
    (counted,) = found.counts
    assert len(counted.instructions) == counts.COUNTED_RUNS
    assert counted.task_clock_ns is not None
    assert counted.task_clock_ns > 0
    assert counted.clock_mhz == pytest.approx(1000, rel=0.2)
    assert found.counted["instructions"] == np.median(counted.instructions)
    assert measurement.metrics(found)["counted.instructions"] == found.counted["instructions"]
    measurement.write(found, tmp_path / "timing.json")
    assert measurement.read(tmp_path / "timing.json") == found


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ((1000, 1001), (1001, 1002), "1.001 times the instructions: the same code, to within 0.5%"),
        ((1000, 1001), (1130, 1131), "1.130 times the instructions: the code or its data changed"),
        ((1000, 1001), (900, 901), "0.900 times the instructions: the code or its data changed"),
        ((1000, 1400), (1300, 1320), None),
        ((), (1000,), None),
        ((0, 0), (1000,), None),
    ],
)
def test_a_change_of_the_code_is_told(then: tuple[int, ...], now: tuple[int, ...], told: str | None) -> None:
    change = processor_counts.change(then, now)
    assert (None if change is None else change.told) == told


def counted(instructions: int, missing: str = "") -> Measurement:
    runs = (instructions, instructions + 1) if instructions else ()
    found = Counts(runs, 30_000_000, 5_000, 10_000_000, missing)
    return measured([replace(session(10.0), counts=found)])


def test_a_person_and_a_script_are_told() -> None:
    comparison = Comparison(counted(1_000_000), counted(1_130_000))
    found = Redeployed(comparison, (), {})
    assert "counted    1.130 times the instructions: the code or its data changed" in report(found)
    (told,) = as_json.values(Results([Result("run", found)]))["points"][0]["batches"]
    assert told["instructions"] == {"ratio": pytest.approx(1.13), "same": False}
    assert told["now"]["counted"]["clock_mhz"] == 3000
    elsewhere = replace(comparison.new, environment={"cpu": "another"})
    assert "counted" not in report(Redeployed(Comparison(comparison.old, elsewhere), (), {}))
    seen = MeasuredPoint(run_id="id", name="a point", status="FINISHED", choices={}, median_ms=10.0)
    shown = point.described(seen, counted(1_000_000), [], "redeploy")
    assert "1.00 M instructions on one thread, 100 cache misses, 3000 MHz" in shown
    assert "no instructions: not allowed" in point.described(seen, counted(0, "not allowed"), [], "redeploy")


def test_a_slower_clock_is_seen_in_the_cycles() -> None:
    slow, fast = (Counts(cycles=cycles, task_clock_ns=10_000_000) for cycles in (15_000_000, 30_000_000))
    found = measured([replace(session(10.0), counts=fast), replace(session(20.0), counts=slow)])
    told = spread.source(found)
    assert told is not None
    assert told.startswith(spread.CLOCK)


def test_old_files_are_read_and_impossible_counts_refused(tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    measurement.write(counted(1_000_000), path)
    values = json.loads(path.read_text())
    values["sessions"][0]["counts"]["cycles"] = -1
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="counted"):
        measurement.read(path)
    del values["sessions"][0]["counts"]
    path.write_text(json.dumps(values))
    assert measurement.read(path).counts == ()
