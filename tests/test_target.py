"""What a declared target means, and which machines a library fits."""

import json
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_library

from dlas import config
from dlas.errors import UserError
from dlas.hardware.targets import caches, fitting, instruction_sets, llvm, machine, resolving, target_file
from dlas.hardware.targets.machine import Machine
from dlas.interfaces.targets.code_target import MAX_LANES, CodeTarget
from dlas.interfaces.targets.placement import Placement
from dlas.interfaces.targets.reach import Reach
from dlas.interfaces.targets.target import Target
from dlas.systems.compilers.tvm import linking

RASPBERRY_PI_4 = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\n"
X86_64_V3 = "avx2 fma f16c bmi1 bmi2 abm movbe avx popcnt sse4_1 sse4_2 ssse3 pni sse2 cx16"


DECLARED = sorted((config.config_folder() / "target").glob("*.yaml"))
ELF_MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243}
RISCV_DOUBLE_FLOAT_ABI = 0x4
"""Of e_flags, bits 1 and 2: the RISC-V ELF psABI."""


def elf_machine(library: Path) -> int:
    """The field e_machine of its header, as the ELF specification places it."""
    header = library.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    return int.from_bytes(header[18:20], "little")


def resolve(**declared: object) -> Target:
    return resolving.resolve(config.Target(**{"name": "declared", **declared}))


def test_host_is_what_numpy_finds_too() -> None:
    host = resolve()
    found = np._core._multiarray_umath.__cpu_features__
    widest = {"x86_64": [("AVX512F", 64), ("AVX", 32), ("SSE2", 16)], "aarch64": [("NEON", 16)]}
    expected = next(width for feature, width in widest[platform.machine()] if found[feature])
    assert host.code.vector_bytes == expected
    assert host.code.cores == host.placement.threads == machine.usable_cores()
    assert fitting.misfits(host.code, machine.this_machine()) == ()


@pytest.mark.parametrize(
    ("triple", "cpu", "vector_bytes", "vector_registers"),
    [
        ("x86_64-linux-gnu", "skylake-avx512", 64, 32),
        ("x86_64-linux-gnu", "haswell", 32, 16),
        ("x86_64-linux-gnu", "core2", 16, 16),
        ("aarch64-linux-gnu", "cortex-a72", 16, 32),
        ("aarch64-linux-gnu", "neoverse-v1", 16, 32),
        ("riscv64-linux-gnu", "spacemit-x60", 16, 32),
        ("riscv64-linux-gnu", "sifive-u74", 8, 32),
    ],
)
def test_vector_registers_are_those_of_the_named_cpu(
    triple: str, cpu: str, vector_bytes: int, vector_registers: int
) -> None:
    resolved = resolve(triple=triple, cpu=cpu, cores=2).code
    assert (resolved.vector_bytes, resolved.vector_registers) == (vector_bytes, vector_registers)
    assert resolved.lanes == vector_bytes // 4 <= MAX_LANES
    made = llvm.tvm_target(resolved)
    assert (made.attrs["mtriple"], made.attrs["mcpu"], made.attrs["num-cores"]) == (triple, cpu, 2)


