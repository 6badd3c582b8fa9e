"""Where layers lie under the roofs of their machine, and the figures of that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlas.analysis.layer_row import LayerRow
from dlas.analysis.roofline import placed
from dlas.analysis.tables.layers import Network
from dlas.figures.one_point import layers
from dlas.figures.roofline import rooflines
from dlas.hardware.results.roofs import Bounds
from dlas.interfaces.workload import ConvWorkload

BOUNDS = Bounds(float32=100.0, int8=None, bandwidth=20.0)
WORKLOAD = ConvWorkload(1, 64, 8, 8, 32, (1, 1), residual=True)
LAYER = LayerRow(
    "conv", 0.01, WORKLOAD.key, algorithm="direct", macs=WORKLOAD.macs, sparsity=0.5, weight_bytes=64 * 32 * 4
)
OPERATIONS = 2 * 64 * 32 * 8 * 8
MOVED = 4 * (64 * 8 * 8 + 64 * 32 + 2 * 32 * 8 * 8)


def test_a_layer_s_place_is_what_a_person_counts() -> None:
    found = placed(LAYER, BOUNDS)
    assert found is not None
    assert found.intensity == pytest.approx(OPERATIONS / MOVED)
    assert found.speed == pytest.approx(OPERATIONS / 0.01e6)
    assert found.roof == pytest.approx(min(100, 20 * OPERATIONS / MOVED))
    assert found.share == pytest.approx(found.speed / found.roof)


def test_zeros_count_unless_the_format_leaves_them_out() -> None:
    sparse = replace(LAYER, workload=replace(WORKLOAD, format="csr").key, format="csr")
    dense, left = placed(LAYER, None), placed(sparse, None)
    assert dense is not None
    assert left is not None
    assert left.speed == dense.speed / 2
    assert left.share is None


@pytest.mark.parametrize(
    "changes",
    [
        {"macs": None},
        {"time_ms": 0.0},
        {"time_ms": 5e-324},
        {"workload": "no workload"},
        {"workload": WORKLOAD.key.replace("s1x1", "s0x0")},
        {"workload": WORKLOAD.key.replace("i64", f"i{10**400}")},
        {"workload": WORKLOAD.key.replace("float32", "complex64")},
        {"sparsity": 7.0, "workload": replace(WORKLOAD, format="csr").key},
    ],
)
def test_what_can_t_be_placed_has_no_place(changes: dict[str, object]) -> None:
    assert placed(replace(LAYER, **changes), BOUNDS) is None  # type: ignore[arg-type]


def test_each_measurement_of_roofs_has_a_figure_of_its_own() -> None:
    other = replace(BOUNDS, float32=50.0)
    networks = [Network("a", [LAYER], BOUNDS), Network("b", [LAYER], None), Network("c", [LAYER], other)]
    found = rooflines([*networks, Network("d", [LAYER], BOUNDS)])
    assert [drawing.name for drawing in found] == ["roofline", "roofline_2"]
    assert found[0].caption.startswith("2 layers")
    assert found[1].caption.startswith("1 layer ")
    assert rooflines(networks[1:2]) == []


def test_of_many_layers_the_slowest_are_drawn_in_their_order() -> None:
    rows = [replace(LAYER, layer=f"conv{place}", time_ms=1.0 + place % 50) for place in range(100)]
    (drawing,) = layers(Network("a", rows, None))
    (axes,) = drawing.figure.axes
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown == [row.layer for row in rows if row.time_ms > 30]
    assert layers(Network("a", [], None)) == []
