"""Conformance suite of network factories."""

from __future__ import annotations

from dlas.interfaces.network import NetworkFactory

CLASSES = 7


def check_network(factory: NetworkFactory, image_size: int) -> None:
    """Make networks and run one. AssertionError where it is none for images of 3 x size x size, or where its
    weights are not those of torch's generator."""
    import torch
    from torch import nn

    def made(seed: int) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return factory(CLASSES)

    network = made(0)
    assert isinstance(network, nn.Module), f"it gives a {type(network).__name__}"
    weights, again = network.state_dict(), made(0).state_dict()
    assert list(weights) == list(again)
    same = all(torch.equal(value, again[name]) for name, value in weights.items())
    assert same, "it gives other weights by the same seed"
    with torch.no_grad():
        answer = network.eval()(torch.zeros(2, 3, image_size, image_size))
    assert answer.shape == (2, CLASSES), f"a number for each of {CLASSES} classes, not {tuple(answer.shape)}"