@pytest.mark.parametrize(
    ("declared", "key", "said"),
    [
        ({"cpu": "znver33"}, "target.cpu", "znver3"),
        ({"triple": "aarch64-linux-gnu", "cpu": "znver3", "cores": 2}, "target.cpu", "znver3"),
        ({"triple": "aarch64-linux-gnu", "cores": 4}, "target.cpu", "aarch64-linux-gnu"),
        ({"triple": "aarch64-linux-gnu", "cpu": "cortex-a72"}, "target.cores", "aarch64-linux-gnu"),
        ({"triple": "vax-linux-gnu", "cpu": "generic", "cores": 1}, "target.triple", "vax"),
        ({"cores": 4096}, "target.cores", "4096"),
        ({"features": ["+abacus"]}, "target.features", "+abacus"),
    ],
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the declared targets are foreign to x86-64")
def test_what_llvm_or_the_machine_cannot_answer_is_refused(declared: dict, key: str, said: str) -> None:
    with pytest.raises(UserError) as refusal:
        resolve(**declared)
    assert refusal.value.key == key
    assert said in str(refusal.value)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 flags")
def test_what_a_hypervisor_hides_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags : fpu {X86_64_V3} hypervisor\n")
    monkeypatch.setattr(instruction_sets, "CPUINFO", cpuinfo)
    assert resolve().code.vector_bytes <= 32
    assert not [name for name in resolve().code.instruction_sets if name.startswith("avx512")]


def test_a_library_fits_where_its_instructions_are() -> None:
    haswell = resolve(triple="x86_64-linux-gnu", cpu="haswell", cores=2).code
    skylake = resolve(triple="x86_64-linux-gnu", cpu="skylake-avx512", cores=2).code
    old = Machine("x86_64", "linux", haswell.instruction_sets)
    new = Machine("x86_64", "linux", skylake.instruction_sets)
    assert fitting.misfits(haswell, new) == ()
    (reason,) = fitting.misfits(skylake, old)
    assert "skylake-avx512" in reason
    assert "avx512f" in reason
    assert "avx2" not in reason.split()
    (reason,) = fitting.misfits(skylake, Machine("x86_64", "macos", skylake.instruction_sets))
    assert "linux" in reason
    assert "macos" in reason


def test_a_raspberry_pi_4_runs_a_cortex_a72_library_and_no_cortex_a76_one() -> None:
    """The Pi's A72 has no cryptography extension, and needs none for this."""
    pi = Machine("aarch64", "linux", instruction_sets.from_cpuinfo(RASPBERRY_PI_4, "aarch64"))
    assert fitting.misfits(resolve(triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4).code, pi) == ()
    (reason,) = fitting.misfits(resolve(triple="aarch64-linux-gnu", cpu="cortex-a76", cores=4).code, pi)
    assert "dotprod" in reason
    assert "fullfp16" in reason
    (reason,) = fitting.misfits(resolve(triple="x86_64-linux-gnu", cpu="haswell", cores=4).code, pi)
    assert "x86_64" in reason
    assert "aarch64" in reason


def test_features_are_added_and_taken_away() -> None:
    a76 = {"triple": "aarch64-linux-gnu", "cpu": "cortex-a76", "cores": 2}
    plain, other = resolve(**a76).code, resolve(**a76, features=["+i8mm", "-fullfp16"]).code
    assert {*other.instruction_sets} - {*plain.instruction_sets} == {"i8mm"}
    assert {*plain.instruction_sets} - {*other.instruction_sets} == {"fullfp16"}
    assert list(llvm.tvm_target(other).attrs["mattr"]) == ["+i8mm", "-fullfp16"]


def test_a_riscv_board_passes_doubles_in_registers_and_runs_what_its_isa_line_tells(tmp_path: Path) -> None:
    made = resolving.resolve(config.declared_target("riscv64")).code
    library = tmp_path / "matmul.so"
    linking.export(tiny_library.compiled_matmul(llvm.tvm_target(made)), made, None, library)
    flags = int.from_bytes(library.read_bytes()[48:52], "little")
    assert flags & 0x6 == RISCV_DOUBLE_FLOAT_ABI
    for isa, fits in (("rv64imafdc_zicsr_zifencei", True), ("rv64gc", True), ("rv64imac_zba", False)):
        told = instruction_sets.from_cpuinfo(f"processor : 0\nisa : {isa}\nmmu : sv39\n", "riscv64")
        assert (fitting.misfits(made, Machine("riscv64", "linux", told)) == ()) == fits
    vectors = resolve(triple=made.triple, cpu=made.cpu, cores=4, features=[*made.features, "+v"]).code
    (reason,) = fitting.misfits(vectors, Machine("riscv64", "linux", made.instruction_sets))
    assert reason.endswith("lacks v")


def test_one_hardware_thread_of_each_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        topology = tmp_path / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{siblings}\n")
    monkeypatch.setattr(machine, "CPU_FOLDERS", tmp_path)
    assert machine.first_threads([0, 1, 2, 3]) == (0, 1)
    assert machine.first_threads([1, 2, 3]) == (1, 2)
    assert machine.first_threads([7, 9]) == (7, 9)
    assert resolve(affinity=[0, 2], smt=False).placement.threads == 1


def test_cores_that_this_machine_lacks_are_refused() -> None:
    with pytest.raises(UserError) as refusal:
        resolve(affinity=[0, 4094, 4095])
    assert (refusal.value.key, refusal.value.problem) == (
        "target.affinity",
        "this machine has no cores 4094, 4095",
    )
    board = {"triple": "aarch64-linux-gnu", "cpu": "cortex-a72", "cores": 2, "reach": "rpc"}
    assert resolve(**board, affinity=[4094, 4095]).placement.affinity == (4094, 4095)


def test_a_target_survives_its_file(tmp_path: Path) -> None:
    made = resolve(triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4)
    target_file.write(made, tmp_path / "target.json")
    assert target_file.read(tmp_path / "target.json") == made


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"name": "x", "surprise": 1})])
def test_a_file_that_is_no_target_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "target.json").write_text(text)
    with pytest.raises(UserError, match=r"target\.json"):
        target_file.read(tmp_path / "target.json")


