"""What a point's kernels save, counted by hand: of zeros and of data types."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from quantized_networks import quantized
from torch import nn

from dlas.bundle import speedup
from dlas.bundle.layer_table import layer_rows, write_layers
from dlas.hardware.timing.single_kernels import KernelTime
from dlas.interfaces.program import LoweredProgram
from dlas.models import counting
from dlas.models.precision import Float16, Precision
from dlas.systems.choices.lowering import lower
from dlas.systems.program.kernel_choice import NOT_TUNED, KernelChoice

IMAGE = (3, 8, 8)


def pruned() -> nn.Sequential:
    """Convolutions of 6912 and 18432 MACs, and a linear layer of 40. Of the first, two rows with 13 columns
    are left, of the second, half of the output and half of the input channels."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    with torch.no_grad():
        matrix = network[0].weight.reshape(4, 27)
        matrix[:, 13:] = 0
        matrix[2:, :] = 0
        network[2].weight[::2] = 0
        network[2].weight[:, :2] = 0
    return network.eval()


def saving(network: nn.Module, program: LoweredProgram) -> float:
    """Of a network that has lost no channels."""
    macs = counting.macs_by_layer(network, IMAGE)
    return speedup.expected(sum(macs.values()), macs, program, 32)


@pytest.mark.parametrize(
    ("weight_format", "spent"),
    [
        ("dense", 6912 + 18432 + 40),
        ("csr", 64 * 26 + 18432 // 4 + 40),
        ("bsr2x9", 64 * 2 * 18 + 18432 // 2 + 40),
        ("channel_index", 64 * 2 * 2 * 9 + 18432 // 4 + 40),
    ],
)
def test_zeros_are_saved_where_the_format_leaves_them_out(weight_format: str, spent: int) -> None:
    program = lower(pruned(), (1, *IMAGE), "direct", weight_format)
    stored = {layer.name: layer.workload.format for layer in program.layers}
    assert stored["0"] == stored["2"] == weight_format
    assert saving(pruned(), program) == (6912 + 18432 + 40) / spent


@pytest.mark.parametrize(("network", "ratio"), [(Float16(pruned()), 2), (quantized(pruned(), IMAGE), 4)])
def test_narrow_data_types_save_their_bits_and_no_zeros(network: Precision, ratio: float) -> None:
    program = lower(network.exportable(1), (1, *IMAGE), "direct")
    assert saving(pruned(), program) == ratio


def test_a_layer_in_float32_of_an_int8_network_counts_so_and_is_seen(tmp_path: Path) -> None:
    """padding="same" of a kernel of two rows has no border above: the integer layer would be another."""
    network = pruned()
    network[2] = nn.Conv2d(4, 8, 2, padding="same")
    program = lower(quantized(network, IMAGE).exportable(1), (1, *IMAGE), "direct")
    wide = 4 * 4 * 8 * 64
    assert saving(network, program) == pytest.approx((6912 + wide + 40) / (6912 / 4 + wide + 40 / 4))
    choices = [KernelChoice(layer.kernel, False, NOT_TUNED) for layer in program.layers]
    times = [KernelTime(layer.kernel, 1.0) for layer in program.layers]
    write_layers(layer_rows(program, choices, (), times, {}), tmp_path / "layers.csv")
    with (tmp_path / "layers.csv").open() as file:
        found = {row["layer"]: row["data_type"] for row in csv.DictReader(file)}
    assert found == {"0": "int8", "2": "float32", "5": "int8"}
    assert speedup.float_layers(counting.macs_by_layer(network, IMAGE), program) == ["2"]


class Step(nn.Module):
    """A layer that is called twice, and a function with a weight of its own, which counting doesn't see."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.last = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 5)
        self.weight = nn.Parameter(torch.randn(3, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = self.twice(self.twice(images).relu()).mean((2, 3))
        return self.last(nn.functional.linear(pooled, self.weight))


def test_every_kernel_counts_once_and_a_layer_without_one_counts_whole() -> None:
    network = Step().eval()
    program = lower(network, (1, *IMAGE), "direct")
    twice, unseen, last = 2 * 3 * 3 * 9 * 64, 9, 15
    assert sum(layer.workload.macs for layer in program.layers) == twice + unseen + last
    dense = counting.macs(network, IMAGE)
    assert dense == twice + last
    half = {"twice": twice // 2, "last": last}
    expected = (dense + unseen) / (twice // 2 + unseen + last)
    assert speedup.expected(dense, half, program, 32) == expected, "channels are gone"
    other = {**half, "up": 1000}
    expected = (dense + unseen) / (twice // 2 + unseen + last + 500)
    assert speedup.expected(dense, other, program, 16) == expected
    assert speedup.float_layers(other, program) == ["twice", "last", "up", "weight"]
