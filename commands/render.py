"""`dofkit render`: photos in, portraits with a shallow depth of field out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime_ref.target import Precision, Target
from ._brought_options import brought_options, network_names
from ._groups import GroupedCommand
from ._options import BUNDLE, PRECISION, TARGET, FiniteFloat, HintedChoice, ParsedPair, json_option, weights_option

if TYPE_CHECKING:
    from ..batch import Spread
    from ..rendering import Computed, DisparityFile, Look, Rendered

# `DisparityKind`, which is not imported for --help.
_KINDS = ("disparity", "inverted", "depth-mm")


AUTO = "auto"


class Point(ParsedPair):
    """Two fractions `X,Y` of the picture's width and height, or `auto` for the subject."""

    name = "X,Y|auto"

    def parsed(self, text: str) -> tuple[float, float] | str:
        if text == AUTO:
            return AUTO
        try:
            x, y = (float(part) for part in text.split(","))
        except ValueError:
            raise ValueError(f"{text!r} is not two numbers X,Y, such as 0.5,0.4, nor auto") from None
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError(f"{text!r} is outside the picture; give fractions of its width and height in 0..1")
        return x, y


@click.command(cls=GroupedCommand)
@click.argument("images", metavar="PHOTO|FOLDER|PATTERN...", nargs=-1, required=True)
@click.option("--bundle", type=BUNDLE, help="Compute with an exported bundle.")
@click.option("--target", type=TARGET, help="Which of the bundle's files.  [default: onnx, else tflite]")
@click.option("--precision", type=PRECISION, help="Which of the bundle's precisions.  [default: its first]")
@weights_option("Compute with PyTorch.  [default: shipped weights]", file_okay=False)
@click.option(
    "--disparity", "disparity_file", type=click.Path(path_type=Path),
    help="8- or 16-bit PNG, white is nearest.  [default: the photo's embedded depth, else the depth network]",
)  # fmt: skip
@click.option(
    "--disparity-kind", type=HintedChoice(_KINDS),
    help="What --disparity holds: disparity, white is nearest; inverted, black is nearest; depth-mm, 16-bit depth in "
    "millimetres, 0 unknown.  [default: disparity]",
)  # fmt: skip
@click.option("--stretch-disparity", is_flag=True, help="--disparity covers the whole photo, whatever its sides.")
@click.option("--predict", is_flag=True, help="Use the depth network even if the photo has embedded depth.")
@click.option(
    "--focus", "point", type=Point(),
    help="What is in focus: the thing at a point, fractions of width and height, e.g. 0.5,0.4; auto: the subject, what "
    "is near and central.  [default: auto]",
)  # fmt: skip
@click.option("--focus-disparity", type=FiniteFloat(0, 1), help="Disparity in focus; 1 is nearest.")
@click.option(
    "--focus-range", type=FiniteFloat(0, 1),
    help="Disparities this close to the focus stay sharp.  [default: 0.2 if the depth network predicts them, else 0]",
)  # fmt: skip
@click.option("--aperture", type=FiniteFloat(0, 1), default=0.5, show_default=True, help="0 blurs nothing, 1 the most.")
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="JPEG, PNG, HEIC or WebP, or the folder for several.  [default: PHOTO_portrait, beside PHOTO]",
)  # fmt: skip
@click.option(
    "--overwrite", is_flag=True,
    help="Allow --out to replace PHOTO or another file that is read; of several photos, render all again.",
)  # fmt: skip
@click.option("--save-disparity", type=click.Path(path_type=Path), help="Write the disparity as a 16-bit PNG.")
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N",
    help="Of several photos, how many at once.  [default: as cores and memory allow]",
)  # fmt: skip
@click.option(
    "--ray", metavar="ADDRESS",
    help="Spread several photos over a Ray cluster that sees the same files: HOST:PORT, ray://HOST:PORT or auto.",
)  # fmt: skip
@json_option
@brought_options()
@click.pass_context
def command(
    ctx: click.Context,
    images: tuple[str, ...],
    bundle: Path | None,
    target: Target | None,
    precision: Precision | None,
    weights: Path | None,
    disparity_file: Path | None,
    disparity_kind: str | None,
    stretch_disparity: bool,
    predict: bool,
    point: tuple[float, float] | str | None,
    focus_disparity: float | None,
    focus_range: float | None,
    aperture: float,
    out: Path | None,
    overwrite: bool,
    save_disparity: Path | None,
    jobs: int | None,
    ray: str | None,
    as_json: bool,
) -> None:
    """Render photos with a shallow depth of field.

    Without a focus the subject is in focus, what is near and in the picture's middle. EXIF orientation is honoured and
    metadata kept. What a file cannot hold is said.

    \b
    Examples:
        dofkit render portrait.heic --out portrait.jpg
        dofkit render photo.jpg --focus 0.5,0.4 --aperture 0.8 --save-disparity disparity.png
        dofkit render photo.jpg --bundle portrait.dofbundle --target tflite
        dofkit render photo.jpg --depth-model depth-anything/Depth-Anything-V2-Small-hf

    A folder, a pattern or several photos are rendered into the folder --out, as many at once as cores and memory allow.
    A photo that cannot be rendered is named and skipped (exit code 1 at the end); a stopped run goes on when given the
    same options again.

    \b
        dofkit render holiday --out portraits
        dofkit render 'holiday/**/*.jpg' --out portraits --jobs 4
        dofkit render holiday --out portraits --ray auto
    """
    from ..batch import Spread
    from ..rendering import Computed, DisparityFile, Look
    from ..runtime_ref.imageio import DisparityKind, means_many
    from ..runtime_ref.pipeline.focus import Focus

    first, *others = images
    many = bool(others) or means_many(first)
    _refuse_what_would_be_ignored(ctx.params)
    _refuse_what_is_for_others(ctx.params, many)
    focus = Focus(point if isinstance(point, tuple) else None, focus_disparity, focus_range)
    look = Look(focus, aperture, predict)
    computed = Computed(bundle, target, precision, weights, brought=network_names(ctx))
    if out is not None and many:
        _render_many(images, out, computed, look, Spread(jobs, ray), overwrite, as_json)
        return
    kind = DisparityKind(disparity_kind) if disparity_kind else None
    file = DisparityFile(disparity_file, kind, stretch_disparity) if disparity_file else None
    _render_one(Path(first), out, computed, look, file, save_disparity, overwrite, as_json)


