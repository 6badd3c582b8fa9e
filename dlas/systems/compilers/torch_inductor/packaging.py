"""The program that has AOTInductor compile an exported network, in a process of its own:

    python -E -P packaging.py /…/exported.pt2 network.pt2

It writes the package into the current folder, with all that is left over. It imports nothing of DLAS.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

CXX = "g++"
"""The C++ compiler, whose versions all understand what PyTorch tells it."""

SETTINGS: Mapping[str, object] = {
    "freezing": True,
    "cpp.cxx": (CXX,),
    "cpp.dynamic_threads": True,
    "compile_threads": 1,
    "aot_inductor.precompile_headers": False,
}
"""Settings of AOTInductor by its own names: weights are constants, which oneDNN's convolutions take with what
follows them; the number of threads is told as the package is run; no pool of processes that wait for work;
and no precompiled headers, which save 3 s of a network once they are made, and stay as 300 MB of the
temporary folder."""


def main(exported: str, package: str) -> None:
    """Compile the network in the file `exported` into the package."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.fspath(Path.cwd())
    import torch
    from torch._inductor import aoti_compile_and_package

    know_quantization()
    program = torch.export.load(exported)
    with torch.no_grad():
        aoti_compile_and_package(program, package_path=package, inductor_configs=dict(SETTINGS))


def know_quantization() -> None:
    """Have PyTorch know the operators of a quantized network."""
    import torch.ao.quantization.fx._decomposed  # noqa: F401


if __name__ == "__main__":
    main(*sys.argv[1:])
