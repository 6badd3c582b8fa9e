"""A board's side and its clients: real servers and real libraries on this machine's loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import boards
import numpy as np
import psutil
import pytest
import tiny_library
from command import dlas, environment

from dlas import board as board_command
from dlas import config
from dlas.errors import UserError
from dlas.hardware.boards import connection, protocol
from dlas.hardware.no_torch import without_torch
from dlas.hardware.results import measurement
from dlas.hardware.sessions import runners
from dlas.hardware.targets import llvm
from dlas.hardware.timing import deployment, measuring, roofs, single_kernels
from dlas.hardware.timing.measuring import Yardstick
from dlas.interfaces.targets.placement import Placement
from dlas.interfaces.targets.reach import Reach
from dlas.interfaces.targets.target import Target
from dlas.plugins.finding import module_exists
from dlas.points import making
from dlas.points.messages import BoardRuntime
from dlas.systems.compilers.tvm import roofs as kernels

PROTOCOL = config.Timing(name="test", runs=20, warmup=1)

CLIENT = """
import json, sys, pathlib
import numpy as np
from pydantic import TypeAdapter
from dlas import config
from dlas.hardware.results import measurement
from dlas.interfaces.targets.target import Target
from dlas.hardware.timing import measuring
library, told, result = map(pathlib.Path, sys.argv[1:])
board = TypeAdapter(Target).validate_json(told.read_text())
found = measuring.measure(
    library, np.zeros((1, 3, 32, 32), "float32"), board, config.Timing(name="test", runs=50)
)
measurement.write(found, result)
"""

BEFORE_VERSIONS = """
import json
answered = board_server._about
def about(kind):
    machine = json.loads(answered(kind))
    del machine["version"]
    return json.dumps(machine)
board_server._about = about
"""


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[subprocess.Popen[str], Target]]:
    """A board's side, and the board."""
    port = boards.free_port()
    with boards.served(port) as server:
        yield server, boards.here(port)


