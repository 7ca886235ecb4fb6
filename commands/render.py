"""`dofkit render`: a photo in, a portrait with a shallow depth of field out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime_ref.target import Precision, Target
from ._options import BUNDLE, PRECISION, TARGET, FiniteFloat, HintedChoice, ParsedPair, json_option, weights_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..runtime_ref.imageio import Photo
    from ..runtime_ref.pipeline.focus import Focus
    from ..runtime_ref.pipeline.portrait import Focused, PortraitPipeline

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


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
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
    help="Disparities this close to the focus stay sharp.  [default: 0.25 if the depth network predicts them, else 0]",
)  # fmt: skip
@click.option("--aperture", type=FiniteFloat(0, 1), default=0.5, show_default=True, help="0 blurs nothing, 1 the most.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="JPEG, PNG, HEIC or WebP.  [default: IMAGE_portrait, beside IMAGE]"
)
@click.option("--overwrite", is_flag=True, help="Allow --out to replace IMAGE or another file that is read.")
@click.option("--save-disparity", type=click.Path(path_type=Path), help="Write the disparity as a 16-bit PNG.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    image: Path,
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
    as_json: bool,
) -> None:
    """Render IMAGE with a shallow depth of field.

    Without a focus the subject is in focus, what is near and in the picture's middle. EXIF orientation is honoured and
    metadata kept. What a file cannot hold is said.

    \b
    Examples:
        dofkit render portrait.heic --out portrait.jpg
        dofkit render photo.jpg --focus 0.5,0.4 --aperture 0.8 --save-disparity disparity.png
        dofkit render photo.jpg --bundle portrait.dofbundle --target tflite
    """
    from ..api import open_pipeline
    from ..runtime_ref.files import check_goals
    from ..runtime_ref.imageio import check_goal, format_of, goal_beside, read_photo, write_photo
    from ..runtime_ref.pipeline.focus import Focus
    from . import _console

    _refuse_what_would_be_ignored(ctx.params)
    focus = Focus(point if isinstance(point, tuple) else None, focus_disparity, focus_range)
    started = time.perf_counter()
    goal = out or goal_beside(image)
    check_goals({"--out": goal, "--save-disparity": save_disparity}, [image, disparity_file], overwrite)
    photo = read_photo(image, format_of(goal).keep)
    for path in filter(None, (goal, save_disparity)):
        check_goal(path, *photo.pixels.shape[:2])
    brought, source, notes = _stored_disparity(image, photo, disparity_file, disparity_kind, stretch_disparity, predict)
    pipeline = open_pipeline(bundle, target=target, precision=precision, weights=weights)
    focused, flat = _focused(pipeline, photo, brought, focus, aperture, save_disparity)
    del brought  # a map of 48 megapixels takes 200 MB
    with _console.progress() as display:
        bar = display.add_task("render", total=None)
        pixels = pipeline.render_defocused(
            photo.pixels,
            focused.levels,
            photo.pixels.dtype.type,
            progress=lambda done, total: display.update(bar, completed=done, total=total),
        )
    lost = write_photo(goal, pixels, photo)
    said = [f"{image} {note}" for note in photo.notes] + notes
    said += [f"the disparity ({source}) {flat}"] if flat else []
    said += [f"{goal}: {note}" for note in lost]
    facts = {
        "out": str(goal),
        "width": photo.pixels.shape[1],
        "height": photo.pixels.shape[0],
        "disparity": source,
        "focus": round(focused.lens.focus, 4),
        "aperture": aperture,
        "runtime": ", ".join(pipeline.runtimes),
        "seconds": round(time.perf_counter() - started, 2),
        "notes": said,
    }
    _console.print_notes(said)
    if as_json:
        _console.print_json(facts)
    else:
        _console.stdout().print(
            f"wrote {goal}: {facts['width']}×{facts['height']}, disparity {source}, focus {facts['focus']:.3f}, "
            f"aperture {aperture:g}, {facts['runtime']}, {facts['seconds']} s",
            markup=False, soft_wrap=True,
        )  # fmt: skip


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


def _stored_disparity(
    image: Path, photo: Photo, file: Path | None, kind: str | None, stretch: bool, predict: bool
) -> tuple[NDArray[np.float32] | None, str, list[str]]:
    """The disparity that comes with the photo (None where the depth network is to be asked), where it is from, and
    what is to be said of it.

    A map that dofkit saved is taken as it is, others are refined.
    """
    from ..runtime_ref.imageio import DisparityKind, disparity_for, embedded_disparity

    if file is not None:
        brought = disparity_for(photo, file, DisparityKind(kind) if kind else None, stretch)
        notes = [f"{file} {note}" for note in brought.notes]
        return brought.values if brought.ours else _refined(brought.values, photo), "file", notes
    embedded = None if predict else embedded_disparity(image)
    if embedded is None:
        return None, "predicted", []
    return _refined(embedded, photo), "embedded", []


def _refined(disparity: NDArray[np.float32], photo: Photo) -> NDArray[np.float32]:
    """A map much smaller than the photo nearer to its size, with edges where the photo has them."""
    from ..runtime_ref.imageio import eight_bits, is_coarse, upsampled_disparity

    pixels = eight_bits(photo.pixels)
    return upsampled_disparity(disparity, pixels) if is_coarse(disparity, pixels) else disparity


def _focused(
    pipeline: PortraitPipeline,
    photo: Photo,
    brought: NDArray[np.float32] | None,
    focus: Focus,
    aperture: float,
    save_disparity: Path | None,
) -> tuple[Focused, str | None]:
    """The photo's defocus, and what is to be said of a disparity that is flat."""
    from ..runtime_ref.imageio import flatness_of, write_disparity
    from ..runtime_ref.pipeline.pyramid import over_photo

    disparity = pipeline.disparity(photo.pixels) if brought is None else brought
    if save_disparity is not None:
        write_disparity(save_disparity, over_photo(disparity, photo.pixels.shape) if brought is None else disparity)
    focused = pipeline.focused(photo.pixels.shape, disparity, focus, aperture, predicted=brought is None)
    return focused, flatness_of(disparity)
