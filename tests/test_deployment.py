"""Libraries in fresh processes: right outputs, honest samples, and failures that cost nothing else."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
import scipy.stats
import tiny_library

from dlas import config
from dlas.errors import UserError
from dlas.hardware.results import measurement
from dlas.hardware.results.measurement import Session
from dlas.hardware.sessions.process import run_in_turn
from dlas.hardware.targets import llvm, machine, target_file
from dlas.hardware.timing import deployment, measuring
from dlas.hardware.timing.measuring import Network, Yardstick
from dlas.interfaces.targets.placement import Placement
from dlas.interfaces.targets.target import Target

PROTOCOL = config.Timing(name="test", runs=30, warmup=2)

MEASURE = """
import sys, pathlib, logging
import numpy as np
from dlas import config
from dlas.hardware.results import measurement
from dlas.hardware.targets import target_file
from dlas.hardware.timing import measuring
logging.basicConfig()
library, told, result = map(pathlib.Path, sys.argv[1:])
found = measuring.measure(
    library, np.zeros((1, 3, 32, 32), "float32"), target_file.read(told), config.Timing(name="test", runs=50)
)
measurement.write(found, result)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("libraries")


@pytest.fixture(scope="module")
def matmul(host: Target, folder: Path) -> Path:
    return tiny_library.export_matmul(llvm.tvm_target(host.code), folder / "matmul.so")


@pytest.fixture(scope="module")
def sleeping(host: Target, folder: Path) -> Path:
    """A library that takes 4 ms."""
    return tiny_library.export_calling(llvm.tvm_target(host.code), folder / "sleeping.so", "usleep", 4000)


@pytest.fixture(scope="module")
def hanging(host: Target, folder: Path) -> Path:
    return tiny_library.export_calling(llvm.tvm_target(host.code), folder / "hanging.so", "pause")


