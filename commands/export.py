"""`dofkit export`: networks → files for phones → one verified bundle."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtime_ref.stage import Stage
from ..runtime_ref.target import Precision, Target
from ._options import PRECISION, EnumChoice, json_option

ALL = "all"


@click.command()
@click.option(
    "--target",
    "targets",
    type=click.Choice([*(target.value for target in Target), ALL]),
    multiple=True,
    required=True,
    help="What to write; give it several times for several targets.",
)
@click.option(
    "--precision",
    "precisions",
    type=PRECISION,
    multiple=True,
    default=[Precision.FP32.value],
    show_default=True,
    help="How weights are stored and computed; may be given twice. Inputs and outputs stay float32.",
)
@click.option(
    "--stage", "stages", type=EnumChoice(Stage), multiple=True, help="Export only this stage.  [default: all three]"
)
@click.option(
    "--tile", type=click.IntRange(min=1), help="Input size of a tile in pixels, its halo included.  [default: 192]"
)
@click.option("--depth-size", type=click.IntRange(min=128), help="Input size of the depth network.  [default: 384]")
@click.option(
    "--weights", type=click.Path(path_type=Path, file_okay=False), help="Folder of weights.  [default: those shipped]"
)
@click.option(
    "--photo",
    "photos",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Prove parity on this photo of yours (it becomes part of the bundle).  [default: a public-domain portrait]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="portrait.dofbundle",
    show_default=True,
    help="The bundle's folder. An older bundle there is replaced when the new one is complete.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[str, ...],
    precisions: tuple[Precision, ...],
    stages: tuple[Stage, ...],
    tile: int | None,
    depth_size: int | None,
    weights: Path | None,
    photos: tuple[Path, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Export the networks as one bundle: models, manifest, golden vectors, parity report.

    Every file is compared with PyTorch as it lies on disk; the table of verdicts is the last thing printed. The exit
    code is 0 unless something FAILs (1). An interrupted export leaves no bundle.

    \b
    Examples:
        dofkit export --target coreml
        dofkit export --target all --precision fp16 --out portrait.dofbundle
        dofkit export --target onnx --stage lens_blur --tile 256
    """
    from pydantic import ValidationError

    from ..runtime_ref.errors import DofkitError, require
    from . import _console

    require("torch", "train", "exporting")
    from ..export.pipeline import ExportRequest, export_bundle
    from ..runtime_ref.parity import Verdict
    from ..train.session import DEPTH_SIZE, TILE, default_plan
    from ..train.weights import SHIPPED

    try:
        plan = default_plan(tile or TILE, depth_size or DEPTH_SIZE)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise DofkitError(f"--tile {tile or TILE}, --depth-size {depth_size or DEPTH_SIZE}: {reason}") from error
    chosen = tuple(Target) if ALL in targets else tuple(Target(name) for name in dict.fromkeys(targets))
    request = ExportRequest(
        out=out,
        targets=chosen,
        precisions=tuple(dict.fromkeys(precisions)),
        stages=tuple(stage for stage in Stage if stage in stages) or tuple(Stage),
        plan=plan,
        weights=weights or SHIPPED,
        photos=photos,
    )
    with _console.progress() as display:
        bar = display.add_task("load networks", total=None)
        result = export_bundle(
            request, lambda what, done, total: display.update(bar, description=what, completed=done, total=total)
        )
    if as_json:
        _console.print_json(
            {"bundle": str(result.bundle), "seconds": result.seconds, "parity": result.parity.as_json()}
        )
    else:
        size = sum(entry.bytes for entry in result.manifest.files.values()) / 1e6
        _console.stdout().print(
            f"wrote {result.bundle}: {len(result.manifest.models)} models, {size:.1f} MB, {result.seconds:.0f} s",
            markup=False,
        )
        _console.print_parity(result.parity)
    ctx.exit(1 if result.parity.verdict is Verdict.FAIL else 0)
