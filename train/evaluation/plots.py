"""Line plots for the report."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence

from ...runtime_ref.errors import require


def line_plot(lines: Mapping[str, Sequence[tuple[float, float]]], x_title: str, y_title: str) -> str:
    """Lines of (x, y) points with markers, x on a scale of doublings, as an SVG data URI.

    Args:
        lines: title -> points, sorted by x > 0.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    require("matplotlib", "report", "drawing the report's plots")
    from matplotlib.figure import Figure  # no pyplot: it would look for a display and keep the figure
    from matplotlib.ticker import NullLocator

    plot = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = plot.add_subplot()
    for title, points in lines.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=title)
    axes.set_xscale("log", base=2)
    ticks = sorted({x for points in lines.values() for x, _ in points})
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(x_title)
    axes.set_ylabel(y_title)
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    plot.savefig(buffer, format="svg")
    return f"data:image/svg+xml;base64,{b64encode(buffer.getvalue()).decode()}"