def start_measuring(library: Path, host: Target, result: Path) -> subprocess.Popen[str]:
    target_file.write(host, result.with_suffix(".target"))
    command = [sys.executable, "-c", MEASURE, str(library), str(result.with_suffix(".target")), str(result)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def session_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The process that `process` started to run the library, once it is there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = psutil.Process(process.pid).children()
        if children:
            return children[0]
        time.sleep(0.05)
    raise AssertionError("no session was started")


def assert_rounds_follow(*sides: Sequence[Session]) -> None:
    """The sessions of a round overlap, and the next round begins when they have ended."""
    rounds = list(zip(*sides, strict=True))
    for one in rounds:
        assert max(each.before.uptime_seconds for each in one) < min(
            each.after.uptime_seconds for each in one
        )
    for earlier, later in pairwise(rounds):
        assert max(one.after.uptime_seconds for one in earlier) <= min(
            one.before.uptime_seconds for one in later
        )


def assert_ends(process: psutil.Process) -> None:
    gone, _ = psutil.wait_procs([process], timeout=10)
    assert gone == [process]


def test_outputs_are_those_of_numpy(matmul: Path, host: Target) -> None:
    images = tiny_library.images(5)
    np.testing.assert_allclose(
        deployment.run(matmul, images, host), tiny_library.outputs(images), rtol=1e-4, atol=1e-5
    )


def test_a_session_ends_while_a_thread_of_it_looks_out_for_work(
    host: Target, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does for long on a busy machine, by TVM's own number of looks too."""
    monkeypatch.setenv("TVM_THREAD_POOL_SPIN_COUNT", str(2**31 - 1))
    shared = folder / "shared.so"
    tiny_library.export_thread_numbers(llvm.tvm_target(host.code), shared)
    two = replace(host, placement=replace(host.placement, threads=2))
    found = deployment.run(shared, tiny_library.images(1), two, time_limit=100)
    assert len(np.unique(found)) == min(2, len(os.sched_getaffinity(0)))


def test_no_torch_beside_the_library(
    matmul: Path, host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("import os; os._exit(77)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    images = tiny_library.images(1)
    assert deployment.run(matmul, images, host).shape == (1, tiny_library.CLASSES)


def test_every_sample_is_kept_and_the_cold_run_is_apart(sleeping: Path, host: Target, tmp_path: Path) -> None:
    found = measuring.measure(sleeping, tiny_library.images(2), host, PROTOCOL)
    assert len(found.samples_ms) == found.runs == PROTOCOL.runs
    assert min(found.samples_ms) >= 4.0
    assert found.first_ms >= 4.0
    assert found.threads == host.placement.threads
    (session,) = found.sessions
    elapsed = session.after.uptime_seconds - session.before.uptime_seconds
    everything = sum(session.samples_ns) + session.first_ns
    assert elapsed >= everything / 1e9 + PROTOCOL.warmup * 0.004
    measurement.write(found, tmp_path / "timing.json")
    assert measurement.read(tmp_path / "timing.json") == found


def test_each_session_is_a_process_of_its_own(sleeping: Path, host: Target, tmp_path: Path) -> None:
    protocol = config.Timing(name="test", runs=5, warmup=1, sessions=3)
    found = measuring.measure(sleeping, tiny_library.images(1), host, protocol)
    assert [len(session.samples_ns) for session in found.sessions] == [5, 5, 5]
    assert len(found.samples_ms) == 15
    for session, following in zip(found.sessions, found.sessions[1:], strict=False):
        assert session.after.uptime_seconds <= following.before.uptime_seconds
    measurement.write(found, tmp_path / "timing.json")
    assert measurement.read(tmp_path / "timing.json") == found


def test_larger_batches_are_run_and_timed_in_turn(
    matmul: Path, host: Target, folder: Path, tmp_path: Path
) -> None:
    four = tiny_library.export_matmul(llvm.tvm_target(host.code), folder / "matmul-b4.so", 4)
    images = tiny_library.images(6)
    answers = deployment.run(four, images, host, 4)
    np.testing.assert_allclose(answers, tiny_library.outputs(images), rtol=1e-4, atol=1e-5)

    protocol = config.Timing(name="test", runs=20, sessions=2)
    found = measuring.measure(matmul, images, host, protocol, larger={4: four})
    one, larger = found.batches
    assert_rounds_follow(one.sessions, larger.sessions)
    assert (one.batch, larger.batch, len(larger.samples_ms)) == (1, 4, 40)
    told = measurement.metrics(found)
    medians = [np.median(np.array(session.samples_ns) / 1e6) for session in larger.sessions]
    assert told["latency_b4.median_ms"] == pytest.approx(scipy.stats.gmean(medians))
    assert told["throughput_b4.images_per_s"] == pytest.approx(4000 / told["latency_b4.median_ms"])
    assert told["throughput.images_per_s"] == pytest.approx(1000 / told["latency.median_ms"])
    measurement.write(found, tmp_path / "timing.json")
    assert measurement.read(tmp_path / "timing.json") == found


def test_without_smt_a_library_has_one_thread_a_core(matmul: Path, host: Target) -> None:
    protocol = config.Timing(name="test", runs=5)
    alone = replace(host, placement=Placement(len(os.sched_getaffinity(0)), smt=False))
    found = measuring.measure(matmul, tiny_library.images(1), alone, protocol)
    assert found.threads == len(machine.first_threads(os.sched_getaffinity(0)))


def test_the_cores_that_a_session_may_have_are_told(matmul: Path, host: Target) -> None:
    """All of them, though each of its threads keeps to one."""
    allowed = os.sched_getaffinity(0)
    for cores in (allowed, {max(allowed)}):
        placed = replace(host, placement=Placement(len(cores), tuple(sorted(cores))))
        protocol = config.Timing(name="test", runs=5)
        told = measuring.measure(matmul, tiny_library.images(1), placed, protocol).environment
        assert told["usable_cores"] == min(len(cores), machine.usable_cores())
        ranges = [part.split("-") for part in told["allowed_cores"].split(",")]
        assert {core for ends in ranges for core in range(int(ends[0]), int(ends[-1]) + 1)} == cores


def test_a_session_that_lacks_one_of_its_cores_is_refused(matmul: Path, host: Target) -> None:
    core = min(os.sched_getaffinity(0))
    placed = replace(host, placement=Placement(threads=2, affinity=(core, 4095)))
    with pytest.raises(UserError, match=r"target\.affinity: this board has no cores 4095 to run on$"):
        deployment.run(matmul, tiny_library.images(1), placed)


def test_a_yardstick_takes_turns_and_cold_runs_are_apart(
    matmul: Path, sleeping: Path, host: Target, tmp_path: Path
) -> None:
    protocol = config.Timing(name="test", runs=20, warmup=1, sessions=2, cold=3, yardstick=True)
    images = tiny_library.images(1)
    found = measuring.measure(matmul, images, host, protocol, {"sleeping": Yardstick(sleeping, images.shape)})
    yardsticks = found.yardsticks["sleeping"]
    assert_rounds_follow(yardsticks, found.sessions)
    assert min(found.yardstick_medians_ms("sleeping")) >= 4.0 > max(found.session_medians_ms)
    assert found.turns == 4
    for pace, own, beside in zip(found.paces("sleeping"), found.sessions, yardsticks, strict=True):
        of_turns = np.median(np.reshape([own.samples_ns, beside.samples_ns], (2, 4, 5)), axis=2)
        assert pace == pytest.approx(np.median(of_turns[0] / of_turns[1]))
    assert [len(session.cold_ns) for session in (*yardsticks, *found.sessions)] == [0, 0, 3, 3]
    assert found.cold_ms > found.median_ms
    measurement.write(found, tmp_path / "timing.json")
    assert measurement.read(tmp_path / "timing.json") == found


def test_a_session_without_a_turn_is_stopped(sleeping: Path, host: Target) -> None:
    """At most moments one goes on; two may be seen where a turn ends between looking at one and the other."""
    seen: list[int] = []
    over = threading.Event()
    others = {*psutil.Process().children()}

    def watch() -> None:
        while not over.is_set():
            seen.append(going_on({*psutil.Process().children()} - others))
            time.sleep(0.001)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        protocol = config.Timing(name="test", runs=30, sessions=1)
        networks = [Network({1: sleeping}, tiny_library.images(1))] * 3
        found = measuring.measure_in_turn(networks, host, protocol, is_enough=lambda _: True)
    finally:
        over.set()
        watching.join()
    assert_rounds_follow(*(one.sessions for one in found))
    assert np.median(seen) <= 1


def going_on(processes: Iterable[psutil.Process]) -> int:
    """Number of these processes that are not stopped."""
    going = 0
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            going += one.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    return going


def test_what_the_others_of_a_round_compute_is_no_other_work(matmul: Path, host: Target) -> None:
    """It counts as the own time of each of them."""
    protocol = config.Timing(name="test", runs=10)
    alone, of_three = (
        measuring.measure_in_turn(
            [Network({1: matmul}, tiny_library.images(1))] * count, host, protocol, is_enough=lambda _: True
        )
        for count in (1, 3)
    )
    by_itself = alone[0].sessions[0].after.own_seconds
    for one in of_three:
        assert one.sessions[0].after.own_seconds > 2 * by_itself


@pytest.mark.parametrize("place", [0, 1])
def test_a_library_of_a_round_that_crashes_is_named_and_none_is_left(
    place: int, matmul: Path, host: Target, tmp_path: Path
) -> None:
    crashing = tiny_library.export_calling(
        llvm.tvm_target(host.code), tmp_path / "crashing.so", "raise", int(signal.SIGSEGV)
    )
    before = psutil.Process().children()
    images = tiny_library.images(1)
    networks = [Network({1: matmul}, images)] * 2
    networks[place] = Network({1: crashing}, images)
    protocol = config.Timing(name="test", runs=10)
    with pytest.raises(UserError, match="SIGSEGV") as refusal:
        measuring.measure_in_turn(networks, host, protocol, is_enough=lambda _: True)
    assert str(crashing) in str(refusal.value)
    assert psutil.Process().children() == before


def test_a_round_that_cannot_start_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(FileNotFoundError):
        run_in_turn([{"affinity": [], "cores": 1, "smt": True}], [tmp_path / "nowhere"], 1, 60)
    assert psutil.Process().num_fds() == before


def test_a_library_of_a_round_that_hangs_is_stopped(matmul: Path, hanging: Path, host: Target) -> None:
    before = psutil.Process().children()
    protocol = config.Timing(name="test", runs=10)
    with pytest.raises(UserError, match="within 3 s") as refusal:
        measuring.measure_in_turn(
            [Network({1: library}, tiny_library.images(1)) for library in (matmul, hanging)],
            host,
            protocol,
            is_enough=lambda _: True,
            time_limit=3,
        )
    assert str(hanging) in str(refusal.value)
    assert psutil.Process().children() == before


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        ("raise", (signal.SIGSEGV,), "SIGSEGV"),
        ("raise", (signal.SIGILL,), "an instruction that this CPU does not have"),
        ("abort", (), "SIGABRT"),
        ("exit", (0,), "ended its process"),
    ],
)
def test_a_library_that_crashes_costs_a_message(
    function: str, arguments: tuple[int, ...], said: str, host: Target, tmp_path: Path
) -> None:
    library = tiny_library.export_calling(
        llvm.tvm_target(host.code), tmp_path / "crashing.so", function, *map(int, arguments)
    )
    with pytest.raises(UserError, match=said) as refusal:
        deployment.run(library, tiny_library.images(1), host)
    assert str(library) in str(refusal.value)


def test_a_truncated_or_missing_library_is_named(matmul: Path, host: Target, tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.so"
    truncated.write_bytes(matmul.read_bytes()[:3000])
    for library in (truncated, tmp_path / "missing.so"):
        with pytest.raises(UserError, match=library.name):
            deployment.run(library, tiny_library.images(1), host)


def test_a_library_for_another_machine_is_not_even_loaded(matmul: Path, host: Target) -> None:
    foreign = replace(host, code=replace(host.code, triple="riscv64-linux-gnu", cpu="sifive-u74"))
    with pytest.raises(UserError, match="riscv64"):
        deployment.run(matmul, tiny_library.images(1), foreign)


def test_a_library_that_hangs_is_stopped(hanging: Path, host: Target) -> None:
    before = psutil.Process().children()
    with pytest.raises(UserError, match="within 3 s"):
        deployment.run(hanging, tiny_library.images(1), host, time_limit=3)
    assert psutil.Process().children() == before


def test_two_processes_time_one_after_the_other(sleeping: Path, host: Target, tmp_path: Path) -> None:
    results = [tmp_path / "one.json", tmp_path / "other.json"]
    processes = [start_measuring(sleeping, host, result) for result in results]
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    sessions = [measurement.read(result).sessions[0] for result in results]
    earlier, after = sorted(sessions, key=lambda session: session.before.uptime_seconds)
    assert earlier.after.uptime_seconds <= after.before.uptime_seconds


def test_a_process_that_has_to_wait_says_so(sleeping: Path, host: Target, tmp_path: Path) -> None:
    with deployment.exclusive_board():
        process = start_measuring(sleeping, host, tmp_path / "timing.json")
        assert process.stderr is not None
        waiting = process.stderr.readline()
        assert "waiting: another process is timing on this machine" in waiting
        assert f"process {os.getpid()}" in waiting
        assert process.poll() is None
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert re.search(rf"waited \d+ s for process {os.getpid()}", said)


def test_the_stack_of_each_session_begins_elsewhere(hanging: Path, host: Target, tmp_path: Path) -> None:
    """By what its environment takes: two are equal once in 4096 times."""
    lengths = set()
    for number in range(2):
        process = start_measuring(hanging, host, tmp_path / f"{number}.json")
        lengths.add(sum(map(len, session_of(process).environ().values())))
        process.kill()
        process.communicate(timeout=30)
    assert len(lengths) == 2


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_process_leaves_no_timing_behind(
    stop: signal.Signals, hanging: Path, host: Target, tmp_path: Path
) -> None:
    process = start_measuring(hanging, host, tmp_path / "timing.json")
    session = session_of(process)
    time.sleep(1.0)
    os.kill(process.pid, stop)
    process.communicate(timeout=30)
    assert_ends(session)
    assert not (tmp_path / "timing.json").exists()
    with deployment.exclusive_board():
        pass
