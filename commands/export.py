"""`dofkit export`: networks → files for phones → one verified bundle."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime_ref.pipeline.aspects import Aspect, Size
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from ..runtime_ref.target import Precision, Target
from ._brought_options import brought_networks, brought_options, sizes_for
from ._coreml_options import coreml_options, read_options, refuse_unheeded
from ._groups import GroupedCommand
from ._options import FILE, PRECISION, SIZE, EnumChoice, HintedChoice, ParsedPair, json_option, weights_option

if TYPE_CHECKING:
    from ..export.precision import Support
    from ..export.stages import StackSize
    from ..runtime_ref.bundle import ModelEntry

ALL = "all"
_LISTED = 8
"""Names that a line ends in."""


class _PreviewSize(ParsedPair):
    """Width and height in pixels: "1280x960"."""

    name = "preview size"

    def parsed(self, text: str) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)[x×](\d+)", text.strip(), re.IGNORECASE)
        if match is None:
            raise ValueError(f"{text!r} is no size of a preview; give pixels as width x height, 1280x960")
        return int(match[1]), int(match[2])


def _show_precisions(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print what every target can do with every precision, and leave."""
    if not wanted:
        return
    from rich.table import Table

    from ..export.precision import SUPPORT
    from . import _console

    table = Table(title="Precisions", title_justify="left", show_lines=True)
    for name in ("precision", "", *(target.title for target in Target)):
        table.add_column(name)
    for precision, targets in SUPPORT.items():
        notes = [_mark(targets[target]) + targets[target].note for target in Target]
        table.add_row(precision.value, precision.title, *notes)
    _console.stdout().print(table)
    ctx.exit()


def _every_target() -> tuple[Target, ...]:
    """All targets; without Core AI, and with a line that says so, where its packages are not."""
    from importlib.util import find_spec

    if all(find_spec(package) for package in ("coreai", "coreai_torch")):
        return tuple(Target)
    click.echo(
        "dofkit: warning: Core AI is left out, its packages are not installed; they exist for Python 3.11 and newer on "
        "Linux x86-64 (glibc 2.34) and on macOS 26 with Apple silicon: pip install 'dofkit[coreai]'",
        err=True,
    )
    return tuple(target for target in Target if target is not Target.COREAI)


def _mark(support: Support) -> str:
    return "" if support.offered else "[yellow]with --force:[/yellow] " if support.possible else "[red]no:[/red] "


