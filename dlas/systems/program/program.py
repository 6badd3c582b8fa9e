"""Files of a lowered program: TVM's own JSON, the list of its layers, and its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file

from dlas.errors import UserError
from dlas.files import documents
from dlas.files.documents import Document, Values
from dlas.interfaces.program import ConvLayer, LoweredProgram, Parameter
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS
from dlas.printable import printable
from dlas.systems.program import saved_module

if TYPE_CHECKING:
    import tvm

PROGRAM, LAYERS, WEIGHTS = "program.json", "layers.json", "weights.safetensors"


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
