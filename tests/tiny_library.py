"""Libraries that take seconds to make: a matrix multiplication, and ones that misbehave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tvm
from tvm import relax, te
from tvm.script import tirx

INPUT_SHAPE = (1, 3, 32, 32)
CLASSES = 10


def weight(seed: int = 0) -> np.ndarray:
    """(3 * 32 * 32, CLASSES)."""
    return np.random.default_rng(seed).normal(size=(3072, CLASSES)).astype("float32") / 50


def images(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *INPUT_SHAPE[1:])).astype("float32")


def outputs(inputs: np.ndarray) -> np.ndarray:
    """What the matrix multiplication gives, by NumPy in double precision."""
    return (inputs.reshape(len(inputs), -1).astype("float64") @ weight()).astype("float32")


def compiled_matmul(target: tvm.target.Target, batch: int = 1) -> tvm.runtime.Executable:
    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType((batch, *INPUT_SHAPE[1:]), "float32"))
    with builder.function("main", [image]):
        flat = builder.emit(relax.op.reshape(image, (batch, 3072)))
        builder.emit_func_output(builder.emit(relax.op.matmul(flat, relax.const(weight()))))
    return tvm.compile(builder.get(), target)


def export_matmul(target: tvm.target.Target, library: Path, batch: int = 1) -> Path:
    compiled_matmul(target, batch).export_library(str(library))
    return library


def onnx_matmul(folder: Path) -> Path:
    """The folder with the matrix multiplication as ONNX Runtime takes it, its weights in a file by
    themselves, one folder further down."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    ends = (("images", INPUT_SHAPE), ("outputs", (1, CLASSES)))
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends]
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["outputs"]),
    ]
    weights = [numpy_helper.from_array(weight(), "weight")]
    graph = helper.make_graph(nodes, "matmul", told[:1], told[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "weights").mkdir(parents=True)
    onnx.save(model, folder / "network.onnx", save_as_external_data=True, location="weights/all.bin")
    return folder


def export_calling(target: tvm.target.Target, library: Path, function: str, *arguments: int) -> Path:
    calling(target, function, *arguments).export_library(str(library))
    return library


def export_thread_numbers(target: tvm.target.Target, library: Path) -> Path:
    """A network whose output is, for each class, the number of the thread that computed it."""
    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType(INPUT_SHAPE, "float32"))
    with builder.function("main", [image]):
        kernel = builder.add_func(thread_numbers, "thread_numbers")
        called = relax.call_tir(kernel, [image], relax.TensorType((1, CLASSES), "float32"))
        builder.emit_func_output(builder.emit(called))
    tvm.compile(builder.get(), target).export_library(str(library))
    return library


@tirx.prim_func
def thread_numbers(image: tirx.handle, output: tirx.handle) -> None:
    tirx.match_buffer(image, INPUT_SHAPE)
    numbers = tirx.match_buffer(output, (1, CLASSES))
    for at in tirx.parallel(CLASSES):
        numbers[0, at] = tirx.Cast("float32", tirx.call_extern("int32", "gettid"))


def export_delayed_matmul(target: tvm.target.Target, library: Path, microseconds: int) -> Path:
    """The matrix multiplication, and a sleep of so long in each run."""

    def late(inputs: list[te.Tensor], results: list[te.Tensor]) -> tvm.tirx.Stmt:
        sleep = tvm.tirx.call_extern("int32", "usleep", microseconds)
        copy = tvm.tirx.call_extern(
            "handle", "memcpy", results[0].access_ptr("w"), inputs[0].access_ptr("r"), 4 * CLASSES
        )
        return tvm.tirx.SeqStmt([tvm.tirx.Evaluate(sleep), tvm.tirx.Evaluate(copy)])

    def kernel(scores: te.Tensor) -> te.Tensor:
        return te.extern([(1, CLASSES)], [scores], late, dtype=["float32"], name="late")

    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType(INPUT_SHAPE, "float32"))
    with builder.function("main", [image]):
        flat = builder.emit(relax.op.reshape(image, (1, 3072)))
        scores = builder.emit(relax.op.matmul(flat, relax.const(weight())))
        builder.emit_func_output(builder.emit_te(kernel, scores))
    tvm.compile(builder.get(), target).export_library(str(library))
    return library


def calling(target: tvm.target.Target, function: str, *arguments: int) -> tvm.runtime.Executable:
    """A network whose `main` calls a function of the C library, such as `raise` with a signal."""

    def call(inputs: list[te.Tensor], results: list[te.Tensor]) -> tvm.tirx.Stmt:
        return tvm.tirx.Evaluate(tvm.tirx.call_extern("int32", function, *arguments))

    def kernel(image: te.Tensor) -> te.Tensor:
        return te.extern([(1, CLASSES)], [image], call, dtype=["float32"], name="misbehaving")

    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType(INPUT_SHAPE, "float32"))
    with builder.function("main", [image]):
        builder.emit_func_output(builder.emit_te(kernel, image))
    return tvm.compile(builder.get(), target)