@pytest.mark.parametrize("path", DECLARED, ids=lambda path: path.stem)
def test_every_declared_target_is_linked_for(path: Path, tmp_path: Path) -> None:
    declared = config.declared_target(path.stem)
    if declared.kind == "cuda" and declared.arch is None:
        declared = replace(declared, arch="sm_87")  # a null is the GPU of this machine, which may have none
    made = resolving.resolve(declared)
    assert made.name == path.stem
    library = tmp_path / "matmul.so"
    linking.export(tiny_library.compiled_matmul(llvm.tvm_target(made.code)), made.code, None, library)
    assert elf_machine(library) == ELF_MACHINES[instruction_sets.architecture(made.code.triple)]


def test_a_missing_linker_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(linking, "find_spec", lambda package: None)
    with pytest.raises(UserError) as refusal:
        linking.link_command(resolve(triple="aarch64-linux-gnu", cpu="cortex-a72", cores=2).code, None)
    assert refusal.value.key == "target.linker"
    assert "binutils-aarch64-linux-gnu" in str(refusal.value)
    assert "dlas[boards]" in str(refusal.value)


def test_a_linker_that_is_not_there_is_refused() -> None:
    made = resolve(triple="aarch64-linux-gnu", cpu="cortex-a72", cores=2, linker="no-such-linker --fast")
    with pytest.raises(UserError, match="no-such-linker") as refusal:
        linking.link_command(made.code, made.linker)
    assert refusal.value.key == "target.linker"


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        ({"reach": "carrier pigeon"}, "target.reach"),
        ({"reach": "rpc"}, "target.triple"),
        ({"reach": "rpc", "triple": "aarch64-linux-gnu", "cores": 2}, "target.cpu"),
        (
            {"reach": "tracker", "triple": "aarch64-linux-gnu", "cpu": "cortex-a72", "cores": 2},
            "target.rpc.key",
        ),
        ({"affinity": []}, "target.affinity"),
        ({"features": ["dotprod"]}, "target.features"),
        ({"affinity": [1, 1]}, "target.affinity"),
        ({"affinity": [1], "cores": 2}, "target.affinity"),
        ({"l2_bytes": 0}, "target.l2_bytes"),
        ({"l2_bytes": 1 << 40}, "target.l2_bytes"),
    ],
)
def test_a_board_that_cannot_be_meant_is_refused(declared: dict, key: str) -> None:
    with pytest.raises(UserError) as refusal:
        config.Target(**{"name": "declared", **declared})
    assert refusal.value.key == key


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ({"port": 0}, "target.rpc.port"),
        ({"host": " "}, "target.rpc.host"),
        ({"key": "a b"}, "target.rpc.key"),
    ],
)
def test_an_address_that_cannot_be_is_refused(address: dict, key: str) -> None:
    with pytest.raises(UserError) as refusal:
        config.Rpc(**address)
    assert refusal.value.key == key


OLDER = {
    "name": "pi",
    "triple": "aarch64-linux-gnu",
    "cpu": "cortex-a72",
    "cores": 4,
    "vector_bytes": 16,
    "vector_registers": 32,
    "features": [],
    "instruction_sets": ["neon"],
}
"""As version 1 told it, before there were boards."""

BOARD = {
    "affinity": [0, 1, 2, 3],
    "smt": False,
    "emulated": True,
    "reach": "rpc",
    "linker": "touch /tmp/me",
    "rpc": {"host": "10.1.2.3", "port": 4567, "key": "secret"},
    "kind": "cpu",
    "arch": "",
}
"""And what it told of one."""