@pytest.fixture(scope="module")
def board(served: tuple[subprocess.Popen[str], Target]) -> Target:
    return served[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("libraries")


@pytest.fixture(scope="module")
def matmul(board: Target, folder: Path) -> Path:
    executable = tiny_library.compiled_matmul(llvm.tvm_target(board.code))
    return boards.exported(executable, board, folder / "matmul.so")


def calling(board: Target, folder: Path, function: str, *arguments: int) -> Path:
    executable = tiny_library.calling(llvm.tvm_target(board.code), function, *map(int, arguments))
    return boards.exported(executable, board, folder / f"{function}.so")


def assert_serves(board: Target, matmul: Path) -> None:
    images = tiny_library.images(2)
    outputs = deployment.run(matmul, images, board)
    np.testing.assert_allclose(outputs, tiny_library.outputs(images), rtol=1e-4, atol=1e-5)


def start_client(library: Path, board: Target, result: Path) -> subprocess.Popen[str]:
    result.with_suffix(".target").write_text(json.dumps(asdict(board)))
    arguments = [str(library), str(result.with_suffix(".target")), str(result)]
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, *arguments],
        env=without_torch(environment()),
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("runtime", ["executorch", "torch", "tvm"])
def test_a_runtime_that_the_virtual_board_cannot_have_is_refused_by_name(
    runtime: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert board_command.main(["start", f"runtimes=mnn,{runtime}", f"artifacts={tmp_path / 'none'}"]) == 2
    assert re.match(f"runtimes: '{runtime}' is no compiler .*\n.*mnn", capsys.readouterr().err)
    assert not any(tmp_path.iterdir())


def test_outputs_and_samples_come_from_the_board(board: Target, matmul: Path, tmp_path: Path) -> None:
    assert_serves(board, matmul)
    beside = {name: Yardstick(matmul, tiny_library.INPUT_SHAPE) for name in ("one", "other")}
    found = measuring.measure(matmul, tiny_library.images(1), board, PROTOCOL, beside)
    assert len(found.samples_ms) == PROTOCOL.runs
    assert min(found.samples_ms) > 0
    assert [len(session.samples_ns) for session in found.yardstick_sessions] == [PROTOCOL.runs] * 2
    assert found.environment["machine"] == os.uname().machine
    assert not found.emulated
    measurement.write(found, tmp_path / "timing.json")
    assert measurement.read(tmp_path / "timing.json") == found


@pytest.fixture(scope="module")
def onnx_matmul(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_library.onnx_matmul(tmp_path_factory.mktemp("onnx") / "network")


def test_a_network_of_another_runtime_runs_on_the_board(
    board: Target, matmul: Path, onnx_matmul: Path
) -> None:
    images = tiny_library.images(2)
    assert deployment.require_board(board, "onnxruntime") == {"onnxruntime": version("onnxruntime")}
    found = deployment.run(onnx_matmul, images, board, runner="onnxruntime")
    np.testing.assert_allclose(found, tiny_library.outputs(images), rtol=1e-4, atol=1e-5)
    beside = {"one": Yardstick(matmul, tiny_library.INPUT_SHAPE)}
    measured = measuring.measure(onnx_matmul, images[:1], board, PROTOCOL, beside, runner="onnxruntime")
    assert [len(session.samples_ns) for session in measured.yardstick_sessions] == [PROTOCOL.runs]
    assert len(measured.samples_ms) == PROTOCOL.runs
    assert measured.environment["onnxruntime"] == version("onnxruntime")
    assert measured.memory is not None
    assert measured.memory.runtime_bytes > 1 << 20


def test_a_board_tells_the_versions_that_a_point_is_known_by(board: Target) -> None:
    def told(port: int) -> list[object]:
        code, found = board.code, list[object]()
        there = config.Target(
            *("bench", code.triple, code.cpu, code.cores),
            reach="rpc",
            rpc=config.Rpc(port=port, key=boards.KEY),
        )
        making.tell_runtime(found.append, there, "onnxruntime")
        return found

    assert told(board.reach.port) == [BoardRuntime({"onnxruntime": version("onnxruntime")})]
    assert told(boards.free_port()) == [], "the check of the points says why"


def test_a_damaged_file_of_another_runtime_is_told(board: Target, onnx_matmul: Path, tmp_path: Path) -> None:
    shutil.copytree(onnx_matmul, tmp_path / "damaged")
    (tmp_path / "damaged" / "network.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match="the library could not be run") as refusal:
        deployment.run(tmp_path / "damaged", tiny_library.images(1), board, runner="onnxruntime")
    assert "Traceback" not in str(refusal.value)
    assert f"127.0.0.1:{board.reach.port}" in str(refusal.value)


def test_a_runtime_that_the_board_lacks_is_named(board: Target) -> None:
    """This machine's own side of a board has what this machine has."""
    lacking = {name: packages_lacking(name) for name in sorted(runners.names())}
    name = next((name for name, packages in lacking.items() if packages), None)
    if name is None:
        pytest.skip("every runtime is installed here")
    with pytest.raises(UserError, match=re.escape(lacking[name][0])) as refusal:
        deployment.require_board(board, name)
    assert f"not installed on the board bench at 127.0.0.1:{board.reach.port}" in refusal.value.problem
    assert "pip install" in refusal.value.remedy


def packages_lacking(runner: str) -> list[str]:
    packages = runners.named(runner).PACKAGES
    return [name for module, name in packages.items() if not module_exists(module)]


def test_a_runtime_that_the_dlas_of_the_board_does_not_know_is_told(board: Target) -> None:
    with pytest.raises(UserError, match="knows nothing of runtime_of_tomorrow") as refusal:
        deployment.require_board(board, "runtime_of_tomorrow")
    assert "install the dlas of this side" in refusal.value.remedy


def test_layers_are_profiled_on_the_board(board: Target, matmul: Path) -> None:
    profile = single_kernels.profile(matmul, tiny_library.images(1), board, 5)
    assert [call.kernel for call in profile if "matmul" in call.kernel]
    assert all(call.median_ms > 0 for call in profile)


def test_its_roofs_are_measured_on_the_board(board: Target, tmp_path: Path) -> None:
    kernels.build(board.code, board.linker, tmp_path / "roofs.so")
    found = roofs.measure(tmp_path / "roofs.so", kernels.peaks(board.code), board)
    assert found.threads == board.placement.threads
    assert found.bounds.bandwidth > 0


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        ("raise", (signal.SIGSEGV,), "SIGSEGV"),
        ("raise", (signal.SIGILL,), "does not have"),
        ("exit", (0,), "ended"),
    ],
)
def test_a_crash_costs_that_library_alone(
    function: str, arguments: tuple[int, ...], said: str, board: Target, matmul: Path, tmp_path: Path
) -> None:
    crashing = calling(board, tmp_path, function, *arguments)
    with pytest.raises(UserError, match=said) as refusal:
        deployment.run(crashing, tiny_library.images(1), board)
    assert str(crashing) in str(refusal.value)
    assert f"127.0.0.1:{board.reach.port}" in str(refusal.value)
    assert_serves(board, matmul)


def test_a_library_that_hangs_is_stopped(board: Target, matmul: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="within 4 s"):
        deployment.run(calling(board, tmp_path, "pause"), tiny_library.images(1), board, time_limit=4)
    assert_serves(board, matmul)


def test_a_truncated_library_is_named(board: Target, matmul: Path, tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.so"
    truncated.write_bytes(matmul.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"truncated\.so"):
        deployment.run(truncated, tiny_library.images(1), board)
    assert_serves(board, matmul)


def test_a_library_for_another_cpu_is_not_sent(board: Target, matmul: Path) -> None:
    newer = (*board.code.instruction_sets, "avx4096")
    code = replace(board.code, cpu="futuremont", instruction_sets=newer)
    other = replace(board, code=code)
    with pytest.raises(UserError, match="avx4096"):
        deployment.run(matmul, tiny_library.images(1), other)


def test_cores_that_the_board_does_not_have_are_named(board: Target, matmul: Path) -> None:
    placed = replace(board, placement=Placement(threads=1, affinity=(4095,)))
    with pytest.raises(UserError, match=r"target\.affinity.*4095"):
        deployment.run(matmul, tiny_library.images(1), placed)


def test_the_wrong_key_is_told(board: Target) -> None:
    stranger = replace(board, reach=replace(board.reach, key="stranger"))
    with pytest.raises(UserError, match="stranger") as refusal:
        deployment.require_board(stranger)
    assert refusal.value.key == "target.rpc.key"


def test_no_board_listening_tells_where_and_what_to_start() -> None:
    nobody = boards.here(boards.free_port())
    with pytest.raises(UserError) as refusal:
        deployment.require_board(nobody)
    assert f"127.0.0.1:{nobody.reach.port}" in refusal.value.problem
    assert "python -m dlas.board serve" in refusal.value.remedy


@pytest.mark.parametrize(
    "nonsense", [b"", b"GET / HTTP/1.0\r\n\r\n", b"\x92\xf2\x0f\x00\x04\x00\x00\x00\xff\xff\xff\xff"]
)
def test_nonsense_does_not_end_a_board(nonsense: bytes, board: Target, matmul: Path) -> None:
    with socket.create_connection(("127.0.0.1", board.reach.port)) as stranger:
        stranger.sendall(nonsense)
    assert_serves(board, matmul)


def test_a_client_that_says_nothing_is_not_waited_for(board: Target, matmul: Path) -> None:
    with socket.create_connection(("127.0.0.1", board.reach.port)):
        assert_serves(board, matmul)


def processes(server: subprocess.Popen[str]) -> set[int]:
    """The numbers of the processes that the board's side has started."""
    return {child.pid for child in psutil.Process(server.pid).children(recursive=True)}


def wait_for_session(server: subprocess.Popen[str], before: set[int]) -> None:
    """Wait until the board has a session beside the processes that it had before: one serves the client, and
    one is the session's."""
    deadline = time.monotonic() + 60
    while len(processes(server) - before) < 2:
        assert time.monotonic() < deadline, "the board has no session"
        time.sleep(0.2)


def test_a_killed_client_leaves_the_board_free(
    served: tuple[subprocess.Popen[str], Target], matmul: Path, tmp_path: Path
) -> None:
    server, board = served
    pausing, before = calling(board, tmp_path, "pause"), processes(server)
    client = start_client(pausing, board, tmp_path / "timing.json")
    wait_for_session(server, before)
    client.kill()
    client.communicate()
    started = time.monotonic()
    assert_serves(board, matmul)
    assert time.monotonic() - started < 60


def test_two_clients_time_one_after_the_other(board: Target, tmp_path: Path) -> None:
    sleeping = calling(board, tmp_path, "usleep", 4000)
    results = [tmp_path / "one.json", tmp_path / "other.json"]
    for client in [start_client(sleeping, board, result) for result in results]:
        _, said = client.communicate(timeout=120)
        assert client.returncode == 0, said
    sessions = [measurement.read(result).sessions[0] for result in results]
    earlier, after = sorted(sessions, key=lambda session: session.before.uptime_seconds)
    assert earlier.after.uptime_seconds <= after.before.uptime_seconds


def test_a_board_that_dies_meanwhile_is_a_lost_connection(tmp_path: Path) -> None:
    port = boards.free_port()
    dying = boards.here(port)
    with boards.served(port) as server:
        pausing, before = calling(dying, tmp_path, "pause"), processes(server)
        client = start_client(pausing, dying, tmp_path / "timing.json")
        wait_for_session(server, before)
        boards.end(server)
        _, said = client.communicate(timeout=60)
    assert client.returncode != 0
    assert "was lost" in said
    assert not (tmp_path / "timing.json").exists()


def test_boards_are_had_through_a_tracker(matmul: Path) -> None:
    address, port = boards.free_port(), boards.free_port()
    with boards.tracked(address):
        asked = replace(boards.here(address), reach=Reach("tracker", port=address, key=boards.KEY))
        with pytest.raises(UserError, match="no board of the key") as refusal:
            deployment.require_board(asked)
        assert refusal.value.key == "target.rpc.key"
        with boards.served(port, f"tracker=127.0.0.1:{address}"):
            registered(asked)
            assert_serves(asked, matmul)
            found = measuring.measure(matmul, tiny_library.images(1), asked, PROTOCOL)
            assert len(found.samples_ms) == PROTOCOL.runs


def test_a_tracker_without_a_free_board_is_waited_for_and_not_for_ever(
    matmul: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address, port = boards.free_port(), boards.free_port()
    with boards.tracked(address), boards.served(port, f"tracker=127.0.0.1:{address}"):
        asked = replace(boards.here(address), reach=Reach("tracker", port=address, key=boards.KEY))
        registered(asked)
        client = start_client(calling(asked, tmp_path, "pause"), asked, tmp_path / "timing.json")
        monkeypatch.setattr(connection, "BUSY_SECONDS", 5.0)
        assert "has no free board, for more than 5 s" in refused_by(asked).problem
        assert "waiting: the board bench through the tracker" in caplog.text
        client.kill()
        client.communicate()
        monkeypatch.setattr(connection, "BUSY_SECONDS", 60.0)
        assert_serves(asked, matmul)


def refused_by(asked: Target) -> UserError:
    """What is told once another client has the board, whenever that client gets to it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            deployment.require_board(asked)
        except UserError as error:
            return error
        time.sleep(0.5)
    raise AssertionError("the board was always free")


def registered(asked: Target) -> None:
    """Wait until a board has registered with the tracker."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return deployment.require_board(asked)
        except UserError:
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_a_server_that_is_no_board_is_told(tmp_path: Path) -> None:
    port = boards.free_port()
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--port-end", str(port + 1), "--key", boards.KEY]
    with subprocess.Popen(
        [sys.executable, "-m", "tvm.exec.rpc_server", *arguments], env=without_torch(environment())
    ) as stock:
        try:
            boards.wait_for(port)
            with pytest.raises(UserError, match="no board's side of dlas"):
                deployment.require_board(boards.here(port))
        finally:
            boards.end(stock)


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ("protocol.VERSION += 1", f"are of version {protocol.VERSION + 1},"),
        (BEFORE_VERSIONS, f"are of an earlier version than {protocol.VERSION},"),
    ],
    ids=["later", "earlier"],
)
def test_the_board_of_another_dlas_is_told_before_any_work(changes: str, version: str, matmul: Path) -> None:
    port = boards.free_port()
    there = boards.here(port)
    with boards.served_by_another(port, changes):
        with pytest.raises(UserError, match=version) as refusal:
            deployment.require_board(there)
        with pytest.raises(UserError, match=version):
            measuring.measure(matmul, tiny_library.images(1), there, PROTOCOL)
    assert f"the board bench at 127.0.0.1:{port}" in refusal.value.problem
    assert f"this side takes those of version {protocol.VERSION}" in refusal.value.problem
    assert refusal.value.remedy == "On the board: install the dlas of this side, and serve again."


def test_serving_a_network_warns_and_loopback_does_not() -> None:
    for listen, warned in (("0.0.0.0", True), ("127.0.0.1", False)):
        with boards.served(boards.free_port(), f"listen={listen}") as server:
            boards.end(server)
            assert server.stderr is not None
            assert ("no password" in server.stderr.read()) == warned


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "start, stop, list, check, serve"),
        (["serve", "port=0"], "port"),
        (["serve", "prot=9090"], "prot"),
        (["serve", "tracker=nowhere"], "tracker=<host>:<port>"),
        (["start", "target=raspberrypi4"], "dlas.board serve"),
        (["start", "target=abacus"], "aarch64_virtual"),
    ],
)
def test_a_mistake_is_told(arguments: list[str], said: str) -> None:
    ended = dlas("board", *arguments)
    assert ended.returncode in (1, 2)
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_in_use_is_told(board: Target) -> None:
    ended = dlas("board", "serve", f"port={board.reach.port}")
    assert ended.returncode == 1
    assert f"cannot listen at 127.0.0.1:{board.reach.port}" in ended.stderr


def test_a_run_without_its_board_ends_before_anything_is_trained(tmp_path: Path) -> None:
    ended = dlas(
        *("run", "target=raspberrypi4", f"target.rpc.port={boards.free_port()}"),
        *("tuner=none", f"artifacts={tmp_path}"),
    )
    assert "no board is listening" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not (tmp_path / "stages" / "train").exists()
