"""Networks written down by torch.export: batch norm folded, constants computed, each call a layer."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.nn import functional

from dlas.errors import UserError
from dlas.models.graph import state
from dlas.models.graph.exporting import decomposed, exported

IMAGES = torch.linspace(-1, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)


class Computing(nn.Module):
    """A network whose forward is the function given with it."""

    def __init__(self, forward: Callable[..., torch.Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.computed = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.computed(self, images)


def norm(channels: int, kind: type[nn.Module] = nn.BatchNorm2d, **options: bool) -> nn.Module:
    """Batch norm with statistics, scale and shift of its own."""
    layer = kind(channels, **options)
    generator = torch.Generator().manual_seed(channels)
    with torch.no_grad():
        layer.running_mean.normal_(generator=generator)
        layer.running_var.uniform_(0.5, 2, generator=generator)
        for each in layer.parameters():
            each.uniform_(0.5, 2, generator=generator)
    return layer


def tied() -> nn.Module:
    first, second = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
    second.weight = first.weight
    return nn.Sequential(nn.Conv2d(3, 8, 1), first, nn.ReLU(), second)


def under_two_names() -> nn.Module:
    layer = nn.Conv2d(3, 3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer)


def filtered(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return functional.conv2d(images, net.taps.running_mean.reshape(3, 1, 2, 2), groups=3)


def called_as_a_second_call() -> nn.Module:
    layer = nn.Conv2d(3, 3, 3)
    layer.call2 = nn.Conv2d(3, 3, 3)
    return Computing(lambda net, x: net.conv.call2(net.conv(net.conv(x))), conv=layer)


def called_as_what_is_left_of_a_norm() -> nn.Module:
    scale = nn.Module()
    scale.scale = nn.Parameter(torch.rand(1, 3, 1, 1))
    return Computing(
        lambda net, x: net.conv(net.norm(x)) * net.batch_norm.scale,
        norm=norm(3),
        conv=nn.Conv2d(3, 3, 3),
        batch_norm=scale,
    )


def bias_by_itself(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return net.norm(net.conv(images)) + net.conv.bias.reshape(-1, 1, 1)


def written_into(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Zeros that branches are added to, seen by a view that was made before; and a count of calls."""
    net.norm.running_mean += 0.125
    total = torch.zeros(len(images), 4, 14, 14)
    row = total[:, :, 0]
    total += net.conv(images)
    first, _ = total.split(2, 1)
    first += net.other(images)[:, :2]
    return torch.cat([total, row.unsqueeze(2)], 2)


