"""A network as files of OpenVINO's (dlas.interfaces.compiler.NetworkCompiler).

`dlas.hardware.sessions.runners.openvino` runs them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.errors import last_line
from dlas.hardware.sessions.runners import openvino as runner
from dlas.interfaces.compiler import RunsOn

if TYPE_CHECKING:
    from openvino import Node
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES = {"onnx": "onnx", **runner.PACKAGES}
PROGRAMS = ()
DATA_TYPES = ("float32", "float16", "int8")
NOT_TAKEN: Mapping[str, str] = {}
FLOAT16 = {"x86_64": "avx512fp16", "aarch64": "fullfp16"}
RUNS_ON = RunsOn.ANY

WEIGHT_SIDES = {"Convolution": 1, "GroupConvolution": 2, "MatMul": None}
"""Number of sides of a convolution's weight that are its outputs' alone, by OpenVINO's name of the operator:
(O, I, …), with groups (G, O, I, …). A product of matrices has no weight of its own."""


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the network, read from ONNX, in OpenVINO's own form, its weights in its own data type. The files
    hold no choice for a CPU: OpenVINO makes them as it loads."""
    from dlas.systems.compilers import converting, onnx_file

    openvino = runner.imported()
    with TemporaryDirectory(prefix="dlas-") as scratch:
        file = Path(scratch) / "network.onnx"
        onnx_file.write(program, file)
        try:
            model = openvino.Core().read_model(file)
        except RuntimeError as error:  # so are all of OpenVINO's
            raise converting.refused("OpenVINO", last_line(error)) from error
        openvino.save_model(model, library / runner.FILE, compress_to_fp16=False)


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Copy the files, which are for every CPU."""
    shutil.copytree(kept, library, dirs_exist_ok=True)


def macs(library: Path) -> Mapping[str, int]:
    """Multiply-accumulates of each operator that has some, by its name in OpenVINO's file."""
    operators = runner.imported().Core().read_model(library / runner.FILE).get_ops()
    return {_name(each): _macs(each) for each in operators if each.get_type_name() in WEIGHT_SIDES}


def _name(operator: Node) -> str:
    """Name of the operator. A product of matrices goes by that of the last step after it that scales it or
    adds its bias: OpenVINO knows them by that alone once they are one."""
    if operator.get_type_name() == "MatMul":
        after = [side.get_node() for side in operator.output(0).get_target_inputs()]
        while [node.get_type_name() for node in after] in (["Multiply"], ["Add"]):
            (operator,) = after
            after = [side.get_node() for side in operator.output(0).get_target_inputs()]
    return str(operator.get_friendly_name())


def _macs(operator: Node) -> int:
    """Each output costs as many as it has factors: the sides of a weight but for those of the outputs; of a
    product, the last side of its left array."""
    left, right = (tuple(side.get_shape()) for side in operator.inputs()[:2])
    sides = WEIGHT_SIDES[operator.get_type_name()]
    factors = left[-1] if sides is None else prod(right[sides:])
    return int(prod(operator.get_output_shape(0)) * factors)
