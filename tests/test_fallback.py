"""What is not a convolution against PyTorch, between layers in NCHW and in blocks of channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import tvm
from torch import nn
from torch.nn import functional

from dlas import config
from dlas.hardware.target import resolve
from dlas.systems.building import build_library
from dlas.systems.lowering import lower

OPERATORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "max pooling with a border": lambda x: functional.max_pool2d(x, 3, 2, 1),
    "max pooling": lambda x: functional.max_pool2d(x, 2),
    "average pooling": lambda x: functional.avg_pool2d(x, 2),
    "overlapping average pooling": lambda x: functional.avg_pool2d(x, 3, 1, 1),
    "global average pooling": lambda x: x.mean((2, 3), keepdim=True),
    "element-wise chain": lambda x: functional.relu6(x * 0.5 + 1) + x.sigmoid(),
    "concatenation": lambda x: torch.cat([x, functional.relu(x), x + 1], 1),
    "softmax": lambda x: x.mean((2, 3)).softmax(1)[:, :, None, None],
}


class EveryOperator(nn.Module):
    """Each operator between two convolutions, what comes out side by side."""

    def __init__(self) -> None:
        super().__init__()
        channels = 24
        probe = torch.zeros(1, channels, 8, 8)
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.last = nn.ModuleList(
            nn.Conv2d(operator(probe).shape[1], 10, 1) for operator in OPERATORS.values()
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        found = [last(operator(x)) for last, operator in zip(self.last, OPERATORS.values(), strict=True)]
        return torch.cat([each.flatten(1) for each in found], 1)


@pytest.mark.parametrize("algorithm", ["direct", "spatial_pack"])
def test_operators_between_convolutions_equal_pytorch(algorithm: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 3, 29, 30)
    network = EveryOperator().eval()
    program = lower(network, image.shape, f"dlas.algorithms.{algorithm}")
    build_library(program, {}, resolve(config.Target(name="host")), 3, tmp_path / "library.so")
    library = tvm.runtime.load_module(str(tmp_path / "library.so"))
    found = tvm.runtime.vm.VirtualMachine(library, tvm.cpu())["main"](tvm.runtime.tensor(image.numpy()))
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(found.numpy()), network(image), rtol=1e-4, atol=1e-5)
