"""As many threads for TVM's kernels as for PyTorch's."""

from __future__ import annotations

import os

import torch
import tvm

ENOUGH = 1 << 22
"""Elements that PyTorch sums by all its threads."""


def use_threads(count: int) -> None:
    """Before the first kernel runs, since TVM counts its threads once: unasked, half of the CPUs that the
    system shows, which may be one. TVM binds each of its threads to a core, the calling one too; PyTorch's
    start before, or they would inherit that one core.

    Exits where TVM took another number of threads.
    """
    torch.set_num_threads(count)
    torch.ones(ENOUGH).sum()
    os.environ["TVM_NUM_THREADS"] = str(count)
    taken = int(tvm.get_global_func("runtime.NumThreads")())
    if taken != count:
        raise SystemExit(f"TVM takes {taken} threads where {count} were asked for")
