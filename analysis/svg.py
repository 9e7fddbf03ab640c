"""Figures as SVG that lives inside a page: same bytes each time, the page's own colours, no file from anywhere."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that stand for the page's variables, so that one figure serves light and dark.
INK, MUTED, RULE, SHADE, LANE, ALARM = (f"#01020{number}" for number in range(1, 7))
_VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", SHADE: "--shade", LANE: "--lane", ALARM: "--lost"}

RASTER_DPI = 150  # of layers with too many points to be drawn one by one

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "callmaybe",
    "svg.fonttype": "none",
    "font.size": 9.5,
    "text.parse_math": False,  # a dollar in a node's name is a dollar
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.linewidth": 0.8,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
}


def to_svg(figure: Figure, name: str, label: str) -> str:
    """Returns the figure as an `<svg>` element.

    Args:
        figure: Made inside `matplotlib.rc_context(STYLE)`.
        name: A word of its own on the page; it keeps the ids of several figures apart.
        label: What the figure shows, for those who cannot see it; letters and blanks only.
    """
    out = io.StringIO()
    with mpl.rc_context(STYLE):
        metadata = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        figure.savefig(out, format="svg", metadata=metadata, dpi=RASTER_DPI)
    drawing = out.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<svg [^>]*?viewBox=", f'<svg role="img" aria-label="{label}" viewBox=', drawing, count=1)
    drawing = re.sub(r'\bid="', f'id="{name}-', drawing)
    drawing = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", drawing)
    for colour, variable in _VARIABLES.items():
        drawing = drawing.replace(colour, f"var({variable})")
    return drawing
