"""What the pictures have in common: their inks, how a state looks, a figure and its bytes.

Needs matplotlib; import this module only where that may fail. It uses figure objects alone, no
pyplot and no global state, so it may be called from any thread.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#222222"
PALE_INK = "#707070"


@dataclass(frozen=True, slots=True)
class Look:
    """How one state is drawn: told apart by lightness and texture as well as by hue."""

    label: str
    face: str
    hatch: str | None = None
    edge: str = "none"


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty white figure of so many inches."""
    figure = Figure(figsize=(width_in, height_in), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def rendered(figure: Figure, file_format: str) -> bytes:
    """The figure as "png" or "svg"; the same figure gives the same bytes."""
    output = io.BytesIO()
    metadata = {"Date": None} if file_format == "svg" else None
    figure.savefig(output, format=file_format, dpi=160, metadata=metadata)
    return output.getvalue()