def positions(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    place = torch.zeros(1, 4, 14, 14)
    place[:, ::2] = torch.arange(14.0).sin()
    place[:, 1::2] = torch.arange(14.0)[:, None].cos()
    return net.conv(images) + place


NETWORKS = {
    "convolution": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), norm(8)), ["0"]),
    "depthwise": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, bias=False), norm(6)), ["0"]),
    "no_affine": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), norm(8, affine=False)), ["0"]),
    "same_padding": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), norm(8)), ["0"]),
    "circular": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular"), norm(8)),
        ["0"],
    ),
    "before_the_convolution": (lambda: nn.Sequential(norm(3), nn.Conv2d(3, 8, 3)), ["1"]),
    "after_pooling": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.AvgPool2d(2), norm(8)), ["0"]),
    "linear": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 4), norm(4, nn.BatchNorm1d)),
        ["1"],
    ),
    "linear_on_tokens": (
        lambda: nn.Sequential(nn.Flatten(2), nn.Linear(256, 4), norm(3, nn.BatchNorm1d)),
        ["1"],
    ),
    "conv1d": (lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3), norm(4, nn.BatchNorm1d)), ["1"]),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 2, 2), norm(4)), ["0"]),
    "shared_with_one_norm": (
        lambda: Computing(
            lambda net, x: net.conv(x) + net.norm(net.conv(x / 2)), conv=nn.Conv2d(3, 4, 3), norm=norm(4)
        ),
        ["conv", "conv.call2"],
    ),
    "shared_with_two_norms": (
        lambda: Computing(
            lambda net, x: net.one(net.conv(x)).mean((2, 3)) + net.two(net.conv(x[..., ::2])).mean((2, 3)),
            conv=nn.Conv2d(3, 4, 3, bias=False),
            one=norm(4),
            two=norm(4, affine=False),
        ),
        ["conv", "conv.call2"],
    ),
    "read_twice": (
        lambda: Computing(
            lambda net, x: (y := net.conv(x)) + net.norm(y), conv=nn.Conv2d(3, 4, 3), norm=norm(4)
        ),
        ["conv"],
    ),
    "tied": (tied, ["0", "1", "3"]),
    "under_two_names": (under_two_names, ["0", "2"]),
    "weight_norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3)), norm(8)),
        ["0"],
    ),
    "spectral_norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 8, 3))),
        ["0"],
    ),
    "weight_in_a_buffer": (lambda: Computing(filtered, taps=norm(12)), ["network"]),
    "gru": (
        lambda: Computing(
            lambda net, x: net.gru(x.mean(3).transpose(1, 2))[0], gru=nn.GRU(3, 4, batch_first=True)
        ),
        [],
    ),
    "called_as_a_second_call": (called_as_a_second_call, ["conv", "conv.call2", "conv.call3"]),
    "called_as_what_is_left_of_a_norm": (called_as_what_is_left_of_a_norm, ["conv"]),
    "bias_by_itself": (lambda: Computing(bias_by_itself, conv=nn.Conv2d(3, 4, 3), norm=norm(4)), []),
    "written_into": (
        lambda: Computing(written_into, conv=nn.Conv2d(3, 4, 3), other=nn.Conv2d(3, 4, 3), norm=norm(4)),
        ["conv", "other"],
    ),
    "positions": (lambda: Computing(positions, conv=nn.Conv2d(3, 4, 3)), ["conv"]),
    "way_by_the_shape": (
        lambda: Computing(
            lambda net, x: net.norm(net.conv(x)) if x.shape[2] > 8 else x,
            conv=nn.Conv2d(3, 4, 3),
            norm=norm(4),
        ),
        ["conv"],
    ),
}


@cache
def made(kind: str) -> tuple[nn.Module, ExportedProgram, ExportedProgram]:
    """The network, its export, and what is decomposed of that."""
    torch.manual_seed(0)
    network = NETWORKS[kind][0]().eval()
    with torch.no_grad():
        program = exported(network, IMAGES)
        return network, program, decomposed(program)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_exported_network_answers_as_the_network_does(kind: str) -> None:
    network, *programs = made(kind)
    with torch.no_grad():
        expected = network(IMAGES)
        for answers in [program.module() for program in programs] * 2:
            torch.testing.assert_close(answers(IMAGES), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_call_of_a_layer_has_its_own_weight_under_the_layers_name(kind: str) -> None:
    _, _, program = made(kind)
    assert not program.graph.find_nodes(
        op="call_function", target=torch.ops.aten._native_batch_norm_legit_no_training.default
    )
    weights = {node: name for node, name in state.names(program).items() if node.meta["val"].dim() > 1}
    assert {name.removesuffix(".weight") for name in weights.values()} >= {*NETWORKS[kind][1]}
    assert all(len(node.users) == 1 for node in weights)


def test_a_norm_by_itself_in_float16_computes_in_float32() -> None:
    """Its scale times its input is more than float16 has room for."""
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)).eval()
    network[0].running_mean.fill_(300)
    network[0].running_var.zero_()
    images = IMAGES.half() + 300
    program = decomposed(exported(network.half(), images))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), network(images), rtol=0.01, atol=0.1)


def test_a_network_of_another_batch_is_exported_for_any_number_of_images() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), norm(8), nn.Flatten(), nn.Linear(1568, 4)).eval()
    program = exported(network, IMAGES, ({0: torch.export.Dim.DYNAMIC},))
    with torch.no_grad():
        five = torch.cat([IMAGES, IMAGES, IMAGES[:1]])
        torch.testing.assert_close(program.module()(five), network(five))


def test_a_way_by_the_pixels_is_refused_with_the_layer() -> None:
    def turning(layer: nn.Module, images: torch.Tensor) -> torch.Tensor:
        return images if images.sum() > 0 else -images

    network = nn.Sequential(nn.Conv2d(3, 4, 3), Computing(turning))
    with pytest.raises(UserError) as refusal:
        exported(network.eval(), IMAGES)
    assert "the layer 1" in str(refusal.value)
    assert "test_exported_graph.py" in str(refusal.value)
