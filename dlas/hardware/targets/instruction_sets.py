"""The instruction set extensions that generated code may use, and which of them a machine has."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from types import MappingProxyType

CPUINFO = Path("/proc/cpuinfo")

KERNEL_NAMES = MappingProxyType(
    {
        "x86_64": {
            **{
                name: name
                for name in ("sse2", "ssse3", "sse4a", "avx", "avx2", "fma", "fma4", "f16c", "xop", "tbm")
            },
            **{name: name for name in ("popcnt", "movbe", "cx16", "bmi2", "gfni")},
            **{
                name: name
                for name in ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512ifma")
            },
            "sse3": "pni",
            "sse4.1": "sse4_1",
            "sse4.2": "sse4_2",
            "bmi": "bmi1",
            "lzcnt": "abm",
            "avxvnni": "avx_vnni",
            "avx512vbmi": "avx512vbmi",
            "avx512vbmi2": "avx512_vbmi2",
            "avx512vnni": "avx512_vnni",
            "avx512bitalg": "avx512_bitalg",
            "avx512vpopcntdq": "avx512_vpopcntdq",
            "avx512bf16": "avx512_bf16",
            "avx512fp16": "avx512_fp16",
            "amx-tile": "amx_tile",
            "amx-int8": "amx_int8",
            "amx-bf16": "amx_bf16",
        },
        "aarch64": {
            "neon": "asimd",
            "fp-armv8": "fp",
            "lse": "atomics",
            "rdm": "asimdrdm",
            "rcpc": "lrcpc",
            "fullfp16": "asimdhp",
            "fp16fml": "asimdfhm",
            "dotprod": "asimddp",
            "complxnum": "fcma",
            "bf16": "bf16",
            "i8mm": "i8mm",
            "sve": "sve",
            "sve2": "sve2",
        },
        "riscv64": {
            name: name for name in ("m", "a", "f", "d", "c", "v", "zba", "zbb", "zbs", "zfh", "zvfh")
        },
    }
)
"""Names of extensions: for each architecture, LLVM's name to the Linux kernel's.

Only what a compiler uses of its own accord for arithmetic: cryptography, random numbers, system features and
LLVM's tuning hints say nothing about whether a library runs. Sources: LLVM's X86.td and AArch64Features.td;
Linux, arch/x86/include/asm/cpufeatures.h, Documentation/arch/arm64/elf_hwcaps.rst and
Documentation/arch/riscv/uabi.rst.
"""

HWCAPS = MappingProxyType(
    {
        16: {
            "fp": 0,
            "asimd": 1,
            "atomics": 8,
            "asimdhp": 10,
            "asimdrdm": 12,
            "fcma": 14,
            "lrcpc": 15,
            "asimddp": 20,
            "sve": 22,
            "asimdfhm": 23,
        },
        26: {"sve2": 1, "i8mm": 13, "bf16": 14},
    }
)
"""aarch64: per entry of the auxiliary vector (AT_HWCAP, AT_HWCAP2), the bits of the kernel's names.

Linux, arch/arm64/include/uapi/asm/hwcap.h. An emulator answers for the CPU that it emulates, where its
/proc/cpuinfo may be that of the machine beneath.
"""

ARCHITECTURES = MappingProxyType(
    {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
)
"""Spellings of an architecture, in a triple or from the operating system, to LLVM's."""


def architecture(triple_or_machine: str) -> str:
    """LLVM's name of the architecture of a triple (`aarch64-linux-gnu`) or a machine (`arm64`)."""
    first = triple_or_machine.split("-")[0].lower()
    return ARCHITECTURES.get(first, first)


def of_llvm_cpu(triple: str, cpu: str, features: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Extensions that LLVM may use for this CPU, with single ones added (`+name`) or taken away (`-name`)."""
    from tvm.target import Target, codegen

    target = Target({"kind": "llvm", "mtriple": triple, "mcpu": cpu, "mattr": list(features)})
    known = KERNEL_NAMES.get(architecture(triple), {})
    return tuple(sorted(codegen.llvm_get_cpu_features(target) & known.keys()))


def of_this_machine() -> tuple[str, ...]:
    """Extensions that this machine really has: the kernel's word on Linux, where a hypervisor may hide what
    the CPU model is known for; LLVM's word on the CPU elsewhere."""
    if not CPUINFO.exists():
        from tvm.target import codegen

        return of_llvm_cpu(codegen.llvm_get_system_triple(), codegen.llvm_get_system_cpu())
    machine = architecture(platform.machine())
    return from_hwcaps() if machine == "aarch64" else from_cpuinfo(CPUINFO.read_text(), machine)


def from_hwcaps() -> tuple[str, ...]:
    """The extensions that Linux tells this aarch64 process of."""
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.argtypes, getauxval.restype = [ctypes.c_ulong], ctypes.c_ulong
    told = {entry: getauxval(entry) for entry in HWCAPS}
    flags = {name for entry, bits in HWCAPS.items() for name, bit in bits.items() if told[entry] >> bit & 1}
    return tuple(sorted(name for name, kernel in KERNEL_NAMES["aarch64"].items() if kernel in flags))


def from_cpuinfo(text: str, machine: str) -> tuple[str, ...]:
    """The extensions in a /proc/cpuinfo: `flags` on x86-64, `Features` on aarch64, `isa` on RISC-V."""
    lines = [line.partition(":") for line in text.splitlines()]
    told = [(name.strip(), value.split()) for name, _, value in lines]
    flags = {flag for name, values in told if name in ("flags", "Features") for flag in values}
    for isa in (values[0] for name, values in told if name == "isa" and values):
        letters, *named = isa.removeprefix("rv64").split("_")
        flags |= {*letters.replace("g", "imafd"), *named}
    return tuple(sorted(name for name, kernel in KERNEL_NAMES.get(machine, {}).items() if kernel in flags))
