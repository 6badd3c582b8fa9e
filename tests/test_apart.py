"""Work in a process of its own, and all the ways in which it may end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command import environment
from hydra import compose, initialize_config_dir

from dlas import config
from dlas.points import process
from dlas.points.making import Logging, Point
from dlas.points.messages import Finished, Started
from dlas.points.steps import TIMING
from dlas.processes import apart
from dlas.processes.fork_server import ForkServer

PROGRAM = (
    "import socket, sys; from dlas.processes.apart import serve_work; "
    "serve_work(socket.socket(fileno=int(sys.argv[1])))"
)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=environment({"PYTHONPATH": os.pathsep.join(sys.path)}),
    )
    theirs.close()
    yield ForkServer(ours)
    ours.close()
    assert process.wait() == 0


@dataclass
class Seen:
    """What an asker saw of the work."""

    told: list[object] = field(default_factory=list)
    written: dict[int, bytes] = field(default_factory=lambda: {1: b"", 2: b""})

    def note(self, stream: int, written: bytes) -> None:
        self.written[stream] += written

    def watch(self, told: Callable[[object], None] | None = None) -> apart.Watch:
        return apart.Watch(told or self.told.append, self.note, lambda: None)


def call(server: ForkServer, work: Callable[..., None], *arguments: object) -> tuple[int, Seen]:
    seen = Seen()
    return apart.call(server, work, arguments, seen.watch(), environment=dict(os.environ)), seen


def talk(tell: apart.Tell, words: int) -> None:
    for word in range(words):
        tell(word)
        print("x" * 1000)
    print("and the last", file=sys.stderr)


def test_all_that_the_work_tells_and_writes_is_handed_on(server: ForkServer) -> None:
    code, seen = call(server, talk, 500)
    assert code == 0
    assert seen.told == list(range(500))
    assert seen.written == {1: b"".join([b"x" * 1000 + b"\n"] * 500), 2: b"and the last\n"}


def end(tell: apart.Tell, way: str) -> None:
    print("it begins")
    match way:
        case "signal":
            os.kill(os.getpid(), signal.SIGKILL)
        case "left":
            os._exit(3)
        case "exit":
            sys.exit(4)
        case "exception":
            raise ZeroDivisionError("of no number")


@pytest.mark.parametrize(("way", "code"), [("signal", -9), ("left", 3), ("exit", 4), ("exception", 1)])
def test_its_asker_learns_how_it_ended(server: ForkServer, way: str, code: int) -> None:
    found, seen = call(server, end, way)
    assert found == code
    assert seen.written[1] == b"it begins\n"
    assert (b"of no number" in seen.written[2]) == (way == "exception")


def sleep(tell: apart.Tell, seen: Path, *, deaf: bool) -> None:
    if deaf:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "1000"])
    try:
        tell((os.getpid(), child.pid))
        time.sleep(1000)
    finally:
        seen.write_text("it could clear up")


def is_there(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def sleep_deaf(tell: apart.Tell, seen: Path) -> None:
    sleep(tell, seen, deaf=True)


def sleep_well(tell: apart.Tell, seen: Path) -> None:
    sleep(tell, seen, deaf=False)


@pytest.mark.parametrize(("work", "clears"), [(sleep_well, True), (sleep_deaf, False)])
def test_what_is_interrupted_may_clear_up_and_leaves_nobody_behind(
    server: ForkServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[..., None],
    clears: bool,
) -> None:
    monkeypatch.setattr(apart, "STOP_SECONDS", 60.0 if clears else 0.1)
    processes: list[int] = []

    def stop(told: tuple[int, int]) -> None:
        processes.extend(told)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apart.call(server, work, (tmp_path / "seen",), Seen().watch(stop), environment=dict(os.environ))
    assert len(processes) == 2
    assert not is_there(processes[0])
    while is_there(processes[1]):  # it was told to go
        time.sleep(0.01)
    assert (tmp_path / "seen").exists() == clears


def test_what_takes_too_long_is_stopped(server: ForkServer, tmp_path: Path) -> None:
    seen = Seen()
    with pytest.raises(TimeoutError):
        apart.call(
            server,
            sleep_well,
            (tmp_path / "seen",),
            seen.watch(),
            environment=dict(os.environ),
            timeout=0.5,
        )


def tell_timing(tell: apart.Tell, point: Point, logged: Logging) -> None:
    tell(Started(TIMING))
    while not (point.files / "shown").exists():
        time.sleep(0.01)
    tell(Finished({}, {}))


class Looks(list[str]):
    """The steps of a point at which its view was to show how far it is."""

    def __init__(self, progress: Callable[[], str], shown: Path) -> None:
        self.progress, self.shown = progress, shown

    def wrote(self, stream: int, written: bytes) -> None:
        raise AssertionError(written)

    def tick(self) -> None:
        self.append(self.progress())
        if self.count(TIMING) == 2:
            self.shown.touch()


def test_a_point_that_is_timed_is_shown_all_the_same(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process, "server", lambda: server)
    monkeypatch.setattr(process, "TIMED_TICK_SECONDS", 0.0)
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        stack = config.parse(compose("config", ["timeout=60"]))
    found = process.make(
        tell_timing,
        Point(stack, (), tmp_path, tmp_path, ""),
        Logging({}, ()),
        on_step=lambda progress: None,
        beat=apart.do_nothing,
        far=lambda progress: [progress.step],
        opened=lambda told: contextlib.nullcontext(Looks(lambda: told()[0], tmp_path / "shown")),
        output=tmp_path / "output.txt",
    )
    assert found == Finished({}, {})


def test_a_server_that_ended_is_told(server: ForkServer) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    gone = ForkServer(ours)
    for _ in range(2):
        with pytest.raises(ChildProcessError, match="ended"):
            call(gone, talk, 1)


def tell_pid(tell: apart.Tell) -> None:
    tell(os.getpid())
    time.sleep(1000)


def test_it_dies_with_its_asker(tmp_path: Path) -> None:
    program = (
        "import os, socket, subprocess, sys, test_apart\n"
        "from dlas.processes import apart\n"
        "from dlas.processes.fork_server import ForkServer\n"
        "ours, theirs = socket.socketpair()\n"
        "command = [sys.executable, '-c', test_apart.PROGRAM, str(theirs.fileno())]\n"
        "subprocess.Popen(command, pass_fds=[theirs.fileno()])\n"
        "theirs.close()\n"
        "watch = apart.Watch(lambda pid: print(pid, flush=True), lambda *written: None, lambda: None)\n"
        "apart.call(ForkServer(ours), test_apart.tell_pid, (), watch, environment=dict(os.environ))\n"
    )
    asker = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env=environment({"PYTHONPATH": os.pathsep.join(sys.path)}),
    )
    assert asker.stdout is not None
    process = int(asker.stdout.readline())
    assert is_there(process)
    asker.kill()
    asker.wait()
    while is_there(process):
        time.sleep(0.01)


STEPS = (
    "import socket, sys; import test_apart; from dlas.processes.apart import serve_work; "
    "serve_work(socket.socket(fileno=int(sys.argv[1])), getattr(test_apart, sys.argv[2])())"
)
taken: list[str] = []


def steps() -> Iterator[str]:
    for name in ("one", "two", "three"):
        taken.append(name)
        yield name


def tell_taken(tell: apart.Tell) -> None:
    tell(list(taken))


@contextlib.contextmanager
def taking(steps: str, **variables: str) -> Iterator[ForkServer]:
    """A server that takes these steps when nothing is asked for."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", STEPS, str(theirs.fileno()), steps]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    variables |= {"PYTHONPATH": path}
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment(variables))
    theirs.close()
    yield ForkServer(ours)
    ours.close()
    assert process.wait() == 0


