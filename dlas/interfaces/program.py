"""What is compiled: a network as Relax and TensorIR before scheduling, its weights beside it as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True)
class ConvLayer:
    """One convolution of the network and the algorithm that serves it."""

    name: str
    """The layer's name in the PyTorch network, e.g. `layer1.0.conv1`."""
    workload: ConvWorkload
    algorithm: str
    """Name in dlas.plugins.registry.ALGORITHMS, or a dotted path."""
    requested: str
    """The declared algorithm, which differs from `algorithm` where it could not serve the layer."""
    fallback_reason: str = ""

    @property
    def kernel(self) -> str:
        """The PrimFunc that computes this layer; layers of one workload and algorithm share it."""
        return f"{self.algorithm.rpartition('.')[2]}_{self.workload.key}"


@dataclass(frozen=True)
class Parameter:
    """An argument of the program after its input: an array, packed for the layer that reads it."""

    array: str
    packed_for: str = ""
    """Name of the `ConvLayer` whose algorithm packs the array; "" for an array that is passed as it is."""
    part: int = 0
    """Index among the arrays that the algorithm packs it into."""


@dataclass(frozen=True)
class LoweredProgram:
    """A network that needs neither PyTorch nor its Python code to be built."""

    module: tvm.IRModule
    """`main(input, *parameters)` and one unscheduled PrimFunc per kernel."""
    layers: tuple[ConvLayer, ...]
    parameters: tuple[Parameter, ...]
    arrays: dict[str, np.ndarray]

    def weight(self, layer: ConvLayer) -> np.ndarray:
        """OIHW weights of a layer."""
        return next(self.arrays[one.array] for one in self.parameters if one.packed_for == layer.name)
