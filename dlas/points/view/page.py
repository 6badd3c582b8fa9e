"""What the page of a point's run shows beside its bundle: tables that MLflow's UI opens, and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlas.analysis.tables import layers, samples
from dlas.analysis.tables.layers import Network
from dlas.figures import one_point
from dlas.figures.drawing import small_png_file
from dlas.figures.samples import samples_of
from dlas.tracking.delivery import tables

if TYPE_CHECKING:
    from dlas.bundle.writing import Results

FIGURES = "figures"
"""Folder of the figures among a run's files."""


def write(files: Path, found: Results) -> None:
    """Write the tables and the figures among the files of the run."""
    roofs = None if found.roofs is None else found.roofs.roofs.bounds
    network = Network(found.stack.model.name, found.layers, roofs)
    tables.write(files, layers.of_network(network))
    tables.write(files, samples.table(found.timing))
    (files / FIGURES).mkdir(exist_ok=True)
    for drawing in (*one_point.layers(network), one_point.samples(samples_of(network.name, found.timing))):
        (files / FIGURES / f"{drawing.name}.png").write_bytes(small_png_file(drawing))
