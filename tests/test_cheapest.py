"""The choice of kernels against every possible choice, tried one by one."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlas.systems.choices.cheapest_mix import Follower, LayerOptions, LayoutCost, Option, cheapest


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[LayerOptions], list[Follower], list[str], dict[str, LayoutCost]]:
    """A chain of layers with shortcuts, and perhaps a pooling layer in the middle."""
    milliseconds = st.integers(1, 100).map(float)
    choices, followers, activations = [], [], ["image"]
    for index in range(draw(st.integers(0, 4))):
        if index == 2 and draw(st.booleans()):
            sources = draw(st.lists(st.sampled_from(activations), min_size=1, max_size=2, unique=True))
            followers.append(Follower(tuple(sources), "pooled"))
            activations.append("pooled")
        options = draw(
            st.lists(st.builds(Option, milliseconds, st.booleans(), st.booleans()), min_size=1, max_size=3)
        )
        shortcut = draw(st.sampled_from([None, *activations]))
        choices.append(LayerOptions(activations[-1], shortcut, f"layer{index}", tuple(options)))
        activations.append(f"layer{index}")
    changing = draw(st.sets(st.sampled_from(activations), min_size=1))
    changes = {name: LayoutCost(draw(milliseconds), draw(milliseconds)) for name in sorted(changing)}
    return choices, followers, [activations[-1]], changes


def cost(
    picks: tuple[int, ...],
    choices: list[LayerOptions],
    followers: list[Follower],
    read_plain: list[str],
    changes: dict[str, LayoutCost],
) -> float:
    """Milliseconds, every layout change paid once per activation and direction."""
    chosen = [choice.options[pick] for choice, pick in zip(choices, picks, strict=True)]
    blocked = {choice.output: option.writes_blocks for choice, option in zip(choices, chosen, strict=True)}
    for follower in followers:
        blocked[follower.output] = any(
            blocked.get(name, False) for name in follower.inputs if name in changes
        )
    needs = [(name, False) for name in read_plain]
    for choice, option in zip(choices, chosen, strict=True):
        needs.append((choice.data, option.reads_blocks))
        needs += [(choice.residual, option.writes_blocks)] if choice.residual else []
    for follower in followers:
        if follower.output in changes:
            needs += [(name, blocked[follower.output]) for name in follower.inputs]
    changed = {
        (name, in_blocks)
        for name, in_blocks in needs
        if name in changes and in_blocks != blocked.get(name, False)
    }
    return sum(option.time_ms for option in chosen) + sum(
        changes[name].to_blocks_ms if in_blocks else changes[name].to_plain_ms for name, in_blocks in changed
    )


@given(networks())
@settings(max_examples=200)
def test_no_other_choice_is_cheaper(
    network: tuple[list[LayerOptions], list[Follower], list[str], dict[str, LayoutCost]],
) -> None:
    choices = network[0]
    every = product(*(range(len(choice.options)) for choice in choices))
    least = min(cost(picks, *network) for picks in every)
    assert cost(tuple(cheapest(*network)), *network) == pytest.approx(least)


def test_the_fastest_kernel_of_each_layer_is_not_always_the_fastest_network() -> None:
    """Greedy would take the blocked kernel in the middle, and pay for two layout changes."""
    plain, blocked = Option(1.0, reads_blocks=False, writes_blocks=False), Option(0.9, True, True)
    layers = [
        LayerOptions("image", None, "a", (plain,)),
        LayerOptions("a", None, "b", (plain, blocked)),
        LayerOptions("b", None, "c", (plain,)),
    ]
    changes = {name: LayoutCost(0.2, 0.2) for name in "abc"}
    assert cheapest(layers, [], ["c"], changes) == [0, 0, 0]
    assert cheapest(layers, [], ["c"], dict.fromkeys("abc", LayoutCost(0.01, 0.01))) == [0, 1, 0]
