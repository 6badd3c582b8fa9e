"""Layer 6: the machine, as it is declared."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dlas.errors import require
from dlas.interfaces.targets.reach import require_port

REACHES = ("local", "rpc", "tracker")
KINDS = ("cpu", "cuda")
MIN_L2_BYTES, MAX_L2_BYTES = 64 << 10, 16 << 20
"""Bounds of a core's share of a second-level cache, in bytes: none lies outside of them."""

GPU_ARCH = re.compile(r"sm_\d{2,3}")


@dataclass(frozen=True)
class Rpc:
    """Address at which a board listens, or that of the tracker that it is registered with."""

    host: str = "127.0.0.1"
    port: int = 9090
    key: str = ""
    """Key that the board was started with; through a tracker, the kind of board that is asked for."""

    def __post_init__(self) -> None:
        require(bool(self.host.strip()), "target.rpc.host", "is empty", "a name or an address")
        require_port("target.rpc.port", self.port)
        plain = not any(character.isspace() for character in self.key)
        require(plain, "target.rpc.key", f"'{self.key}' has spaces", "one word")


@dataclass(frozen=True)
class Target:
    """Layer 6: as declared; what a null stands for is asked of LLVM and the operating system."""

    name: str
    triple: str | None = None
    cpu: str | None = None
    cores: int | None = None
    """Threads that compute at once; null for as many as the cores that may be used."""
    affinity: list[int] | None = None
    """The cores to run on, by number; null leaves them to the system."""
    linker: str | None = None
    """A command that takes `-shared -o library objects`; null looks for one."""
    features: list[str] = field(default_factory=list)
    """LLVM features beside the CPU's own: `+name` to use one, `-name` to do without it."""
    emulated: bool = False
    """Whether the board is emulated: its times say nothing about a real one, and are marked so."""
    reach: str = "local"
    """local: this machine; rpc: a board that listens at `rpc`; tracker: any board of `rpc.key` there."""
    rpc: Rpc = field(default_factory=Rpc)
    smt: bool = True
    """Whether several hardware threads of one core are used; else the first of each."""
    kind: str = "cpu"
    """Processor that computes: cpu, or cuda for an NVIDIA GPU beside it."""
    arch: str | None = None
    """Compute capability of the GPU, such as sm_87; null for that of the GPU in this machine."""
    l2_bytes: int | None = None
    """Bytes of the second-level cache, a core's own or its share; null for this machine's, or 512 KiB
    elsewhere."""

    def __post_init__(self) -> None:
        enough = self.cores is None or self.cores >= 1
        require(enough, "target.cores", f"{self.cores} is too small", "1 or more, or null for every core")
        known = self.reach in REACHES
        require(known, "target.reach", f"'{self.reach}' is not built", f"one of: {', '.join(REACHES)}")
        self._require_gpu()
        fits = self.l2_bytes is None or MIN_L2_BYTES <= self.l2_bytes <= MAX_L2_BYTES
        remedy = f"a core's share in bytes, {MIN_L2_BYTES} to {MAX_L2_BYTES}, or null"
        require(fits, "target.l2_bytes", f"{self.l2_bytes} is no second-level cache", remedy)
        for name in ("triple", "cpu", "cores"):
            told = self.reach == "local" or getattr(self, name) is not None
            remedy = "what the board has, as conf/target/raspberrypi4.yaml tells"
            require(told, f"target.{name}", "null stands for this machine, which is not the board", remedy)
        wrong = [feature for feature in self.features if feature[:1] not in ("+", "-")]
        require(not wrong, "target.features", f"{wrong} say neither + nor -", "such as [+dotprod,-fullfp16]")
        named = self.reach != "tracker" or bool(self.rpc.key)
        require(named, "target.rpc.key", "is empty", "the key of the boards that the tracker is asked for")
        self._require_affinity()

    def _require_gpu(self) -> None:
        known = self.kind in KINDS
        require(known, "target.kind", f"'{self.kind}' is not built", f"one of: {', '.join(KINDS)}")
        gpu = self.kind == "cuda"
        if self.arch is None:
            problem = "null stands for the GPU of this machine, and the board's is another"
            require(not gpu or self.reach == "local", "target.arch", problem, "such as sm_87")
            return
        require(
            gpu, "target.arch", f"{self.arch} is a GPU's, and the kind is cpu", "target.kind=cuda or null"
        )
        right = GPU_ARCH.fullmatch(self.arch) is not None
        require(right, "target.arch", f"'{self.arch}' is no compute capability", "such as sm_87")

    def _require_affinity(self) -> None:
        if self.affinity is None:
            return
        cores = self.affinity
        remedy = "different core numbers from 0, such as [4,5,6,7], or null"
        right = bool(cores) and min(cores) >= 0 and len(set(cores)) == len(cores)
        require(right, "target.affinity", f"{cores} are no cores", remedy)
        enough = self.cores is None or self.cores <= len(cores)
        require(enough, "target.affinity", f"{cores} are fewer than {self.cores} cores", "as many as cores")
