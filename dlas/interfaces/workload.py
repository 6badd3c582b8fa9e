"""The unit of code generation: one convolution with its epilogue."""

from __future__ import annotations

import re
from dataclasses import dataclass

KEY = re.compile(
    r"conv2d_n(?P<batch>\d+)_i(?P<in_channels>\d+)x(?P<height>\d+)x(?P<width>\d+)_o(?P<out_channels>\d+)"
    r"_k(?P<kernel>\d+x\d+)_s(?P<stride>\d+x\d+)_p(?P<padding>\d+x\d+x\d+x\d+)_d(?P<dilation>\d+x\d+)"
    r"_g(?P<groups>\d+)(_b(?P<blocks>\d+x\d+))?(_(?P<format>csr|bsr\d+x\d+|channel_index))?"
    r"_(?P<dtype>[a-z0-9]+)(_w(?P<weight_limit>\d+))?(_z(?P<input_zero>\d+))?"
    r"(?P<bias>_bias)?(?P<residual>_residual)?(_r(?P<residual_zero>\d+))?(_(?P<activation>relu6?))?"
    r"(_q(?P<output_zero>\d+)(to(?P<output_limit>\d+))?)?"
)

UINT8_MAX = 255
INT8_MAX = 127


@dataclass(frozen=True)
class ConvWorkload:
    """A 2-d convolution: activation(conv2d(input, weight) + bias + residual).

    An activation in memory is NCHW, or NCHWc, (N, C / block, H, W, block), where its block is more than 1;
    the residual lies as the output does.

    `dtype` float16 sums in float32. `dtype` int8 stands for integer convolution: uint8 activations around a
    zero point, int8 weights, int32 sums; its epilogue is in `dlas.algorithms.shared.integer.requantization`.
    """

    batch: int
    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Rows and columns of zeros: top, left, bottom, right."""
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    dtype: str = "float32"
    bias: bool = False
    residual: bool = False
    activation: str = ""
    """"", "relu" or "relu6"."""
    input_zero: int = 0
    """int8: the input value that stands for 0."""
    residual_zero: int = 0
    """int8: the residual's value that stands for 0."""
    output_zero: int | None = None
    """int8: the output value that stands for 0; None for an output in float32."""
    output_limit: int = UINT8_MAX
    """int8: the largest output value, where the activation's upper bound is below the data type's."""
    weight_limit: int = INT8_MAX
    """int8: the largest absolute value of a weight."""
    input_block: int = 1
    """Channels innermost in memory; 1 for NCHW."""
    output_block: int = 1
    format: str = "dense"
    """Format of the weights: "dense", "csr", "bsr<rows>x<columns>" or "channel_index"."""

    @property
    def data_dtype(self) -> str:
        """Data type of the input and the residual."""
        return "uint8" if self.dtype == "int8" else self.dtype

    @property
    def sum_dtype(self) -> str:
        """Data type of the sums over input channels and kernel."""
        return "int32" if self.dtype == "int8" else "float32"

    @property
    def output_dtype(self) -> str:
        """Data type of the output."""
        if self.dtype != "int8":
            return self.dtype
        return "float32" if self.output_zero is None else "uint8"

    @property
    def out_height(self) -> int:
        covered = self.dilation[0] * (self.kernel[0] - 1) + 1
        return (self.height + self.padding[0] + self.padding[2] - covered) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        covered = self.dilation[1] * (self.kernel[1] - 1) + 1
        return (self.width + self.padding[1] + self.padding[3] - covered) // self.stride[1] + 1

    @property
    def group_in_channels(self) -> int:
        return self.in_channels // self.groups

    @property
    def group_out_channels(self) -> int:
        return self.out_channels // self.groups

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is convolved by itself."""
        return self.groups > 1 and self.group_in_channels == self.group_out_channels == 1

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """NCHW shape of the input, however it lies in memory."""
        return (self.batch, self.in_channels, self.height, self.width)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """OIHW shape of the weights, I being the input channels of one group."""
        return (self.out_channels, self.group_in_channels, *self.kernel)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """NCHW shape of the output, however it lies in memory."""
        return (self.batch, self.out_channels, self.out_height, self.out_width)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense convolution."""
        per_output = self.group_in_channels * self.kernel[0] * self.kernel[1]
        return self.batch * self.out_channels * self.out_height * self.out_width * per_output

    @property
    def key(self) -> str:
        """A stable text that names this workload; `from_key` reads it back."""
        integer = self.dtype == "int8"
        narrow = f"_w{self.weight_limit}" if integer and self.weight_limit != INT8_MAX else ""
        input_zero = f"{narrow}_z{self.input_zero}" if integer else ""
        residual_zero = f"_r{self.residual_zero}" if integer and self.residual else ""
        epilogue = "_bias" * self.bias + "_residual" * self.residual + residual_zero
        activation = f"_{self.activation}" if self.activation else ""
        output_zero = "" if self.output_zero is None else f"_q{self.output_zero}"
        limit = f"to{self.output_limit}" if output_zero and self.output_limit != UINT8_MAX else ""
        blocks = (self.input_block, self.output_block)
        layout = "" if blocks == (1, 1) else f"_b{_times(blocks)}"
        layout += "" if self.format == "dense" else f"_{self.format}"
        return (
            f"conv2d_n{self.batch}_i{self.in_channels}x{self.height}x{self.width}_o{self.out_channels}"
            f"_k{_times(self.kernel)}_s{_times(self.stride)}_p{_times(self.padding)}_d{_times(self.dilation)}"
            f"_g{self.groups}{layout}_{self.dtype}{input_zero}{epilogue}{activation}{output_zero}{limit}"
        )

    @staticmethod
    def from_key(key: str) -> ConvWorkload:
        """The workload that `key` names; ValueError where it names none."""
        match = KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"not a convolution workload: {key!r}")
        kernel, stride, dilation = (_pair(match[name]) for name in ("kernel", "stride", "dilation"))
        top, left, bottom, right = (int(part) for part in match["padding"].split("x"))
        input_block, output_block = _pair(match["blocks"] or "1x1")
        return ConvWorkload(
            batch=int(match["batch"]),
            in_channels=int(match["in_channels"]),
            height=int(match["height"]),
            width=int(match["width"]),
            out_channels=int(match["out_channels"]),
            kernel=kernel,
            stride=stride,
            padding=(top, left, bottom, right),
            dilation=dilation,
            groups=int(match["groups"]),
            dtype=match["dtype"],
            bias=match["bias"] is not None,
            residual=match["residual"] is not None,
            activation=match["activation"] or "",
            input_zero=int(match["input_zero"] or 0),
            residual_zero=int(match["residual_zero"] or 0),
            output_zero=None if match["output_zero"] is None else int(match["output_zero"]),
            output_limit=int(match["output_limit"] or UINT8_MAX),
            weight_limit=int(match["weight_limit"] or INT8_MAX),
            input_block=input_block,
            output_block=output_block,
            format=match["format"] or "dense",
        )


def _times(numbers: tuple[int, ...]) -> str:
    return "x".join(str(number) for number in numbers)


def _pair(text: str) -> tuple[int, int]:
    first, second = text.split("x")
    return int(first), int(second)
