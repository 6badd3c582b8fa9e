"""Bundles that somebody made to do harm, sealed as good ones are: each is told in one message, and nothing
that they name is run, imported, connected to or waited for. What is run leaves a file behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import good_bundle
import numpy as np
import pytest

from dlas import board_check, bundle, config, redeploy
from dlas.bundle import Bundle
from dlas.errors import UserError
from dlas.redeploy import Options

MEMORY = ("base_bytes", "runtime_bytes", "loaded_bytes", "first_run_bytes", "process_peak_bytes")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return good_bundle.make(tmp_path_factory.mktemp("good") / "bundle")


@pytest.fixture
def copy(good: Bundle, tmp_path: Path) -> Bundle:
    return Bundle(Path(shutil.copytree(good.root, tmp_path / "bundle")))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "it-was-run"


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def edit_older(target: Path, **changes: Any) -> None:
    """As version 1 told of the same target, with these changes."""
    told = json.loads(target.read_text())
    placement = {name: value for name, value in told["placement"].items() if name != "threads"}
    older = {"name": told["name"], "reach": told["reach"], **told["code"], **placement}
    target.write_text(json.dumps(older | changes))


def sealed(hostile: Bundle) -> Bundle:
    return bundle.seal(hostile.root, point="ab12", stages={})


def refusal(hostile: Bundle, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is told of a bundle that is not redeployed: one message, of characters that print."""
    capsys.readouterr()
    options = config.options(Options, [f"bundle={hostile.root}", *arguments])
    (result,) = redeploy.redeploy(options, options.request(None)).points
    told = capsys.readouterr()
    assert result.outcome is None, told.out
    assert "Traceback" not in told.err
    assert 1 <= len(told.err.splitlines()) <= 2, told.err
    assert (told.out + told.err).replace("\n", "").isprintable()
    return told.err


