"""The lowered program: a network as Relax and TensorIR before scheduling, its weights beside it as arrays."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file

from dlas.errors import UserError
from dlas.files import documents
from dlas.files.documents import Document, Values
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS
from dlas.printable import printable
from dlas.systems.program import saved_module

if TYPE_CHECKING:
    import tvm

PROGRAM, LAYERS, WEIGHTS = "program.json", "layers.json", "weights.safetensors"


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

    def packed(self, weight: np.ndarray) -> tuple[np.ndarray, ...]:
        """The arrays that the kernel reads, made from OIHW weights."""
        arrays: tuple[np.ndarray, ...] = ALGORITHMS.load(self.algorithm).pack_weight(self.workload, weight)
        return arrays


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

    def packed_arrays(self) -> list[np.ndarray]:
        """The parameters' values, in order, each as its kernel reads it."""
        packed = {
            layer.name: layer.packed(self.arrays[parameter.array])
            for parameter in self.parameters
            for layer in self.layers
            if parameter.packed_for == layer.name and parameter.part == 0
        }
        return [
            packed[parameter.packed_for][parameter.part]
            if parameter.packed_for
            else self.arrays[parameter.array]
            for parameter in self.parameters
        ]


def save(program: LoweredProgram, folder: Path) -> None:
    """Write `program.json` (TVM's own JSON), `layers.json` and `weights.safetensors`."""
    from tvm.ir import save_json

    (folder / PROGRAM).write_text(save_json(program.module))
    layers = [asdict(layer) | {"workload": layer.workload.key} for layer in program.layers]
    parameters = [asdict(parameter) for parameter in program.parameters]
    documents.write(DOCUMENT, folder / LAYERS, {"layers": layers, "parameters": parameters})
    save_file(
        {name: np.ascontiguousarray(array) for name, array in program.arrays.items()},
        folder / WEIGHTS,
    )


def load(folder: Path) -> LoweredProgram:
    """Read what `save` wrote on this machine; UserError for a list of layers that is none."""
    from tvm.ir import load_json

    return _loaded(load_json((folder / PROGRAM).read_text()), folder, folder)


def load_from_bundle(folder: Path, weights: Path) -> LoweredProgram:
    """Read what `save` wrote, or an earlier version, somewhere; its arrays are in the folder `weights`.
    UserError for a list of layers that is none, and a program that TVM could not read safely."""
    return _loaded(saved_module.load(folder / PROGRAM), folder, weights)


def _loaded(module: tvm.IRModule, folder: Path, weights: Path) -> LoweredProgram:
    layers, parameters = load_layers(folder)
    return LoweredProgram(module, layers, parameters, load_file(weights / WEIGHTS))


def load_layers(folder: Path) -> tuple[tuple[ConvLayer, ...], tuple[Parameter, ...]]:
    """The layers and the parameters of a program: see `load`."""
    source = printable(folder / LAYERS)
    described = documents.checked(_Described, documents.read(DOCUMENT, folder / LAYERS), DOCUMENT, source)
    try:
        layers = [
            ConvLayer(
                layer.name,
                ConvWorkload.from_key(layer.workload),
                layer.algorithm,
                layer.requested,
                layer.fallback_reason,
            )
            for layer in described.layers
        ]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"holds a workload that can't be read: {printable(error)}", key=source) from None
    return tuple(layers), described.parameters


@dataclass(frozen=True)
class _DescribedLayer:
    """A ConvLayer as it is written down, with its workload's key."""

    name: str
    workload: str
    algorithm: str
    requested: str
    fallback_reason: str


@dataclass(frozen=True)
class _Described:
    layers: tuple[_DescribedLayer, ...]
    parameters: tuple[Parameter, ...]


def _with_lasting_names(values: Values) -> Values:
    """The values of version 1, which named algorithms by the dotted paths of their modules, with
    the names of today."""

    def name(path: str) -> str:
        return ALGORITHMS.name(path).removeprefix(f"{ALGORITHMS.room}.")  # of those that there never were

    renamed = [
        layer | {"algorithm": name(layer["algorithm"]), "requested": name(layer["requested"])}
        for layer in values["layers"]
    ]
    return {**values, "layers": renamed}


DOCUMENT = Document("list of layers", version=2, converters=(_with_lasting_names,))
