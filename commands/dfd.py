"""`dofkit dfd`: a focal stack in, depth and an all-in-focus picture out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime_ref.target import Precision, Target
from ._options import BUNDLE, PRECISION, TARGET, FiniteFloat, json_option
from ._training import FOLDER, threads_option

if TYPE_CHECKING:
    from ..focal import StackResult
    from ..focal_providers import GraphProvider, NetworkProvider
    from ..train.rendering.defocus import ThinLensCamera


class Distances(click.ParamType):
    """Metres, separated by commas."""

    name = "M,M…"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not metres separated by commas, such as 1,1.5,2.5,4,6", param, ctx)


def _metres(flag: str, help: str):
    return click.option(flag, type=FiniteFloat(0, min_open=True), metavar="M", help=help)


@click.command()
@click.argument("stack", metavar="FOLDER|PATTERN|SLICE...", nargs=-1, required=True)
@click.option("--out", type=FOLDER, required=True, help="Folder of the results.")
@click.option(
    "--focus-distances", "focus", type=Distances(),
    help="Metres of each slice, in the slices' order: depth comes out in metres. Needs the three below.",
)  # fmt: skip
@click.option("--focal-length", type=FiniteFloat(0, min_open=True), metavar="MM", help="Of the lens, in millimetres.")
@click.option("--f-number", type=FiniteFloat(0, min_open=True), metavar="N", help="Of the lens, such as 2.8.")
@click.option(
    "--pixel", type=FiniteFloat(0, min_open=True), metavar="UM",
    help="Pitch of the pictures' pixels in micrometres: the sensor's width over the pictures' width.",
)  # fmt: skip
@_metres("--near", "Least depth asked for.  [default: half the nearest distance]")
@_metres("--far", "Greatest depth asked for.  [default: twice the farthest distance]")
@click.option("--far-first", is_flag=True, help="Without distances: the first slice is focused farthest.")
@click.option("--aligned", is_flag=True, help="The slices have one magnification already; do not look for breathing.")
@click.option(
    "--side", type=click.IntRange(64),
    help="Longer side in pixels at which depth is found; larger is finer and slower.  [default: 640]",
)  # fmt: skip
@click.option("--weights", type=FOLDER, help="dfd.safetensors, or the folder of a training.  [default: shipped]")
@click.option(
    "--bundle", type=BUNDLE,
    help="Compute with the graph of this bundle (`dofkit export --stage focal_depth`), at its size and slices.",
)  # fmt: skip
@click.option("--target", type=TARGET, help="Of the bundle's files.  [default: the first there is]")
@click.option("--precision", type=PRECISION, help="Of the bundle's files.  [default: the first there is]")
@threads_option
@json_option
def command(
    stack: tuple[str, ...],
    out: Path,
    focus: tuple[float, ...] | None,
    focal_length: float | None,
    f_number: float | None,
    pixel: float | None,
    near: float | None,
    far: float | None,
    far_first: bool,
    aligned: bool,
    side: int | None,
    weights: Path | None,
    bundle: Path | None,
    target: Target | None,
    precision: Precision | None,
    threads: int,
    as_json: bool,
) -> None:
    """Find depth in a focal stack, pictures of one view focused at several distances, nearest first.

    Writes all_in_focus.png, disparity.png (white is nearest; what `dofkit render --disparity` takes) and, where the
    distances are known, depth.png in millimetres. Without distances depth is relative: the sweep is taken to be even,
    and its blur is guessed. Of more than ten slices ten are used. Slices are aligned first, for magnification changes
    with focus.

    \b
    A phone's stack, nothing known but the order:
      dofkit dfd 'keyboard/*.jpg' --out keyboard_depth
    Refocus it:
      dofkit render keyboard_depth/all_in_focus.png --disparity keyboard_depth/disparity.png --focus 0.5,0.8 \\
        --aperture 1 --out refocused.jpg
    In metres, with a 50 mm lens at f/8 and pixels of 12 µm:
      dofkit dfd a.png b.png c.png --focus-distances 1,2,4 --focal-length 50 --f-number 8 --pixel 12 --out depth
    With an exported graph, as a phone would:
      dofkit dfd 'keyboard/*.jpg' --bundle focal.dofbundle --target tflite --out keyboard_depth
    """
    from ..runtime_ref.errors import ensure_installed

    ensure_installed("torch", "train", "depth from defocus")
    import torch

    from ..focal import StackRequest, depth_of_stack
    from ..runtime_ref.imageio import find_photos
    from . import _console

    if threads:
        torch.set_num_threads(threads)
    found = find_photos(stack, without=out)
    _console.print_notes(found.notes)
    paths = tuple(photo.path for photo in found.photos)
    camera = _camera(focus, focal_length, f_number, pixel)
    request = StackRequest(paths, focus, camera, far_first, not aligned, near, far)
    if bundle is None:
        provider = _network(weights, side, target, precision)
    else:
        provider = _graph(bundle, side, weights, target, precision, threads)
    made = depth_of_stack(provider, request, out)
    if as_json:
        _console.print_json(made.to_json())
    else:
        _console.stdout().print(_sentence(made), markup=False, soft_wrap=True)


def _network(
    weights: Path | None, side: int | None, target: Target | None, precision: Precision | None
) -> NetworkProvider:
    """PyTorch's.

    Raises:
        DofkitError: a file is asked for, and no bundle given.
    """
    from ..focal_providers import NetworkProvider
    from ..runtime_ref.errors import DofkitError
    from ..train.weights.focal import FOCAL, SHIPPED

    if target or precision:
        given = "--target" if target else "--precision"
        raise DofkitError(f"{given} says which file of a bundle computes; give --bundle, too, or leave it out")
    network = FOCAL.load(weights or SHIPPED)
    return NetworkProvider(network) if side is None else NetworkProvider(network, side)


def _graph(
    bundle: Path,
    side: int | None,
    weights: Path | None,
    target: Target | None,
    precision: Precision | None,
    threads: int,
) -> GraphProvider:
    """A bundle's.

    Raises:
        DofkitError: what the bundle decides is asked for, too.
    """
    from ..focal_providers import GraphProvider
    from ..runtime_ref.errors import DofkitError

    if side or weights:
        given = "--side" if side else "--weights"
        raise DofkitError(f"{given}: the bundle's graph has a size and weights of its own; leave it or --bundle out")
    return GraphProvider.of(bundle, target, precision, threads or 2)


def _camera(
    focus: tuple[float, ...] | None, focal_length: float | None, f_number: float | None, pixel: float | None
) -> ThinLensCamera | None:
    """Of the three options, which belong to the distances."""
    from ..runtime_ref.errors import DofkitError
    from ..train.rendering.defocus import ThinLensCamera

    given = {"--focal-length": focal_length, "--f-number": f_number, "--pixel": pixel}
    missing = [flag for flag, value in given.items() if value is None]
    if focus is None:
        if len(missing) < len(given):
            raise DofkitError("a lens without --focus-distances says nothing of depth; give them, or leave it out")
        return None
    if focal_length is None or f_number is None or pixel is None:
        raise DofkitError(f"--focus-distances needs {', '.join(missing)}: how much a distance blurs depends on them")
    return ThinLensCamera(focal_length / 1000, f_number, pixel / 1e6)


def _sentence(made: StackResult) -> str:
    kind = "depth in metres" if made.metric else "relative depth, no distances being known"
    return (
        f"wrote {', '.join(made.files)} to {made.out}: {made.width}×{made.height}, {made.slices} slices, {kind}, "
        f"magnification differed by up to {100 * made.breathing:.1f} %, {made.seconds} s on {made.runtime}"
    )
