"""Layer 6: a runner, which runs what a compiler wrote in a session on a board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np


class LoadedNetwork(Protocol):
    """A network that is loaded and can be run any number of times."""

    @property
    def uncounted(self) -> str:
        """Reason why the instructions of a run can't be counted; "" where TVM_NUM_THREADS=1 in the
        environment has the next run compute on the thread that calls it."""
        ...

    def put(self, images: np.ndarray, /) -> Any:
        """The images (N, C, H, W), float32, as `run` takes them. This is not timed."""
        ...

    def run(self, images: Any, /) -> Any:
        """The output of one run, which is done when this returns. This is what is timed."""
        ...

    def array(self, output: Any, /) -> np.ndarray:
        """The output of a run as an array (N, …), float32, that later runs leave as it is."""
        ...

    def fill_caches(self, other: np.ndarray, /) -> None:
        """Have the caches of a device hold something else; those of a CPU do, once `other` was written."""
        ...

    def describe(self) -> Mapping[str, str]:
        """Facts for the environment of what is timed, such as the version of the runtime."""
        ...


class Runner(Protocol):
    """Runtime for the files of the compiler of the same name (`dlas/systems/compilers/<name>/compiler.py`): a
    module of `dlas/hardware/sessions/runners/`.

    It is imported in the fresh process of a session, on the board too, and imports its runtime within its
    functions. It never starts a process.
    """

    PACKAGES: Mapping[str, str]
    """Packages that it imports beside NumPy, which every board has: the name in an import, and that of the
    distribution."""

    def settings(self, library: Path, threads: int, /) -> Mapping[str, str]:
        """The runtime's settings for the network in `library`, by their own names, which target.json tells:
        those by which it is fastest with so many threads, a float32 network being computed in float32."""
        ...

    def prepare(self, device: str, /) -> None:
        """Import the runtime. What this takes of time and memory is told apart from loading a network, which
        does the same where this was not called."""
        ...

    def load(self, library: Path, threads: int, device: str, /) -> LoadedNetwork:
        """The network in `library`, by `settings`. The process may be confined to some cores; `device` is the
        kind of the target, cpu or cuda. ValueError or OSError for files that are damaged."""
        ...


OTHERS = "others"
"""Name of all operators that a runtime does not tell of."""


class Int8Runner(Runner, Protocol):
    """Runner of a compiler that takes int8 networks (`dlas.interfaces.compiler.Int8Compiler`)."""

    def data_types(self, library: Path, threads: int, images: np.ndarray, /) -> Mapping[str, str]:
        """The data type, by NumPy's name, that the runtime reads the activations of each operator in as it
        runs the network on the images (N, C, H, W). The operators are called as in the network's files; those
        that the runtime made one of several may be called by any of these names, and `OTHERS` stands for all
        that it does not tell of by a name."""
        ...
