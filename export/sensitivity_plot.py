"""The picture of a sensitivity measurement: size against PSNR with the choice in it, and what each layer costs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ..runtime_ref.errors import require
from ..runtime_ref.files import write_file
from .sensitivity import Sensitivity

_SHOWN = 25  # most sensitive layers that are drawn


def draw(found: Sensitivity, path: Path) -> None:
    """Write the picture in the format of the path's suffix.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib", "report", "drawing a plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    sizes, layers = figure.subplots(1, 2)
    _draw_sizes(sizes, found)
    _draw_layers(layers, found)
    figure.suptitle(f"{found.recipe.target.title}: int8 with some layers in floats, worst of {_pictures(found)}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=130)
    write_file(path, buffer.getvalue())


def _pictures(found: Sensitivity) -> str:
    count = len(found.recipe.pictures)
    return "1 picture" if count == 1 else f"{count} pictures"


def _draw_sizes(axes: Any, found: Sensitivity) -> None:
    recipe = found.recipe
    points = found.curve[:-1]  # the last one is the file in floats itself, far above all others
    axes.plot([p.measured.size for p in points], [p.measured.psnr for p in points], "o-", color="tab:blue", zorder=2)
    for point in points:
        axes.annotate(
            str(point.kept),
            (point.measured.size, point.measured.psnr),
            (5, -11),
            textcoords="offset points",
            fontsize=8,
        )
    kept = sum(map(len, recipe.keep.values()))
    axes.plot(recipe.reached.size, recipe.reached.psnr, "*", color="tab:red", markersize=16, zorder=3)
    axes.annotate(
        f"chosen: {kept} layers in floats\n{recipe.reached.psnr:.1f} dB at {recipe.reached.size:.3f}",
        (recipe.reached.size, recipe.reached.psnr),
        (14, 12),
        textcoords="offset points",
        color="tab:red",
    )
    kind, _, value = recipe.budget.partition("=")
    (axes.axhline if kind == "PSNR" else axes.axvline)(float(value), color="tab:red", linestyle=":", linewidth=1)
    axes.set_xlabel("size, part of the files in floats")
    axes.set_ylabel("PSNR of the whole pipeline against PyTorch, dB")
    axes.set_title("Numbers: layers in floats, the most sensitive first", fontsize=10)
    axes.grid(alpha=0.3)


def _draw_layers(axes: Any, found: Sensitivity) -> None:
    shown = found.costs[:_SHOWN]
    colours = ["tab:red" if cost.layer in found.recipe.kept(cost.stage) else "tab:blue" for cost in shown]
    names = [f"{cost.stage}: {cost.layer}" for cost in shown]
    axes.barh(names, [cost.psnr for cost in shown], color=colours)
    axes.invert_yaxis()
    axes.set_xlim(left=max(0, min(cost.psnr for cost in shown) - 5))
    axes.set_xlabel("PSNR with this layer alone quantised, dB")
    axes.set_title(f"The {len(shown)} most sensitive layers (red: left in floats)", fontsize=10)
    axes.tick_params(axis="y", labelsize=7)
