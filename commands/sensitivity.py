"""`dofkit sensitivity`: which layers cost quality when they are quantised, and the fewest to leave in floats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime_ref.target import Target
from ._brought_options import brought_networks, brought_options
from ._groups import GroupedCommand
from ._options import BUNDLE, FILE, TARGET, json_option, weights_option

if TYPE_CHECKING:
    from ..export.sensitivity import Sensitivity


@click.command(cls=GroupedCommand)
@click.argument("bundle", type=BUNDLE)
@click.option("--target", type=TARGET, help="Whose files to quantise.  [default: the bundle's only one]")
@click.option(
    "--budget",
    required=True,
    metavar="PSNR=DB|SIZE=PART",
    help="What the mixed model must reach: whole pictures within so many dB of PyTorch (PSNR=40, the worst picture), "
    "or at most this part of the fp32 size with the best quality (SIZE=0.35).",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Judge on the photos of this folder.  [default: the bundle's own pictures]",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Measure the ranges of activations on the photos of this folder.  [default: public-domain photos]",
)
@weights_option("The weights that the bundle was exported from.  [default: those shipped]", file_okay=False)
@click.option(
    "--out",
    type=FILE,
    default="recipe.json",
    show_default=True,
    help="The recipe, for `dofkit export --precision mixed --recipe`.",
)
@click.option(
    "--plot",
    type=FILE,
    help="Size against PSNR with the chosen point, and every layer's cost, as a picture (.png, .svg, .pdf).",
)
@json_option
@brought_options()
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    target: Target | None,
    budget: str,
    images: Path | None,
    calibration: Path | None,
    weights: Path | None,
    out: Path,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Find the layers of a BUNDLE that int8 hurts most, and write a recipe that leaves the fewest of them in floats.

    Every layer is quantised alone and whole pictures are rendered with it; then the most sensitive are taken back until
    the budget is met, and the result is measured as a whole. Minutes for TFLite and ONNX, longer for Core ML and Core
    AI, which are evaluated. The recipe is JSON that you can read and change.

    \b
    Example:
        dofkit export --target tflite --out float.dofbundle
        dofkit sensitivity float.dofbundle --budget PSNR=40 --images photos --plot sensitivity.png
        dofkit export --target tflite --precision mixed --recipe recipe.json
    """
    from ..runtime_ref.errors import DofkitError, require
    from ..runtime_ref.files import check_folder

    for path in (out, *([plot] if plot else [])):
        check_folder(path)
    if plot is not None:
        require("matplotlib", "report", "drawing a plot")
        if plot.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise DofkitError(f"--plot {plot}: give a name that ends in .png, .svg or .pdf")
    require("torch", "train", "measuring sensitivity")
    from ..export.sensitivity import Budget
    from ..export.sensitivity_run import SensitivityRequest, find_sensitivity
    from . import _console

    request = SensitivityRequest(
        bundle, Budget.parse(budget), target, images, calibration, weights, brought=brought_networks(ctx)
    )
    with _console.progress() as display:
        bar = display.add_task("open", total=None)
        found = find_sensitivity(
            request, lambda what, done, total: display.update(bar, description=what, completed=done, total=total)
        )
    found.recipe.write(out)
    if plot is not None:
        from ..export.sensitivity_plot import draw

        draw(found, plot)
    if as_json:
        _console.print_json(found.as_json())
    else:
        _print(found, out)


def _print(found: Sensitivity, out: Path) -> None:
    """The most sensitive layers, the way from all to none quantised, the choice."""
    from rich.table import Table

    from . import _console

    console = _console.stdout()
    costs = Table(title="Most sensitive layers, each quantised alone", title_justify="left")
    for name in ("stage", "layer", "PSNR dB, worst picture", "saves kB", "in floats"):
        costs.add_column(name, justify="left" if name in ("stage", "layer", "in floats") else "right", no_wrap=True)
    for cost in found.costs[:15]:
        kept = "yes" if cost.layer in found.recipe.kept(cost.stage) else ""
        costs.add_row(cost.stage.value, cost.layer, f"{cost.psnr:.1f}", f"{cost.saved / 1e3:.1f}", kept)
    curve = Table(title="The most sensitive layers in floats", title_justify="left")
    for name in ("layers in floats", "size of fp32", "PSNR dB, worst picture"):
        curve.add_column(name, justify="right", no_wrap=True)
    for point in found.curve:
        curve.add_row(str(point.kept), f"{point.measured.size:.3f}", f"{point.measured.psnr:.1f}")
    console.print(costs)
    console.print(curve)
    recipe, reached = found.recipe, found.recipe.reached
    kept, layers = sum(map(len, recipe.keep.values())), sum(recipe.layers.values())
    console.print(
        f"{recipe.budget}: {kept} of {layers} layers stay in floats; {reached.psnr:.1f} dB at {reached.size:.3f} of "
        f"the size, on {len(recipe.pictures)} pictures ({recipe.everything.psnr:.1f} dB at "
        f"{recipe.everything.size:.3f} with none); wrote {out}",
        markup=False,
    )
