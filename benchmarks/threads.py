"""As many threads for TVM's kernels as for PyTorch's."""

from __future__ import annotations

import os

import torch
import tvm


def use_threads(count: int) -> None:
    """Before the first kernel runs, since TVM counts its threads once: unasked, half of the CPUs that the
    system shows, which may be one. Its calling thread is bound to no core, as PyTorch's threads inherit that.

    Exits where TVM took another number of threads.
    """
    os.environ["TVM_BIND_THREADS"] = "0"
    os.environ["TVM_NUM_THREADS"] = str(count)
    torch.set_num_threads(count)
    taken = int(tvm.get_global_func("runtime.NumThreads")())
    if taken != count:
        raise SystemExit(f"TVM takes {taken} threads where {count} were asked for")
