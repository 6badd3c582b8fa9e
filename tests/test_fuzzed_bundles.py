"""A good bundle, mutated in every file: each time it is what it was, or one message tells what is wrong.

A forger seals anew, so values are mutated and sealed too. What is accepted then has to be within the bounds
of what is measured and declared: it is compared, reported and written again. The library itself is its
sender's code, and is not loaded here, nor is one that is made of a forged program or log.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import math
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import good_bundle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlas import bundle, redeployment
from dlas.bundle import Bundle, rebuild_worker
from dlas.crashes import crash
from dlas.errors import UserError
from dlas.hardware.results import measurement
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.targets import bundle_board, run_environment, target_file
from dlas.interfaces.targets.reach import Address
from dlas.interfaces.tuning import Record
from dlas.redeployment import Opened, Redeployed
from dlas.systems.program import program
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.common.search.log import require_records
from dlas.systems.tuners.kernel_parameters import tuning as parameters
from dlas.systems.tuners.metaschedule import tuner as metaschedule
from dlas.verdicts import point_as_text

SCHEMA1 = Path(__file__).parent / "fixtures" / "schema1"

DOCUMENTS = ("timing.json", "library/target.json", "reference/tolerance.json", "environment.json")
READ = (*DOCUMENTS, "reference/inputs.npy", "reference/outputs.npy")

Change = Callable[[st.DataObject, bytes], bytes]

EVERY_TIME = settings(
    max_examples=100,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

MAX_CPU_SECONDS, MAX_BYTES = 100, 8 << 30
"""Of a rebuild."""

TEXTS = st.text(max_size=20) | st.sampled_from(["\x1b[2J", "a\nb", "../..", "x" * 5000, "\ud800", "1", ""])
LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
) | st.integers(1, 400).map(lambda depth: json.loads("[" * depth + "]" * depth))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return good_bundle.make(tmp_path_factory.mktemp("good") / "bundle")


@pytest.fixture
def copy(good: Bundle, tmp_path: Path) -> Bundle:
    """One whose environment is that of environment.json: timings of earlier versions have none."""
    made = Bundle(Path(shutil.copytree(good.root, tmp_path / "bundle")))
    timing = json.loads(made.timing.read_text())
    made.timing.write_text(json.dumps(timing | {"environment": {}}))
    return bundle.seal(made.root, point="ab12", stages={})


@contextmanager
def written(file: Path, content: bytes) -> Iterator[None]:
    """`content` in the file, until the block ends."""
    original = file.read_bytes()
    file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(original)


def mutated(data: st.DataObject, content: bytes) -> bytes:
    """Some bytes replaced, put in, or gone."""
    start = data.draw(st.integers(0, max(len(content) - 1, 0)))
    gone = data.draw(st.sampled_from([0, 1, 8, len(content)]))
    return content[:start] + data.draw(st.binary(max_size=16)) + content[start + gone :]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within this one."""
    yield path
    inner: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, one in inner:
        yield from places(one, (*path, key))


def with_other_value(data: st.DataObject, content: bytes) -> bytes:
    """The JSON document with one of its values replaced, or without it."""
    return json.dumps(other_value(data, json.loads(content))).encode()


def other_value(data: st.DataObject, document: Any) -> Any:
    path = data.draw(st.sampled_from(list(places(document))))
    replacement = data.draw(VALUES)
    if not path:
        return replacement
    *way, last = path
    holder = document
    for key in way:
        holder = holder[key]
    if data.draw(st.booleans()):
        holder[last] = replacement
    else:
        del holder[last]
    return document


def opened(root: Path) -> Opened | None:
    """What the bundle says; None where one message tells what is wrong with it."""
    try:
        return redeployment.opened(bundle.verify(root))
    except UserError as error:
        assert_one_message(error)
        return None


def assert_one_message(error: UserError) -> None:
    lines = str(error).splitlines()
    assert 1 <= len(lines) <= 2
    assert all(line.isprintable() and len(line) < 2000 for line in lines)


