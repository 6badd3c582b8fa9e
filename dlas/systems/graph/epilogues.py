"""Find each convolution of a Relax function, with the bias, residual and activation that follow it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tvm import relax

from dlas.algorithms.activation import RELU6_LIMIT
from dlas.interfaces.workload import ConvWorkload


@dataclass(frozen=True)
class FusedConv:
    """A convolution and its epilogue, as variables of the function."""

    workload: ConvWorkload
    data: relax.Var
    weight: relax.Var
    """Weight in OIHW, or a linear layer's matrix."""
    bias: relax.Var | None
    residual: relax.Var | None
    output: relax.Var
    """The variable that holds the result of the last operation taken in."""
    absorbed: tuple[relax.Var, ...]
    """The variables that only lead to `output`, and are computed no more."""


@dataclass(frozen=True)
class Uses:
    """The bindings of a function in order, and the readers of each variable."""

    values: dict[relax.Var, relax.Expr]
    readers: dict[relax.Var, list[relax.Var]]
    """The variables that read each variable; the function's caller is a reader too, under a variable
    that no binding has."""

    def only_reader(self, var: relax.Var) -> relax.Var | None:
        """The variable that reads `var`, where it is the only one."""
        readers = self.readers[var]
        return readers[0] if len(readers) == 1 else None


def fused_convolutions(uses: Uses) -> list[FusedConv]:
    """The convolutions of a function; each operation belongs to the epilogue of one of them at most."""
    taken: set[relax.Var] = set()
    fused = []
    for var, value in uses.values.items():
        if is_op(value, "relax.nn.conv2d"):
            conv = _with_epilogue(var, value, uses, taken)
            taken.update([conv.output, *conv.absorbed])
            fused.append(conv)
    return fused


def variable_uses(function: relax.Function) -> Uses:
    """The bindings of `function`, one dataflow block as the importer from PyTorch makes it, and the readers
    of each variable."""
    (block,) = function.body.blocks
    values: dict[relax.Var, relax.Expr] = {}
    readers: dict[relax.Var, list[relax.Var]] = defaultdict(list)
    for binding in block.bindings:
        values[binding.var] = binding.value
        for read in relax.analysis.free_vars(binding.value):
            readers[read].append(binding.var)
    returned = relax.Var("returned", function.ret_ty)
    readers[function.body.body].append(returned)
    return Uses(values, readers)


def _with_epilogue(var: relax.Var, call: relax.Call, uses: Uses, taken: set[relax.Var]) -> FusedConv:
    output, absorbed = var, []
    bias: relax.Var | None = None
    residual: relax.Var | None = None
    activation = ""
    while (reader := uses.only_reader(output)) is not None and reader not in taken and reader in uses.values:
        value = uses.values[reader]
        other = _other_addend(value, output)
        if (
            other is not None
            and bias is None
            and residual is None
            and (source := _bias(other, uses)) is not None
        ):
            bias = source
            absorbed.append(other)
        elif isinstance(other, relax.Var) and residual is None and _same_shape(other, output):
            residual = other
        elif (activation := _activation(value)) == "":
            break
        absorbed.append(output)
        output = reader
        if activation:
            break
    data, weight = call.args
    return FusedConv(
        workload=_workload(call, bias is not None, residual is not None, activation),
        data=data,
        weight=_unreshaped(weight, uses),
        bias=bias,
        residual=residual,
        output=output,
        absorbed=tuple(absorbed),
    )


def _activation(value: relax.Expr) -> str:
    """Name of the activation in a workload; "" for an operation that no epilogue can end with."""
    if is_op(value, "relax.nn.relu"):
        return "relu"
    bounds = [float(bound.value) for bound in value.args[1:]] if is_op(value, "relax.clip") else []
    return "relu6" if bounds == [0, RELU6_LIMIT] else ""


def _unreshaped(weight: relax.Var, uses: Uses) -> relax.Var:
    """The variable that `weight` is a view of, such as a linear layer's matrix; else `weight` itself."""
    value = uses.values.get(weight)
    return value.args[0] if value is not None and is_op(value, "relax.reshape") else weight


def _other_addend(value: relax.Expr, addend: relax.Var) -> relax.Var | None:
    """What is added to `addend`; None where nothing else is, as in x + x."""
    if not is_op(value, "relax.add"):
        return None
    left, right = value.args
    if left.same_as(right):
        return None
    return right if left.same_as(addend) else left


def _bias(var: relax.Var, uses: Uses) -> relax.Var | None:
    """The (channels,) parameter that `var` is the (1, channels, 1, 1) view of."""
    value = uses.values.get(var)
    if value is None or not is_op(value, "relax.reshape") or uses.only_reader(var) is None:
        return None
    source = value.args[0]
    shape = _shape(var)
    is_channel_view = (
        len(shape) == 4 and shape[0] == shape[2] == shape[3] == 1 and _shape(source) == shape[1:2]
    )
    return source if is_channel_view and source not in uses.values else None


def _workload(call: relax.Call, bias: bool, residual: bool, activation: str) -> ConvWorkload:
    data, weight = call.args
    batch, in_channels, height, width = _shape(data)
    out_channels, _, kernel_height, kernel_width = _shape(weight)
    attrs = call.attrs
    top, left, bottom, right = (int(extent) for extent in attrs.padding)
    return ConvWorkload(
        batch=batch,
        in_channels=in_channels,
        height=height,
        width=width,
        out_channels=out_channels,
        kernel=(kernel_height, kernel_width),
        stride=(int(attrs.strides[0]), int(attrs.strides[1])),
        padding=(top, left, bottom, right),
        dilation=(int(attrs.dilation[0]), int(attrs.dilation[1])),
        groups=int(attrs.groups),
        dtype=str(data.ty.dtype),
        bias=bias,
        residual=residual,
        activation=activation,
    )


def is_op(value: relax.Expr, name: str) -> bool:
    """Whether `value` calls the operator `name`."""
    return isinstance(value, relax.Call) and getattr(value.op, "name", "") == name


def _same_shape(one: relax.Var, other: relax.Var) -> bool:
    return _shape(one) == _shape(other)


def _shape(var: relax.Var) -> list[int]:
    return [int(extent) for extent in var.ty.shape]