def test_a_server_forks_at_once_and_takes_its_own_steps_while_nothing_is_asked_for() -> None:
    seen: list[object] = []
    with taking("steps") as server:
        while ["one", "two", "three"] not in seen:
            seen += call(server, tell_taken)[1].told
            time.sleep(0.01 * len(seen))  # more than the server waits for another question, sooner or later
    assert seen[0] == []


PATIENCE = 20.0
"""Seconds after which a step that nobody ends does."""


def lasting() -> Iterator[str]:
    folder, until = Path(os.environ["FOLDER"]), time.monotonic() + PATIENCE
    (folder / "begun").touch()
    while not (folder / "over").exists():
        time.sleep(0.01)
        if time.monotonic() > until:
            (folder / "given up").touch()
            break
    yield "lasted"


def end_while_it_lasts(tell: apart.Tell, folder: Path) -> None:
    tell(os.getpid())
    while not (folder / "begun").exists():
        time.sleep(0.01)
    sys.exit(5)


def test_the_end_of_a_process_is_known_while_its_server_takes_a_step(tmp_path: Path) -> None:
    with taking("lasting", FOLDER=str(tmp_path)) as server:
        code, seen = call(server, end_while_it_lasts, tmp_path)
        assert (code, (tmp_path / "given up").exists()) == (5, False)
        (tmp_path / "over").touch()
        assert call(server, talk, 1)[0] == 0
        assert not Path(f"/proc/{seen.told[0]}").exists()  # it was waited for


def test_what_only_the_making_of_points_takes_is_imported_after_the_server_can_fork() -> None:
    program = (
        "import json, sys; from dlas.points import server\n"
        "late = ('matplotlib', 'sklearn', 'scipy.optimize', 'scipy.stats')\n"
        "def there(): return [name for name in late if name in sys.modules]\n"
        "server.prepare(); before = there(); steps = list(server.further())\n"
        "print(json.dumps([before, there() == list(late), steps == list(server.MAKING)]))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == [[], True, True]


def test_the_server_of_points_goes_on_with_no_import_once_its_asker_left() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dlas.points.server", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=environment({"PYTHONPATH": os.pathsep.join(sys.path)}),
        capture_output=True,
        text=True,
    )
    theirs.close()
    assert ended.returncode == 0
    assert "torch" not in ended.stderr