@click.command(cls=GroupedCommand)
@click.option(
    "--target",
    "targets",
    type=HintedChoice([*(target.value for target in Target), ALL]),
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
    help="How weights are stored and computed; may be given several times (--precisions explains). Inputs and outputs "
    "stay float32.",
)
@click.option(
    "--stage", "stages", type=EnumChoice(Stage), multiple=True,
    help="Export only this stage; focal_depth is depth from defocus.  [default: the three of the pipeline]",
)  # fmt: skip
@click.option("--slices", type=click.IntRange(1), help="Pictures of a stack that focal_depth takes.  [default: 5]")
@click.option(
    "--stack-size", type=SIZE, metavar="HxW", help="Size of these pictures, multiples of 16.  [default: 240x320]"
)
@click.option(
    "--tile",
    type=click.IntRange(min=1),
    help="Input size of a tile in pixels, its halo included.  [default: 168 for lens_blur, 140 for guided_upsampling]",
)
@click.option(
    "--preview",
    type=_PreviewSize(),
    is_flag=False,
    flag_value="1280x960",
    metavar="[WxH]",
    help="Also write the whole pipeline as one graph for photos of this size, for live sliders: with a disparity that "
    "is given, and with the depth network inside.  [without WxH: 1280x960]",
)
@click.option(
    "--depth-size",
    "depth_sizes",
    type=SIZE,
    multiple=True,
    metavar="N|HxW|W:H",
    help="Input size of the depth network: pixels of a square, height × width, or an aspect (of about 384² pixels). "
    "Given again, a graph each: photos take the one of nearest aspect.  [default: 1:1, 3:4 and 4:3; of a network of "
    "yours the size of its training]",
)
@brought_options(own_size=True)
@weights_option(
    "Folder of weights; product: those that a product may use, as far as they ship.  [default: all those shipped]",
    file_okay=False,
)
@click.option(
    "--photo",
    "photos",
    type=FILE,
    multiple=True,
    help="Prove parity on this photo of yours (it becomes part of the bundle).  [default: a public-domain portrait]",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="For w8a8 and mixed: measure the ranges of activations on the photos of this folder.  [default: the "
    "portrait and further public-domain photos]",
)
@click.option(
    "--recipe",
    "recipes",
    type=FILE,
    multiple=True,
    help="For mixed: the layers to leave in floats, from `dofkit sensitivity`.  [default: measured on the shipped "
    "weights]",
)
@click.option(
    "--precisions",
    "show_precisions",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_precisions,
    help="Show what every target can do with every precision, and why not otherwise.",
)
@click.option("--force", is_flag=True, help="Write precisions, too, that were measured to be useless for a target.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="portrait.dofbundle",
    show_default=True,
    help="The bundle's folder. An older bundle there is replaced when the new one is complete.",
)
@click.option("--author", default="", help="Written into every file.  [default: the weights' own]")
@click.option(
    "--licence",
    "--license",
    "licence",
    default="",
    help="Of the weights, written into every file.  [default: what the weights file says; else nothing]",
)
@click.option("--model-version", default="", help="A version of your own, written into every file.")
@click.option("--description", default="", help="A line for people, written into every file.")
@json_option
@coreml_options
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[str, ...],
    precisions: tuple[Precision, ...],
    stages: tuple[Stage, ...],
    slices: int | None,
    stack_size: tuple[int, int] | None,
    tile: int | None,
    preview: tuple[int, int] | None,
    depth_sizes: tuple[Size | Aspect, ...],
    weights: Path | None,
    photos: tuple[Path, ...],
    calibration: Path | None,
    recipes: tuple[Path, ...],
    force: bool,
    out: Path,
    author: str,
    licence: str,
    model_version: str,
    description: str,
    as_json: bool,
    **coreml: Any,
) -> None:
    """Export the networks as one bundle: models, manifest, golden vectors, parity report.

    Every file is compared with PyTorch as it lies on disk; the table of verdicts is the last thing printed. The exit
    code is 0 unless something FAILs (1). An interrupted export leaves no bundle.

    \b
    Examples:
        dofkit export --target coreml
        dofkit export --target all --precision fp16 --out portrait.dofbundle
        dofkit export --target onnx --stage lens_blur --tile 256
        dofkit export --target tflite --precision fp16 --preview 1280x960
        dofkit export --target tflite --depth-size 3:4 --depth-size 4:3
        dofkit export --target coreml --precision palette6 --image-inputs
        dofkit export --target tflite --precision w8a8 --calibration photos
        dofkit export --target coreai --single-package
        dofkit export --target tflite --stage focal_depth --slices 7
        dofkit export --target tflite --depth-model depth-anything/Depth-Anything-V2-Small-hf
        dofkit export --target coreml --deployment-target iOS18 --single-package --extra-tile 256
    """
    from ..runtime_ref.errors import require
    from . import _console

    chosen = _every_target() if ALL in targets else tuple(Target(name) for name in dict.fromkeys(targets))
    refuse_unheeded(ctx, chosen)

    require("torch", "train", "exporting")
    from ..export.labels import Labels
    from ..export.pipeline import ExportRequest, export_bundle
    from ..runtime_ref.parity.check import Verdict
    from ..train.weights import SHIPPED

    brought = brought_networks(ctx, depth_sizes, ask_photos=True)
    request = ExportRequest(
        out=out,
        targets=chosen,
        precisions=tuple(dict.fromkeys(precisions)),
        stages=tuple(stage for stage in Stage if stage in stages) or PIPELINE_STAGES,
        tile=tile,
        preview=None if preview is None else (preview[1], preview[0]),
        stack=_stack(stages, slices, stack_size),
        depth_sizes=sizes_for(brought.get(Stage.DEPTH), depth_sizes),
        brought=brought,
        weights=weights or SHIPPED,
        photos=photos,
        calibration=calibration,
        recipes=recipes,
        force=force,
        coreml=read_options(**coreml),
        labels=Labels(author, licence, model_version, description),
    )
    with _console.progress() as display:
        bar = display.add_task("load networks", total=None)
        result = export_bundle(
            request, lambda what, done, total: display.update(bar, description=what, completed=done, total=total)
        )
    if as_json:
        _console.print_json(
            {
                "bundle": str(result.bundle.root),
                "seconds": result.seconds,
                "parity": result.parity.as_json(),
                "calibration": result.coverage.as_json() if result.coverage else None,
                "storage": [_storage(model) for model in result.manifest.models if model.compressed],
            }
        )
    else:
        size = sum(entry.bytes for entry in result.manifest.files.values()) / 1e6
        _console.stdout().print(
            f"wrote {result.bundle.root}: {len(result.manifest.models)} models, {size:.1f} MB, {result.seconds:.0f} s",
            markup=False,
        )
        if result.coverage is not None:
            for line in (*result.coverage.lines(), *result.coverage.warnings):
                _console.stdout().print(line, markup=False)
        for model in result.manifest.models:
            for line in _notes(model):
                _console.stdout().print(line, markup=False)
        _console.print_parity(result.parity, result.manifest.reference)
    ctx.exit(1 if result.parity.verdict is Verdict.FAIL else 0)