def deployed(hostile: Bundle, *arguments: str, cwd: Path, searched: str) -> str:
    """What is told of a bundle that is redeployed, by a command started in `cwd`."""
    ended = subprocess.run(
        [sys.executable, "-m", "dlas.redeploy", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": searched},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode in (0, 3, 4), ended.stderr
    assert "2 outputs match the reference" in ended.stdout
    return ended.stdout


def test_modules_in_the_bundle_are_not_imported(copy: Bundle, marker: Path) -> None:
    for module in ("numpy", "json", "logging", "psutil", "tvm", "omegaconf", "scipy"):
        (copy.root / f"{module}.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    told = deployed(sealed(copy), "bundle=.", cwd=copy.root, searched=str(REPOSITORY))
    assert "every file is as it was sealed" in told
    assert not marker.exists()


def test_a_linker_in_the_bundle_is_not_run_nor_a_module_that_was_asked_for(
    copy: Bundle, marker: Path
) -> None:
    edit_older(copy.target, linker=f"touch {marker}")
    strange = leaving(marker)
    layers = json.loads((copy.model / "layers.json").read_text())["layers"]
    edit(copy.model / "layers.json", layers=[layer | {"requested": "strange"} for layer in layers])
    searched = os.pathsep.join((str(REPOSITORY), str(strange)))
    told = deployed(sealed(copy), f"bundle={copy.root}", "rebuild=true", cwd=marker.parent, searched=searched)
    assert "no kernel was tuned" in told
    assert not marker.exists()


@pytest.mark.parametrize("named", ["algorithm", "tuner"])
@pytest.mark.parametrize("module", ["strange", "dlas.algorithms.strange", "dlas.algorithms..strange"])
def test_a_module_that_the_bundle_names_is_not_imported(
    named: str,
    module: str,
    copy: Bundle,
    marker: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(leaving(marker))
    layers = json.loads((copy.model / "layers.json").read_text())["layers"]
    if named == "algorithm":
        edit(copy.model / "layers.json", layers=[layer | {"algorithm": module} for layer in layers])
    else:
        tuner = module.replace("algorithms", "systems.tuners")
        kernel = f"{layers[0]['algorithm'].rpartition('.')[2]}_{layers[0]['workload']}"
        kernels = [{"kernel": kernel, "tuned": True, "reason": ""}]
        edit(copy.tuning / "choices.json", tuner=tuner, kernels=kernels)
    refusal(sealed(copy), capsys, "rebuild=true")
    assert not marker.exists()


def leaving(marker: Path) -> Path:
    """A folder with a module `strange` that makes the marker when it is imported."""
    folder = marker.parent / "modules"
    folder.mkdir()
    (folder / "strange.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    return folder


@pytest.mark.parametrize("reach", ["rpc", "tracker"])
@pytest.mark.parametrize("rebuild", ["rebuild=false", "rebuild=true"])
def test_an_address_in_the_bundle_is_not_contacted(
    reach: str, rebuild: str, copy: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        rpc = {"host": "127.0.0.1", "port": listening.getsockname()[1], "key": "bench"}
        edit_older(copy.target, reach=reach, rpc=rpc)
        said = refusal(sealed(copy), capsys, rebuild)
        options = config.options(board_check.Options, [f"bundle={copy.root}"])
        with pytest.raises(UserError, match="target=<name>"):
            board_check.check(options, None, config.declared_timing("thorough"))
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert "target=<name>" in said
    assert "rpc.host=" in said


def header_of_18_terabytes(hostile: Bundle) -> None:
    np.save(hostile.reference / "inputs.npy", np.zeros((1, 3, 8, 8), np.float32))
    content = (hostile.reference / "inputs.npy").read_bytes()
    (hostile.reference / "inputs.npy").write_bytes(
        content.replace(b"(1, 3, 8, 8)", b"(9999999, 3, 9999, 16)", 1)
    )


def header_that_is_code(hostile: Bundle) -> None:
    content = (hostile.reference / "outputs.npy").read_bytes()
    code = b"__import__('os').system('true')"
    (hostile.reference / "outputs.npy").write_bytes(content[:10] + code.ljust(len(content) - 10))


def pickled(hostile: Bundle) -> None:
    np.save(hostile.reference / "inputs.npy", np.array([object()]), allow_pickle=True)


def endless_numbers(hostile: Bundle) -> None:
    np.save(hostile.reference / "outputs.npy", np.full((2, 10), np.inf, np.float32))


def tolerance(**changes: object) -> Callable[[Bundle], None]:
    return lambda hostile: edit(hostile.reference / "tolerance.json", **changes)


def described(part: str = "", **changes: object) -> Callable[[Bundle], None]:
    """Of the target as a whole, or of one of its parts."""

    def change(hostile: Bundle) -> None:
        told = json.loads(hostile.target.read_text())
        edit(hostile.target, **({part: told[part] | changes} if part else changes))

    return change


def timed(**changes: object) -> Callable[[Bundle], None]:
    return lambda hostile: edit(hostile.timing, **changes)


def session(**changes: object) -> Callable[[Bundle], None]:
    def change(hostile: Bundle) -> None:
        sessions = json.loads(hostile.timing.read_text())["sessions"]
        edit(hostile.timing, sessions=[one | changes for one in sessions])

    return change


def written(name: str, text: str) -> Callable[[Bundle], None]:
    def write(hostile: Bundle) -> None:
        (hostile.root / name).write_text(text)

    return write


def without(name: str) -> Callable[[Bundle], None]:
    return lambda hostile: (hostile.root / name).unlink()


INFINITE = '{"schema": 2, "bits": 32, "rtol": Infinity, "atol": 0.001}'

RED = "\x1b[31mred\x1b[0m\nbundle: all is well"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (written("reference/tolerance.json", INFINITE), "Infinity is no finite number"),
        (written("reference/tolerance.json", '{"rtol": 1e999, "atol": 0.001}'), "1e999 is no finite number"),
        (tolerance(atol=0.1), "larger than that of networks in 32 bits"),
        (tolerance(bits=8, atol=1e6), "larger than that of networks in 8 bits"),
        (tolerance(bits=1), "1 bits"),
        (tolerance(rtol=-1), "tolerance"),
        (header_of_18_terabytes, "its header says"),
        (header_that_is_code, "can't be read as an array"),
        (pickled, "no numbers"),
        (endless_numbers, "not finite"),
        (without("reference/inputs.npy"), "inputs.npy: is missing"),
        (described("code", cores=0), "cores"),
        (described("code", cores=1 << 40), "cores"),
        (described("code", cores="two"), "cores: "),
        (described("code", cores=True), "cores: "),
        (described("placement", threads=0), "threads"),
        (described("placement", affinity=[0, 0]), "affinity"),
        (described("placement", affinity=[1 << 30]), "cores"),
        (described("code", vector_bytes=1 << 20), "vector registers"),
        (described("code", l2_bytes=0), "target.l2_bytes"),
        (described(name="../../.."), "its name"),
        (described(name=RED), r"\x1b[31mred\x1b[0m\nbundle"),
        (described("code", cpu="generic -mattr=+x"), "its cpu"),
        (described("code", triple="x86_64; touch me"), "its triple"),
        (described("code", kind="abacus"), "target.kind"),
        (described(reach="pigeon"), "its reach"),
        (described(linker="touch me"), "it has linker"),
        (described("code", linker="touch me"), "it has code.linker"),
        (described(schema=99), "version 99"),
        (timed(runs=10**9), "runs"),
        (timed(runs=4), "not 4"),
        (timed(runs=-1), "runs"),
        (timed(sessions=[]), "sessions"),
        (timed(larger={"1000000000": []}), "batches of 1000000000"),
        (timed(larger={"many": []}), "larger"),
        (timed(threads=0), "threads"),
        (timed(environment={"cpu": {"deep": {"deeper": 1}}}), "environment"),
        (session(samples_ns=[0, 1, 2]), "took 0 to"),
        (session(samples_ns=[10**18, 1, 2]), "took 1 to"),
        (session(samples_ns=[1, 2]), "2 samples"),
        (session(samples_ns="123"), "samples_ns"),
        (session(first_ns=-5), "took -5"),
        (session(joules={"meter": -1}), "energy"),
        (session(before=None), "before"),
        (session(footprint={"runtime_ns": -1, "load_ns": 1, "memory": None}), "to start"),
        (
            session(footprint={"runtime_ns": 1, "load_ns": 1, "memory": dict.fromkeys(MEMORY, 1 << 60)}),
            "memory",
        ),
        (session(footprint={"runtime_ns": 1}), "load_ns"),
        (written("timing.json", "[" * 100_000 + "]" * 100_000), "nested too deeply"),
        (written("library/target.json", '{"a":' * 100_000 + "1" + "}" * 100_000), "nested too deeply"),
        (lambda hostile: hostile.timing.write_bytes(b"\xff"), "UTF-8"),
        (written("timing.json", '"text"'), "no JSON object"),
    ],
)
def test_a_value_out_of_bounds_is_refused(
    spoil: Callable[[Bundle], None], said: str, copy: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(copy)
    assert said in refusal(sealed(copy), capsys)


def pipe(hostile: Bundle) -> None:
    hostile.manifest.unlink()
    os.mkfifo(hostile.manifest)


def linked(hostile: Bundle) -> None:
    hostile.manifest.rename(hostile.root.parent / "elsewhere.json")
    hostile.manifest.symlink_to(hostile.root.parent / "elsewhere.json")


def large_manifest(hostile: Bundle) -> None:
    os.truncate(hostile.manifest, 300 << 30)


def large_file(hostile: Bundle) -> None:
    os.truncate(hostile.library, 300 << 30)


def grown(hostile: Bundle) -> None:
    os.truncate(hostile.library, 1 << 30)


def large_and_listed(hostile: Bundle) -> None:
    os.truncate(hostile.library, 300 << 30)
    manifest = json.loads(hostile.manifest.read_text())
    manifest["files"]["library/model.so"]["bytes"] = 300 << 30
    reseal(hostile, manifest)


def files_of_another_type(hostile: Bundle) -> None:
    reseal(hostile, json.loads(hostile.manifest.read_text()) | {"files": {"timing.json": 5}})


def name_in_red(hostile: Bundle) -> None:
    (hostile.root / "a\x1b[31m\nbundle: all is well").write_text("")


def missing_in_red(hostile: Bundle) -> None:
    manifest = json.loads(hostile.manifest.read_text())
    manifest["files"][RED] = manifest["files"]["timing.json"]
    reseal(hostile, manifest)


def reseal(hostile: Bundle, manifest: dict[str, Any]) -> None:
    """As a forger does who knows how it is made."""
    manifest.pop("sha256")
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    hostile.manifest.write_text(json.dumps({**manifest, "sha256": digest}, indent=1) + "\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (pipe, "is a pipe"),
        (linked, "is a link"),
        (large_manifest, "too large"),
        (large_file, "are the most"),
        (large_and_listed, "are the most"),
        (grown, "model.so is not as it was sealed: it has 1073741824 bytes, not"),
        (files_of_another_type, "files.timing.json"),
        (name_in_red, r"a\x1b[31m\nbundle: all is well is not part"),
        (missing_in_red, r"\x1b[31mred\x1b[0m\nbundle: all is well is missing"),
    ],
)
def test_a_folder_that_is_made_to_hang_or_lie_is_refused(
    spoil: Callable[[Bundle], None], said: str, copy: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(copy)
    assert said in refusal(copy, capsys)


def test_text_of_the_bundle_is_printed_on_its_own_line_and_without_escape_codes(
    copy: Bundle, tmp_path: Path
) -> None:
    timing = json.loads(copy.timing.read_text())
    for one in timing["sessions"]:
        one["before"]["governor"] = RED
        one["joules"] = {RED: 1.0}
    timing["environment"] |= {"kernel": RED, RED: "more"}
    copy.timing.write_text(json.dumps(timing))
    told = deployed(sealed(copy), f"bundle={copy.root}", cwd=tmp_path, searched=str(REPOSITORY))
    assert told.replace("\n", "").isprintable()
    assert r"differs    kernel: \x1b[31mred\x1b[0m\nbundle: all is well then" in told
    assert not [line for line in told.splitlines() if line.startswith("bundle:")]


def chained(count: int) -> list[dict[str, Any]]:
    """Nodes of a saved program, each within the next."""
    return [{"type": "None"}, *({"type": "ffi.Array", "data": [inner]} for inner in range(count))]


def by_fields(count: int) -> list[dict[str, Any]]:
    types = ({"type": "ir.PointerType", "data": {"element_type": at, "span": 0}} for at in range(count))
    return [{"type": "None"}, *types]


def within_itself(count: int) -> list[dict[str, Any]]:
    return [{"type": "ffi.Array", "data": [(at + 1) % count]} for at in range(count)]


def within_itself_by_truth(count: int) -> list[dict[str, Any]]:
    """TVM takes false and true for the numbers 0 and 1."""
    return [{"type": "ffi.Array", "data": [at != 1]} for at in range(count)]


@pytest.mark.parametrize("nodes", [chained, by_fields, within_itself, within_itself_by_truth])
def test_a_program_whose_parts_are_within_each_other_without_end_is_not_handed_to_tvm(
    nodes: Callable[[int], list[dict[str, Any]]], copy: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    made = nodes(100_000)
    (copy.model / "program.json").write_text(json.dumps({"root_index": len(made) - 1, "nodes": made}))
    assert "is no program in TVM's JSON" in refusal(sealed(copy), capsys, "rebuild=true")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model/program.json", b"{}"),
        ("model/program.json", b'{"root_index": 0, "nodes": [{"type": "int", "data": 1}]}'),
        ("model/program.json", b'{"root_index": 0, "nodes": [{"data": 1}]}'),
        ("model/program.json", b"\xff\x00"),
        ("model/weights.safetensors", b"\xff" * 64),
        ("model/weights.safetensors", b"\x02" + bytes(7) + b"{}"),
        ("model/layers.json", b"[]"),
        ("model/layers.json", b'{"layers": [{"name": "\\u001b[31m"}], "parameters": []}'),
        ("tuning/choices.json", b"{}"),
        ("tuning/choices.json", b'{"tuner": 5, "opt_level": "x", "kernels": [{}]}'),
    ],
)
def test_a_program_that_is_none_is_not_rebuilt(
    name: str, content: bytes, copy: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy.root / name).write_bytes(content)
    refusal(sealed(copy), capsys, "rebuild=true")