def _render_one(
    image: Path,
    out: Path | None,
    computed: Computed,
    look: Look,
    file: DisparityFile | None,
    save_disparity: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    from ..rendering import render_file
    from ..runtime_ref.files import check_goals
    from ..runtime_ref.imageio import goal_beside
    from . import _console

    goal = out or goal_beside(image)
    read = [image, file.path if file else None]
    check_goals({"--out": goal, "--save-disparity": save_disparity}, read, overwrite)
    with _console.progress() as display:
        bar = display.add_task("render", total=None)

        def report(done: int, total: int) -> None:
            display.update(bar, completed=done, total=total)

        rendered = render_file(computed.open, image, goal, look, file, save_disparity, report)
    _console.print_notes(rendered.notes)
    if as_json:
        _console.print_json(rendered.to_json())
    else:
        _console.stdout().print(_sentence(rendered), markup=False, soft_wrap=True)


def _sentence(rendered: Rendered) -> str:
    return (
        f"wrote {rendered.out}: {rendered.width}×{rendered.height}, disparity {rendered.disparity}, "
        f"focus {rendered.focus:.3f}, aperture {rendered.aperture:g}, {rendered.runtime}, {rendered.seconds} s"
    )


def _render_many(
    texts: tuple[str, ...],
    out: Path,
    computed: Computed,
    look: Look,
    spread: Spread,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Render what the arguments stand for; exit code 1 where a photo failed."""
    from ..batch import render_batch, tasks_for
    from ..runtime_ref.imageio import find_photos
    from . import _console

    found = find_photos(texts, without=out)
    _console.print_notes(found.notes)
    with _console.progress() as display:
        bar = display.add_task("render", total=len(found.photos))
        batch = render_batch(
            tasks_for(found.photos, out),
            out,
            computed,
            look,
            spread,
            overwrite,
            lambda done, total, what: display.update(bar, completed=done, total=total, description=what or "render"),
        )
    _console.print_notes([note for rendered in batch.rendered for note in rendered.notes])
    for failed in batch.failed:
        click.echo(f"dofkit: {failed.photo}: {failed.reason}", err=True)
    if as_json:
        _console.print_json(batch.to_json())
    else:
        kept = f", {batch.kept} were there already" if batch.kept else ""
        lost = f", {len(batch.failed)} failed" if batch.failed else ""
        click.echo(f"{len(batch.rendered)} photos rendered into {out}{kept}{lost}")
    if batch.failed:
        raise SystemExit(1)


def _refuse_what_is_for_others(given: dict[str, Any], many: bool) -> None:
    """Refuse options for several photos where there is one, and those for one where there are several."""
    from ..runtime_ref.errors import DofkitError

    one = (("--disparity", "disparity_file"), ("--save-disparity", "save_disparity"))
    for option, name in one if many else (("--jobs", "jobs"), ("--ray", "ray")):
        if given[name] is not None:
            which = (
                "one photo; render it apart" if many else "several photos; give a folder or a pattern, or leave it out"
            )
            raise DofkitError(f"{option} is for {which}")
    if many and given["out"] is None:
        raise DofkitError("several photos need --out: give the folder that the portraits go to")


def _refuse_what_would_be_ignored(given: dict[str, Any]) -> None:
    """Refuse options that exclude each other, and those that say nothing without another."""
    from ..runtime_ref.errors import DofkitError

    exclusive = (
        ("--bundle", "bundle", "--weights", "weights"),
        ("--focus", "point", "--focus-disparity", "focus_disparity"),
        ("--predict", "predict", "--disparity", "disparity_file"),
    )
    for option, name, other, other_name in exclusive:
        if given[name] not in (None, False) and given[other_name] is not None:
            raise DofkitError(f"{option} and {other} exclude each other; give one of them")
    dependent = (
        ("--target", "target", "--bundle", "bundle"),
        ("--precision", "precision", "--bundle", "bundle"),
        ("--disparity-kind", "disparity_kind", "--disparity", "disparity_file"),
        ("--stretch-disparity", "stretch_disparity", "--disparity", "disparity_file"),
    )
    for option, name, needed, needed_name in dependent:
        if given[name] not in (None, False) and given[needed_name] is None:
            raise DofkitError(f"{option} says nothing without {needed}; give {needed}, or leave {option} out")
