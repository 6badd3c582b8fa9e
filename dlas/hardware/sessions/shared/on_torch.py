"""What networks have in common that PyTorch loads, and that take and give its tensors on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlas.hardware.sessions.shared.on_cpu import OnCpu


class OnTorch(OnCpu):
    """A network that reads and writes tensors of PyTorch's, which share the memory of arrays."""

    uncounted = "PyTorch keeps the threads that it was loaded with"

    def put(self, images: np.ndarray) -> Any:
        import torch

        return torch.from_numpy(np.ascontiguousarray(images))

    def array(self, output: Any) -> np.ndarray:
        found: np.ndarray = output.numpy()
        return found

    def describe(self) -> Mapping[str, str]:
        """Nothing: the version of torch is in every environment."""
        return {}
