"""The page of a report: one HTML file with its style, its figures and a few lines of script in it.

Whatever stands in a name is escaped, and the page forbids itself to load anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources

from dlas.figures.drawing import Drawing, inline_svg
from dlas.report.sections import LISTED, Section

TEMPLATE = "page.html"


def parts(title: str, head: Sequence[str], sections: Sequence[Section]) -> Iterator[str]:
    """The HTML of the report, as texts one after the other; `head` are lines below its title."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def svg(drawing: Drawing) -> Markup:
        return Markup(inline_svg(drawing))  # Matplotlib has escaped the words in it

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(resources.files("dlas.report").joinpath(TEMPLATE).read_text("utf-8"))
    return template.generate(title=title, head=head, sections=sections, svg=svg, most_notes=LISTED)
