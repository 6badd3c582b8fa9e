"""A figure of the report, and its forms: SVG to stand in a page, SVG and PNG as files.

Lines and words are drawn in one dark colour, which the page replaces by that of its own text: so a figure can
be read on a light and on a dark page. Samples by the thousand are drawn as an image inside the SVG.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK = "#1a1b1c"
"""Colour of lines and words; nothing else is drawn in it."""

COLOURS = ("#3f7fd0", "#d9822b", "#3a9d72", "#b05fb5", "#c9504a", "#8c8c3f", "#4aa7b5", "#8a7a6a")
"""Colours that stand out on white and on black."""

SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dlas",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    **{
        f"{part}color": INK
        for part in ("text.", "axes.edge", "axes.label", "axes.title", "xtick.", "ytick.", "legend.label")
    },
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "grid.color": "#8888884d",
}
"""Settings of Matplotlib. Names of points may hold a dollar sign, which is no formula."""

PNG_DPI, SMALL_PNG_DPI, RASTER_DPI = 150, 90, 130


@dataclass(frozen=True)
class Drawing:
    """A drawn figure."""

    name: str
    """Short name, of which files are named."""
    caption: str
    figure: Figure


@contextmanager
def axes(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of so many inches with one pair of axes; its parts are laid out once it is drawn."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()
        layout = figure.get_layout_engine()
        assert layout is not None
        layout.execute(figure)
        figure.set_layout_engine("none")  # or each form of the figure would lay it out, and be drawn twice


def plain_ticks(axis: Axis) -> None:
    """Put plain numbers at 1, 2 and 5 of a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def inline_svg(drawing: Drawing) -> str:
    """The figure as an SVG element for a page, in the colour of its text. Its ids begin with its name, as a
    page has several."""
    svg = _svg(drawing)
    inner = svg[svg.index("<svg") :].replace(INK, "currentColor")
    named = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{drawing.name}-", inner)
    return named.replace("<svg ", '<svg role="img" ', 1)


def svg_file(drawing: Drawing) -> bytes:
    """The figure as a file of its own."""
    return _svg(drawing).encode()


def png_file(drawing: Drawing) -> bytes:
    """The figure as an image on white."""
    file = io.BytesIO()
    _save(drawing, file, "png", PNG_DPI, facecolor="white")
    return file.getvalue()


def small_png_file(drawing: Drawing) -> bytes:
    """The same for a screen: it is drawn in half the time, and each point has some."""
    file = io.BytesIO()
    _save(drawing, file, "png", SMALL_PNG_DPI, facecolor="white")
    return file.getvalue()


def _svg(drawing: Drawing) -> str:
    file = io.BytesIO()
    _save(drawing, file, "svg", RASTER_DPI, facecolor="none")
    return file.getvalue().decode()


def _save(drawing: Drawing, file: io.BytesIO, kind: str, dpi: int, facecolor: str) -> None:
    import matplotlib as mpl

    undated = dict.fromkeys(("Date", "Creator", "Format", "Type")) if kind == "svg" else {}
    with mpl.rc_context(SETTINGS):
        drawing.figure.savefig(file, format=kind, dpi=dpi, facecolor=facecolor, metadata=undated)