def assert_usable(found: Opened, good: Bundle, scratch: Path) -> None:
    """Whatever follows from what was accepted can be computed, printed and written."""
    now = measurement.read(good.timing)
    differences = run_environment.differences(found.environment, now.environment)
    comparison = Comparison(found.timing, now)
    report = point_as_text.report(Redeployed(comparison, (), differences))
    assert report.replace("\n", "").isprintable()
    assert found.expected.rtol <= 1e-3
    assert found.made_for.linker is None
    measurement.write(found.timing, scratch / "timing.json")
    assert measurement.read(scratch / "timing.json") == found.timing
    target_file.write(found.made_for, scratch / "target.json")
    assert target_file.read(scratch / "target.json") == found.made_for
    if not found.made_for.reach.is_local:
        with pytest.raises(UserError, match="no address"):
            bundle_board.board(found.made_for, None, Address())


@EVERY_TIME
@given(st.data())
def test_a_file_that_changed_is_told(copy: Bundle, data: st.DataObject) -> None:
    names = sorted(path for path in copy.root.rglob("*") if path.is_file())
    file = data.draw(st.sampled_from(names))
    content = file.read_bytes()
    other = mutated(data, content)
    with written(file, other):
        assert (opened(copy.root) is not None) == (other == content)


@pytest.mark.parametrize(
    ("name", "changed"),
    [*((name, mutated) for name in READ), *((name, with_other_value) for name in DOCUMENTS)],
)
@EVERY_TIME
@given(st.data())
def test_a_file_that_changed_before_the_seal(
    name: str, changed: Change, copy: Bundle, good: Bundle, tmp_path: Path, data: st.DataObject
) -> None:
    file = copy.root / name
    with written(file, changed(data, file.read_bytes())):
        found = opened(bundle.seal(copy.root, point="ab12", stages={}).root)
        if found is not None:
            assert_usable(found, good, tmp_path)


@EVERY_TIME
@given(st.data())
def test_a_manifest_that_was_forged(copy: Bundle, data: st.DataObject) -> None:
    manifest = json.loads(copy.manifest.read_text())
    del manifest["sha256"]
    forged = other_value(data, manifest)
    if isinstance(forged, dict):
        digest = hashlib.sha256(json.dumps(forged, sort_keys=True).encode()).hexdigest()
        forged["sha256"] = digest
    with written(copy.manifest, (json.dumps(forged, indent=1) + "\n").encode()):
        opened(copy.root)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("model/layers.json", with_other_value),
        ("model/weights.safetensors", mutated),
        ("tuning/choices.json", with_other_value),
    ],
)
@settings(parent=EVERY_TIME, max_examples=10)
@given(st.data())
def test_a_program_that_changed_before_the_seal(
    name: str, changed: Change, copy: Bundle, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = copy.root / name
    with written(file, changed(data, file.read_bytes())):
        resealed = bundle.seal(copy.root, point="ab12", stages={})
        told = remade(resealed, tmp_path_factory.mktemp("rebuilt"))
    assert told.isprintable()
    assert len(told) < 2000


def remade(forged: Bundle, scratch: Path) -> str:
    """What is told where no library can be made of it; "" where one was; how it crashed where it did, which
    test_rebuild_process.py has the message of."""
    request = {
        "bundle": str(forged.root),
        "target": asdict(target_file.read(forged.target)),
        "destination": str(scratch / "rebuilt"),
        "batch_sizes": [],
        "trusted": [],
    }
    told = scratch / "answer.json"
    ended = in_a_fork(lambda: told.write_text(json.dumps(rebuild_worker.answer(request))))
    if ended < 0:
        return crash(ended)
    assert ended == 0, "an error that nobody expected"
    answer = json.loads(told.read_text())
    if "problem" in answer:
        return str(UserError(**answer))
    assert Path(answer["library"]).is_file()
    return ""


def in_a_fork(work: Callable[[], object]) -> int:
    """How a copy of this process ended that did the work: 0, or the negative number of a signal. It has TVM's
    import behind it, two seconds of a process that is started anew."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES, MAX_BYTES))
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        work()
        os._exit(0)
    finally:
        os._exit(1)


def with_other_references(data: st.DataObject, content: bytes) -> bytes:
    """A program in TVM's JSON, of which some nodes have others in them, of whatever types: TVM reads most."""
    whole = json.loads(content)
    nodes = whole["nodes"]
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(1, len(nodes) - 1))
        held = nodes[number].get("data")
        fields = held if isinstance(held, dict) else dict(enumerate(held)) if isinstance(held, list) else {}
        if names := [name for name, value in fields.items() if isinstance(value, int)]:
            held[data.draw(st.sampled_from(names))] = data.draw(st.integers(0, number - 1))
    return json.dumps(whole).encode()