def test_a_target_of_an_older_bundle_is_read(tmp_path: Path) -> None:
    code = CodeTarget("aarch64-linux-gnu", "cortex-a72", 4, 16, 32, instruction_sets=("neon",))
    (tmp_path / "target.json").write_text(json.dumps(OLDER))
    assert target_file.read(tmp_path / "target.json") == Target("pi", code, Placement(threads=4))
    placed = Placement(threads=4, affinity=(0, 1, 2, 3), smt=False, emulated=True)
    (tmp_path / "target.json").write_text(json.dumps({**OLDER, **BOARD}))
    assert target_file.read(tmp_path / "target.json") == Target("pi", code, placed, Reach("rpc"))
    del (second := {"schema": 2, **OLDER, **BOARD})["linker"], second["rpc"]
    (tmp_path / "target.json").write_text(json.dumps(second))
    assert target_file.read(tmp_path / "target.json") == Target("pi", code, placed, Reach("rpc"))


def test_a_target_in_a_file_has_neither_linker_nor_address(tmp_path: Path) -> None:
    made = resolve(triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4)
    told = replace(made, linker="touch /tmp/me", reach=Reach("rpc", "10.1.2.3", 4567, "secret"))
    target_file.write(told, tmp_path / "target.json")
    assert target_file.read(tmp_path / "target.json") == replace(made, reach=Reach("rpc"))
    text = (tmp_path / "target.json").read_text()
    assert not [word for word in ("touch", "10.1.2.3", "4567", "secret") if word in text]
    for part, name in (({"linker": "touch /tmp/me"}, "linker"), ({"placement": {"pid": 1}}, "placement.pid")):
        values = json.loads(text)
        for key, value in part.items():
            values[key] = {**values[key], **value} if isinstance(value, dict) else value
        (tmp_path / "target.json").write_text(json.dumps(values))
        with pytest.raises(UserError, match=f"it has {name}"):
            target_file.read(tmp_path / "target.json")


def cached(folder: Path, cpu: int, level: int, size: str, shared_by: str) -> None:
    """As Linux tells of a cache."""
    index = folder / f"cpu{cpu}" / "cache" / f"index{level}"
    index.mkdir(parents=True)
    for name, text in (("level", str(level)), ("size", size), ("shared_cpu_list", shared_by)):
        (index / name).write_text(f"{text}\n")


@pytest.fixture
def cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine's CPUs are told of: nowhere yet."""
    monkeypatch.setattr(machine, "CPU_FOLDERS", tmp_path)
    return tmp_path


def test_the_second_level_cache_is_a_core_s_share_of_what_the_system_tells(cpus: Path) -> None:
    cached(cpus, 0, 1, "32K", "0")
    cached(cpus, 0, 2, "1M", "0-1,4-5")
    for number, siblings in ((0, "0,4"), (1, "1,5"), (4, "0,4"), (5, "1,5")):
        (cpus / f"cpu{number}" / "topology").mkdir(parents=True)
        (cpus / f"cpu{number}" / "topology" / "thread_siblings_list").write_text(siblings)
    assert caches.l2_bytes(0) == 512 << 10, "two threads of two cores"
    cached(cpus, 6, 2, "512K", "6")
    assert caches.l2_bytes(6) == 512 << 10


@pytest.mark.parametrize("told", [None, "0K", "2K", "9999M", "lots", ""])
def test_a_cache_that_is_not_told_or_cannot_be_is_taken_for_512_kib(told: str | None, cpus: Path) -> None:
    for number in machine.usable():
        if told is not None:
            cached(cpus, number, 2, told, str(number))
    assert resolve().code.l2_bytes == 512 << 10


def test_the_cache_is_that_of_the_cores_that_code_runs_on(cpus: Path) -> None:
    first = min(machine.usable())
    cached(cpus, first, 2, "1024K", str(first))
    assert resolve().code.l2_bytes == 1 << 20
    assert resolve(l2_bytes=128 << 10).code.l2_bytes == 128 << 10, "what is declared counts"
    board = resolve(triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4, reach="rpc")
    assert board.code.l2_bytes == 512 << 10, "of a board this machine's says nothing"
    assert resolving.resolve(config.declared_target("raspberrypi4")).code.l2_bytes == 256 << 10


def test_this_machine_has_the_cache_that_libc_tells() -> None:
    told = subprocess.run(["getconf", "LEVEL2_CACHE_SIZE"], capture_output=True, text=True).stdout.strip()
    if told in ("", "0", "undefined") or caches.l2_bytes(min(machine.usable())) is None:
        pytest.skip("the system tells none")
    assert int(told) % resolve().code.l2_bytes == 0