def _stack(stages: tuple[Stage, ...], slices: int | None, size: Size | Aspect | None) -> StackSize:
    """The options of one stage.

    Raises:
        DofkitError: they are given without it.
    """
    from ..export.stages import StackSize
    from ..runtime_ref.errors import DofkitError

    if Stage.FOCAL_DEPTH not in stages and (slices or size):
        given = "--slices" if slices else "--stack-size"
        raise DofkitError(f"{given} is of the graph of focal stacks; add --stage focal_depth, or leave it out")
    usual = StackSize()
    if isinstance(size, Aspect):
        size = size.size((usual.size[0] * usual.size[1]) ** 0.5, stride=16)
    return StackSize(slices or usual.slices, size or usual.size)


def _storage(model: ModelEntry) -> dict[str, Any]:
    """How many layers of a model are compressed, and which are not."""
    return {
        "model": model.path,
        "function": model.function,
        "compressed": len(model.compressed),
        "layers": len(model.layers),
        "left": [layer.name for layer in model.layers if layer not in model.compressed],
    }


def _notes(model: ModelEntry) -> list[str]:
    """What is worth knowing of a model beyond its verdict."""
    name = f"{model.target} {model.function or model.stage} {model.precision}"
    notes = []
    if model.precision.weight_bits is not None and model.layers:
        left = [layer.name for layer in model.layers if layer not in model.compressed]
        why = f"; left as they are: {_listed(left)}" if left else ""
        notes.append(f"{name}: compressed {len(model.compressed)} of {len(model.layers)} layers{why}")
    if model.target is Target.COREAI and model.precision is Precision.W4:
        notes.append(f"{name}: on a Neural Engine weights in blocks went wrong without a word; compare it on a phone")
    if model.kept_fp32:
        notes.append(f"{name}: {len(model.kept_fp32)} operations in fp32: {_listed(model.kept_fp32)}")
    return notes


def _listed(names: Sequence[str]) -> str:
    """Names, or the first of many: the manifest has all."""
    more = len(names) - _LISTED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_LISTED])} and {more} more (see manifest.json)"