def with_other_record(data: st.DataObject, content: bytes) -> bytes:
    """A log of which a line is another record, or none."""
    lines = content.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    return b"\n".join([*lines[:number], with_other_value(data, lines[number]), *lines[number + 1 :]])


def fastest(content: bytes, read: Callable[[str], Record]) -> bytes:
    """A log with only the fastest record of each kernel: what is replayed."""
    best: dict[str, tuple[float, str]] = {}
    for line in content.decode().splitlines():
        record = read(line)
        if record.seconds is not None:
            best[record.task] = min(best.get(record.task, (math.inf, "")), (record.seconds, line))
    return "\n".join(line for _, line in best.values()).encode()


FORGED = pytest.mark.parametrize(
    ("name", "file", "changed"),
    [
        ("ansor", "model/program.json", with_other_references),
        ("csr", "model/program.json", with_other_references),
        ("int8", "model/program.json", with_other_references),
        ("csr", "model/weights.safetensors", mutated),
        ("int8", "model/weights.safetensors", mutated),
        ("csr", "tuning/parameters.json", with_other_record),
        ("ansor", "tuning/log.json", with_other_record),
        ("metaschedule", "tuning/log.json", with_other_record),
    ],
)


def assert_remade_or_refused(
    name: str, file: str, changed: Change, folders: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """An old bundle, built anew with one of its files changed; where that is a log, by its schedules."""
    folder = folders.mktemp("forged")
    forged = Bundle(Path(shutil.copytree(SCHEMA1 / name, folder / "bundle")))
    path, choices = forged.root / file, forged.tuning / "choices.json"
    content, chosen = path.read_bytes(), json.loads(choices.read_text())
    if file == "tuning/log.json":
        content = fastest(content, ansor.read if name == "ansor" else metaschedule.read)
    elif file == "tuning/parameters.json":
        chosen["kernels"] = [one | {"tuned": True} for one in chosen["kernels"]]
    else:
        chosen["kernels"] = [one | {"tuned": False} for one in chosen["kernels"]]
    choices.write_text(json.dumps(chosen))
    path.write_bytes(changed(data, content))
    told = remade(forged, folder)
    assert len(told.splitlines()) <= 2, told
    assert told.replace("\n", "").isprintable()
    assert len(told) < 2000
    shutil.rmtree(folder)


@pytest.mark.slow
@FORGED
@settings(parent=EVERY_TIME, max_examples=2)
@given(st.data())
def test_an_old_bundle_that_was_forged_is_built_anew_or_refused(
    name: str, file: str, changed: Change, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    assert_remade_or_refused(name, file, changed, tmp_path_factory, data)


@pytest.mark.exhaustive
@FORGED
@settings(parent=EVERY_TIME, max_examples=150)
@given(st.data())
def test_an_old_bundle_that_was_forged_in_many_ways_is_built_anew_or_refused(
    name: str, file: str, changed: Change, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    assert_remade_or_refused(name, file, changed, tmp_path_factory, data)


@pytest.mark.parametrize("changed", [mutated, with_other_value])
@EVERY_TIME
@given(st.data())
def test_a_program_in_tvm_s_json_that_changed_is_read_or_refused(
    changed: Change, copy: Bundle, data: st.DataObject
) -> None:
    """What is read is another program, which is compiled as it is."""
    file = copy.model / "program.json"
    with written(file, changed(data, file.read_bytes())):
        try:
            program.load_from_bundle(copy.model, copy.model)
        except UserError as error:
            assert_one_message(error)


@pytest.mark.parametrize("changed", [mutated, with_other_value])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("csr/tuning/parameters.json", parameters.read),
        ("ansor/tuning/log.json", ansor.read),
        ("metaschedule/tuning/log.json", metaschedule.read),
    ],
)
@EVERY_TIME
@given(st.data())
def test_a_tuning_log_of_which_a_line_changed_is_read_or_refused(
    name: str, read: Callable[[str], Record], changed: Change, tmp_path: Path, data: st.DataObject
) -> None:
    lines = (SCHEMA1 / name).read_bytes().splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = changed(data, lines[number])
    log = tmp_path / "log.json"
    log.write_bytes(b"".join(lines))
    try:
        require_records(log, "this tuner", read)
    except UserError as error:
        assert_one_message(error)
