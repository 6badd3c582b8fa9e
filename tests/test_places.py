"""Folders, homes, users, disks and pipes that are not as one wishes: each is told, or does no harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import REPOSITORY, command, dlas, environment
from omegaconf import OmegaConf
from open_points import start_point

from dlas import command_line, config, crashes, tracking
from dlas.config.merging import merged
from dlas.errors import UserError
from dlas.files import temporary
from dlas.processes import stopping
from dlas.tracking import remote

TOLD = """
from pathlib import Path
from dlas.errors import UserError
from dlas.files import folders, temporary
try:
    {work}
except UserError as error:
    print(error)
"""


def told(work: str, *before: str, env: dict[str, str] | None = None) -> str:
    """What a process of its own prints that does the work; `before` is the command that starts it."""
    ended = subprocess.run(
        [*before, sys.executable, "-c", TOLD.format(work=work)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment({"PYTHONPATH": str(REPOSITORY), **(env or {})}),
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def on_a_disk(options: str, folder: Path) -> list[str]:
    """What starts a command with a disk of its own at the folder."""
    started = ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o {options} none {folder} && exec "$@"', "sh"]
    if subprocess.run([*started, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a disk")
    return started


@pytest.mark.parametrize(
    ("options", "work", "said"),
    [
        ("ro", "temporary.require_room()", "TMPDIR: {} cannot be written: Read-only file system"),
        ("size=64k", "temporary.require_room()", "TMPDIR: {} cannot be written: No space left on device"),
        ("noexec", "temporary.require_temporary_libraries()", "TMPDIR: {} is no place for libraries"),
        ("ro", "folders.require_writable(Path('{}'))", "artifacts: {} cannot be written: Read-only"),
        ("size=64k", "folders.require_writable(Path('{}'))", "artifacts: {} cannot be written: No space"),
        (
            "noexec",
            "temporary.require_libraries(Path('{}/stages'), 'artifacts', folders.REMEDY)",
            "artifacts: {}/stages is no place for libraries",
        ),
    ],
)
def test_a_disk_that_will_not_do_is_named_before_any_work(
    options: str, work: str, said: str, tmp_path: Path
) -> None:
    message = told(work.format(tmp_path), *on_a_disk(options, tmp_path), env={"TMPDIR": str(tmp_path)})
    assert message.startswith(said.format(tmp_path))
    assert message.splitlines()[1].strip().startswith("another folder: ")


def test_a_full_disk_of_temporary_files_is_not_taken_for_that_of_the_artifacts(tmp_path: Path) -> None:
    write = f"Path('{tmp_path}/file').write_bytes(bytes(1 << 20))"
    work = f"with folders.disk_troubles(Path('/')): {write}"
    message = told(work, *on_a_disk("size=64k", tmp_path), env={"TMPDIR": str(tmp_path)})
    assert message.startswith(f"TMPDIR: the disk of temporary files, {tmp_path}, is full")


def test_a_folder_for_temporary_files_that_is_not_there_is_not_replaced_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary.require_room()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere cannot be written: No such file") as caught:
        temporary.require_room()
    assert caught.value.key == "TMPDIR"


def test_redeploying_asks_for_room_before_it_fetches(tmp_path: Path) -> None:
    ended = dlas("redeploy", f"bundle={tmp_path}", env={"TMPDIR": str(tmp_path / "nowhere")})
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"TMPDIR: {tmp_path}/nowhere cannot be written: No such file")


def test_a_bundle_that_is_too_large_for_the_disk_of_temporary_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    kept, large, disk = (tmp_path / name for name in ("kept", "large", "disk"))
    large.mkdir()
    disk.mkdir()
    (large / "library").write_bytes(bytes(1 << 22))
    run = start_point(tracking.open_store(kept), "a", {})
    run.log_files(large, "bundle")
    work = (
        "from dlas.tracking.delivery import Kept, Place; "
        f"place = Place(Path('{kept}'), None, 'dlas'); "
        f"Kept(place, place.open()).bundle('{run.run_id}', Path('{disk}/fetched'))"
    )
    message = told(work, *on_a_disk("size=2m", disk), env={"TMPDIR": str(disk)})
    assert message.startswith(f"TMPDIR: the disk of temporary files, {disk}, is full")


def test_a_home_that_nobody_has_is_told() -> None:
    given = OmegaConf.create({"uri": "~no-user-of-this-name/mlflow"})
    with pytest.raises(UserError, match="by ~no-user-of-this-name") as caught:
        merged(OmegaConf.structured(config.Tracking), given)
    assert caught.value.key == "uri"


def test_runs_are_kept_for_a_user_without_a_name_or_a_home(tmp_path: Path) -> None:
    started = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
    if subprocess.run([*started, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us be another user")
    nameless = ("env", *(f"-u{name}" for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME")))
    work = (
        "from dlas import tracking, user; from dlas.tracking.store import create; "
        "user.stand_in(); import tvm; "
        f"store = tracking.open_store(Path('{tmp_path}')); run = create(store, 'a', dict()); "
        "print(tracking.fetch(store, run.run_id).tags['mlflow.user'])"
    )
    assert told(work, *started, *nameless) == "54321\n"


def test_a_path_that_sqlite_would_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match=r"what follows a \? is no part") as caught:
        tracking.open_store(tmp_path, f"sqlite:///{tmp_path}/what?/mlflow.db")
    assert caught.value.key == "tracking.uri"


def test_a_path_with_odd_letters_holds_runs_and_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    odd = tmp_path / "ä ß (1) #%41?"
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "é").write_text("b")
    opened = tracking.open_store(odd)
    run = start_point(opened, "a", {})
    run.log_files(tmp_path / "bundle", "bundle")
    fetched = tracking.fetch_bundle(opened, run.run_id, tmp_path / "fetched")
    assert (fetched / "é").read_text() == "b"
    assert {path.name for path in odd.iterdir()} >= {"mlflow.db", "mlruns"}


def test_a_path_with_odd_letters_takes_utf_8() -> None:
    message = told(
        r"from dlas import tracking; import os; tracking.store_uri(Path(os.fsdecode(b'/\xc3\xa4')), None)",
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert message.startswith("tracking.uri: sqlite:////")
    assert "LC_ALL=C.UTF-8" in message


@pytest.mark.parametrize("name", ["run", "tune"])
def test_help_for_a_reader_who_leaves_is_quiet(name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        command(name, "--help"),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=environment(),
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_work_goes_on_without_a_reader_and_what_an_encoding_lacks_is_spelled() -> None:
    reading, writing = os.pipe()
    program = (
        "import sys\n"
        "from dlas.output import forgiving_output\n"
        "with forgiving_output():\n"
        "    print('é', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    for _ in range(3): print('x' * 100000, flush=True)\n"
        "print('done', file=sys.stderr)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=environment({"PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "ascii"}),
    )
    os.close(writing)
    assert os.read(reading, 100) == b"\\xe9\n"
    os.close(reading)
    assert process.communicate("\n")[1] == "done\n"
    assert process.returncode == 0


def test_a_store_that_fails_on_the_way_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tracking.open_store(tmp_path)

    def work() -> None:
        (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
        tracking.points(store, "ffff")

    assert command_line.run("", [], lambda given: work) == 1
    assert capsys.readouterr().err.startswith("tracking.uri: the store of runs failed: ")


def test_a_command_hears_signals_until_it_ends_and_is_stopped_by_none_that_is_ignored() -> None:
    def heard() -> list[object]:
        return [signal.getsignal(number) for number in stopping.SIGNALS]

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        handlers, within = heard(), list[object]()
        assert command_line.run("", [], lambda given: lambda: within.extend(heard())) == 0
        assert heard() == handlers
    finally:
        signal.signal(signal.SIGHUP, before)
    assert [one is other for one, other in zip(within, handlers, strict=True)] == [False, False, True]


def test_a_command_that_is_stopped_while_it_reads_its_arguments_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def parse(given: list[str]) -> command_line.Work:
        raise KeyboardInterrupt

    assert command_line.run("", [], parse) == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize(
    ("number", "said"), [(11, "SIGSEGV): it read or wrote memory"), (40, "signal 40): it was stopped")]
)
def test_the_end_by_any_signal_is_told(number: int, said: str) -> None:
    assert said in crashes.crash(-number)


def test_an_address_is_shown_without_its_password() -> None:
    assert remote.shown("https://me:secret@host:5000/a@b") == "https://host:5000/a@b"
    assert remote.shown("postgresql://me:s@cret@host/runs") == "postgresql://host/runs"
    assert remote.shown("sqlite:////a@b/mlflow.db") == "sqlite:////a@b/mlflow.db"
    assert remote.shown("sqlite:////home/a@b/mlflow.db") == "sqlite:////home/a@b/mlflow.db"
