"""Channel pruning of networks with every kind of layer that has channels, and of those where channels cannot
go."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from dlas.compression import channel_pruning
from dlas.errors import UserError
from dlas.models import checkpoint

SHAPE = (3, 16, 16)
SETTINGS = channel_pruning.Settings("channel_pruning")


class Forward(nn.Module):
    """Layers by name, and a forward that is given them."""

    def __init__(
        self, forward: Callable[..., torch.Tensor], **layers: nn.Module | nn.Parameter | torch.Tensor
    ) -> None:
        super().__init__()
        self.written = forward
        for name, layer in layers.items():
            if isinstance(layer, nn.Module | nn.Parameter):
                setattr(self, name, layer)
            else:
                self.register_buffer(name, layer)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.written(self, images)


def channels_last(layer: nn.Module) -> nn.Module:
    return Forward(lambda own, x: own.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), layer=layer)


def around(*layers: nn.Module, width: int = 16) -> nn.Sequential:
    """The layers between a convolution to 16 channels and one from `width` to 24."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        *layers,
        nn.ReLU(),
        nn.Conv2d(width, 24, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 10),
    )


def scaled() -> nn.Module:
    return Forward(lambda own, x: own.scale * x, scale=nn.Parameter(torch.rand(1, 16, 1, 1)))


def moved() -> nn.Module:
    return Forward(lambda own, x: own.place + x, place=nn.Parameter(torch.rand(1, 16, 14, 14)))


CHANNEL_BY_CHANNEL = {
    "nothing": lambda: around(),
    "batch norm": lambda: around(nn.BatchNorm2d(16)),
    "batch norm without scales": lambda: around(nn.BatchNorm2d(16, affine=False)),
    "instance norm": lambda: around(nn.InstanceNorm2d(16, affine=True)),
    "prelu": lambda: around(nn.PReLU(16)),
    "one prelu": lambda: around(nn.PReLU()),
    "a scale": lambda: around(scaled()),
    "a plane": lambda: around(moved()),
    "depthwise": lambda: around(nn.Conv2d(16, 16, 3, groups=16)),
    "two depthwise": lambda: around(
        nn.Conv2d(16, 16, 3, groups=16), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 1, groups=16, bias=False)
    ),
    "frozen": lambda: around(nn.BatchNorm2d(16)).requires_grad_(False),
    "one channel in": lambda: nn.Sequential(
        Forward(lambda own, x: x.mean(1, keepdim=True)), nn.Conv2d(1, 16, 3), *around()[1:]
    ),
}
OTHER = {
    "group norm": lambda: around(nn.GroupNorm(4, 16)),
    "group norm without scales": lambda: around(nn.GroupNorm(4, 16, affine=False)),
    "layer norm": lambda: around(channels_last(nn.LayerNorm(16))),
    "groups": lambda: around(nn.Conv2d(16, 16, 3, groups=4)),
    "transposed": lambda: around(nn.ConvTranspose2d(16, 16, 2, 2)),
    "a linear layer": lambda: around(channels_last(nn.Linear(16, 16))),
    "one channel between": lambda: around(nn.Conv2d(16, 1, 1), nn.ReLU(), nn.Conv2d(1, 16, 1)),
    "in one dimension": lambda: nn.Sequential(
        nn.Flatten(2), nn.Conv1d(3, 16, 3), nn.BatchNorm1d(16), nn.Conv1d(16, 16, 3), *_pooled_rows()
    ),
    "in three dimensions": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 16, 3), nn.Flatten(1, 2), *around()[1:]
    ),
}
WHOLE = {
    "shuffled": (lambda: around(nn.ChannelShuffle(2), nn.Conv2d(16, 16, 1, groups=2)), "0"),
    "halves": (
        lambda: around(Forward(lambda own, x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1]), width=8),
        "0",
    ),
    "written-out": (lambda: around(Forward(lambda own, x: x.view(-1, 16, 14, 14))), "0"),
    "backwards": (lambda: around(Forward(lambda own, x: x.flip(1))), "0"),
    "pixels": (lambda: around(nn.PixelShuffle(2), width=4), "0"),
    "multiplied": (lambda: around(nn.Conv2d(16, 32, 3, groups=16), width=32), "0"),
    "a constant": (lambda: around(Forward(lambda own, x: own.mean + x, mean=torch.rand(1, 16, 1, 1))), "0"),
    "layer norm without scales": (
        lambda: around(channels_last(nn.LayerNorm(16, elementwise_affine=False))),
        "0",
    ),
    "recurrent": (
        lambda: around(
            Forward(
                lambda own, x: (
                    own.rows(x.mean(3).transpose(1, 2))[0].transpose(1, 2)[..., None].repeat(1, 1, 1, 3)
                ),
                rows=nn.GRU(16, 16, batch_first=True),
            )
        ),
        "0",
    ),
    "attention": (
        lambda: around(
            Forward(
                lambda own, x: (
                    own.look(*[x.flatten(2).transpose(1, 2)] * 3)[0].transpose(1, 2).unflatten(2, (14, 14))
                ),
                look=nn.MultiheadAttention(16, 2, batch_first=True),
            )
        ),
        "0",
    ),
    "tied": (lambda: tied(), "1"),
    "computed": (lambda: around(parametrizations.weight_norm(nn.Conv2d(16, 16, 1))), "1"),
}


def tied() -> nn.Module:
    network = around(nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 1))
    network[3].weight = network[1].weight
    return network


def _pooled_rows() -> list[nn.Module]:
    return [nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 10)]


def built(factory: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = factory()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 1.5)
            if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm) and layer.weight is not None:
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias)
    return network.eval()


def images() -> torch.Tensor:
    return torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))


def pruned_and_restored(network: nn.Module, folder: Path) -> nn.Module:
    """The pruned network, which was found to be what is restored."""
    pruned = channel_pruning.prune_channels(network, SHAPE, 0.5, 8)
    checkpoint.save(pruned, folder / "pruned.safetensors")
    restored = channel_pruning.restore(network, folder / "pruned.safetensors")
    answer = pruned(images())
    assert answer.shape == (3, 10)
    assert torch.equal(restored(images()), answer)
    assert described(restored) == described(pruned)
    flags = [
        {name: each.requires_grad for name, each in one.named_parameters()} for one in (pruned, restored)
    ]
    assert flags == [{name: each.requires_grad for name, each in network.named_parameters()}] * 2
    return pruned


def described(network: nn.Module) -> str:
    """Text of its layers, but for the width of a group norm without scales, which nothing depends on."""
    return re.sub(r"GroupNorm\(4, \d+, eps=1e-05, affine=False", "GroupNorm(", repr(network))


@pytest.mark.parametrize("name", CHANNEL_BY_CHANNEL)
def test_what_is_left_computes_what_the_network_does_without_those_channels(
    name: str, tmp_path: Path
) -> None:
    """Biases tell which channels were kept; the others are set to zero where the next layer reads them."""
    network = built(CHANNEL_BY_CHANNEL[name])
    pruned = pruned_and_restored(network, tmp_path)
    (stem, reader, classifier), (small_stem, small_reader, _) = dense(network), dense(pruned)
    assert (len(small_stem.bias), len(small_reader.bias)) == (8, 16)
    reader.register_forward_pre_hook(zeroing(~torch.isin(stem.bias, small_stem.bias)))
    classifier.register_forward_pre_hook(zeroing(~torch.isin(reader.bias, small_reader.bias)))
    torch.testing.assert_close(pruned(images()), network(images()))


def dense(network: nn.Module) -> list[nn.Module]:
    layers = [layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    return [layer for layer in layers if isinstance(layer, nn.Linear) or layer.groups == 1]


def zeroing(channels: torch.Tensor) -> Callable[..., torch.Tensor]:
    return lambda layer, given: given[0].index_fill(1, channels.nonzero()[:, 0], 0)


@pytest.mark.parametrize("name", OTHER)
def test_every_kind_of_layer_follows_the_channels(name: str, tmp_path: Path) -> None:
    network = built(OTHER[name])
    pruned = pruned_and_restored(network, tmp_path)
    before, after = ([*one.parameters()] for one in (network, pruned))
    assert [each.shape for each in after[:2]] == [(8, *before[0].shape[1:]), (8,)]


@pytest.mark.parametrize("name", WHOLE)
def test_channels_that_cannot_go_stay_and_are_named(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    factory, whole = WHOLE[name]
    network = built(factory)
    pruned = pruned_and_restored(network, tmp_path)
    assert re.search(rf"the channels of (\S+, )*{whole}[, ]", caplog.text)
    assert pruned.get_submodule(whole).bias.shape == network.get_submodule(whole).bias.shape
    assert dense(pruned)[-2].out_channels == 16, "others go"
    assert len([*pruned.parameters()]) == len([*network.parameters()]), "shared weights stay shared"
    assert ("no longer share it" in caplog.text) == (name == "tied")


@pytest.mark.parametrize(
    "forward",
    [
        lambda own, x: own.classes(x) + own.classes(x.abs()),
        lambda own, x: own.classes(x) + own.other(x),
        lambda own, x: own.classes(x) * own.gate(x).sigmoid(),
        lambda own, x: own.classes(x) + own.aside(x).sum(1, keepdim=True),
    ],
)
def test_the_classes_stay_wherever_they_come_from(
    forward: Callable[..., torch.Tensor], tmp_path: Path
) -> None:
    """The last layer that runs gives no classes, or is one of several that do."""
    network = built(
        lambda: Forward(
            lambda own, x: forward(own, own.stem(x).relu().mean((2, 3))),
            stem=nn.Conv2d(3, 16, 3),
            classes=nn.Linear(16, 10),
            other=nn.Linear(16, 10),
            gate=nn.Linear(16, 1),
            aside=nn.Linear(16, 24),
        )
    )
    pruned = pruned_and_restored(network, tmp_path)
    assert pruned.stem.out_channels == 8
    assert pruned.classes.weight.shape == (10, 8)


def test_a_network_of_which_no_channel_can_go_is_refused_by_its_layers() -> None:
    network = built(
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3, 8), nn.Unflatten(1, (4, 4)), nn.Flatten(), nn.Linear(64, 10)
        )
    )
    with pytest.raises(UserError, match="those of 0 ") as refused:
        channel_pruning.rehearse(network, SHAPE, SETTINGS)
    assert "leave channel_pruning out" in refused.value.remedy


def test_a_rehearsal_warns_where_the_settings_leave_every_channel(caplog: pytest.LogCaptureFixture) -> None:
    channel_pruning.rehearse(built(around), SHAPE, channel_pruning.Settings("channel_pruning", round_to=32))
    assert "round_to=32" in caplog.text
