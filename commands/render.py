"""`dofkit render`: a photo in, a portrait with a shallow depth of field out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime_ref.target import Precision, Target
from ._options import PRECISION, TARGET, json_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..runtime_ref.plan import PipelinePlan
    from ..runtime_ref.sessions import Session
    from ..runtime_ref.stage import Stage


class Point(click.ParamType):
    """Two fractions `X,Y` of the picture's width and height."""

    name = "X,Y"

    def convert(
        self, value: str | tuple[float, float], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        try:
            x, y = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not two numbers X,Y, such as 0.5,0.4", param, ctx)
        if not (0 <= x <= 1 and 0 <= y <= 1):
            self.fail(f"{value!r} is outside the picture; give fractions of its width and height in 0..1", param, ctx)
        return x, y


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path), help="Compute with an exported bundle.")
@click.option("--target", type=TARGET, help="Which of the bundle's files.  [default: onnx, else tflite]")
@click.option("--precision", type=PRECISION, help="Which of the bundle's precisions.  [default: its first]")
@click.option(
    "--weights",
    type=click.Path(path_type=Path, file_okay=False),
    help="Compute with PyTorch.  [default: shipped weights]",
)
@click.option(
    "--disparity", "disparity_file", type=click.Path(path_type=Path),
    help="8- or 16-bit PNG, white is nearest.  [default: the photo's embedded depth, else the depth network]",
)  # fmt: skip
@click.option("--predict", is_flag=True, help="Use the depth network even if the photo has embedded depth.")
@click.option("--focus", "point", type=Point(), help="Point in focus, fractions of width and height, e.g. 0.5,0.4.")
@click.option("--focus-disparity", type=click.FloatRange(0, 1), help="Disparity in focus; 1 is nearest.")
@click.option(
    "--focus-range", type=click.FloatRange(0, 1),
    help="Disparities this close to the focus stay sharp.  [default: 0.25 if the depth network predicts them, else 0]",
)  # fmt: skip
@click.option(
    "--aperture", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="0 blurs nothing, 1 the most."
)
@click.option("--out", type=click.Path(path_type=Path), help="JPEG, PNG, HEIC or WebP.  [default: IMAGE_portrait]")
@click.option("--save-disparity", type=click.Path(path_type=Path), help="Write the disparity as a 16-bit PNG.")
@json_option
def command(
    image: Path,
    bundle: Path | None,
    target: Target | None,
    precision: Precision | None,
    weights: Path | None,
    disparity_file: Path | None,
    predict: bool,
    point: tuple[float, float] | None,
    focus_disparity: float | None,
    focus_range: float | None,
    aperture: float,
    out: Path | None,
    save_disparity: Path | None,
    as_json: bool,
) -> None:
    """Render IMAGE with a shallow depth of field.

    Without a focus the nearer part of the picture's middle is in focus. EXIF orientation is honoured and metadata kept.

    \b
    Examples:
        dofkit render portrait.heic --out portrait.jpg
        dofkit render photo.jpg --focus 0.5,0.4 --aperture 0.8 --save-disparity disparity.png
        dofkit render photo.jpg --bundle portrait.dofbundle --target tflite
    """
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.imageio import (
        check_goal,
        read_photo,
        write_disparity,
        write_photo,
    )
    from ..runtime_ref.optics import auto_focus, focus_at, widen_focus
    from ..runtime_ref.pipeline import DefocusLevels, Lens, PortraitPipeline
    from . import _console

    if bundle is not None and weights is not None:
        raise DofkitError("--bundle and --weights exclude each other; give one of them")
    if point is not None and focus_disparity is not None:
        raise DofkitError("--focus and --focus-disparity exclude each other; give one of them")
    started = time.perf_counter()
    photo = read_photo(image)
    goal = out or Path(f"{image.stem}_portrait{image.suffix}")
    check_goal(goal, *photo.pixels.shape[:2])
    if save_disparity is not None:
        check_goal(save_disparity, *photo.pixels.shape[:2])
    disparity, source = _stored_disparity(image, disparity_file, predict, photo.pixels)
    sessions, plan = _sessions(bundle, target, precision, weights)
    pipeline = PortraitPipeline(sessions, plan)
    if disparity is None:
        disparity, source = pipeline.disparity(photo.pixels), "predicted"
    if save_disparity is not None:
        write_disparity(save_disparity, disparity)
    focus = focus_disparity
    if focus is None:
        focus = focus_at(disparity, *point) if point is not None else auto_focus(disparity)
    if focus_range is None:
        focus_range = plan.focus_range if source == "predicted" else 0.0
    held = widen_focus(disparity, focus, focus_range)
    defocused = DefocusLevels.of(photo.pixels.shape, held, Lens(focus, aperture))
    del disparity, held  # a map of 48 megapixels takes 200 MB
    with _console.progress() as display:
        bar = display.add_task("render", total=None)
        pixels = pipeline.render_defocused(
            photo.pixels,
            defocused,
            progress=lambda done, total: display.update(bar, completed=done, total=total),
        )
    write_photo(goal, pixels, photo)
    facts = {
        "out": str(goal),
        "width": photo.pixels.shape[1],
        "height": photo.pixels.shape[0],
        "disparity": source,
        "focus": round(focus, 4),
        "aperture": aperture,
        "runtime": ", ".join(dict.fromkeys(session.runtime for session in sessions.values())),
        "seconds": round(time.perf_counter() - started, 2),
    }
    if as_json:
        _console.print_json(facts)
    else:
        _console.stdout().print(
            f"wrote {goal}: {facts['width']}×{facts['height']}, disparity {source}, focus {focus:.3f}, aperture "
            f"{aperture:g}, {facts['runtime']}, {facts['seconds']} s",
            markup=False,
        )


def _stored_disparity(
    image: Path, file: Path | None, predict: bool, pixels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32] | None, str]:
    """The disparity that comes with the photo, None where the depth network is to be asked, and where it is from.

    A map much smaller than the photo is brought nearer to its size, with edges where the photo has them.
    """
    from ..runtime_ref.imageio import embedded_disparity, is_coarse, read_disparity, upsampled_disparity

    source = "embedded" if file is None else "file"
    stored = read_disparity(file) if file is not None else None if predict else embedded_disparity(image)
    if stored is not None and is_coarse(stored, pixels):
        stored = upsampled_disparity(stored, pixels)
    return stored, source


def _sessions(
    bundle: Path | None, target: Target | None, precision: Precision | None, weights: Path | None
) -> tuple[Mapping[Stage, Session], PipelinePlan]:
    """What computes the stages: a bundle's files, or PyTorch."""
    if bundle is None:
        from ..runtime_ref.errors import require

        require("torch", "train", "rendering without --bundle")
        from ..train.session import default_plan, load_networks, torch_sessions
        from ..train.weights import SHIPPED

        return torch_sessions(load_networks(weights or SHIPPED)), default_plan()

    from ..runtime_ref.bundle import Bundle
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.sessions import open_session
    from ..runtime_ref.stage import Stage

    opened = Bundle.open(bundle)
    runnable = [t for t in (Target.ONNX, Target.TFLITE) if opened.models(t)]
    chosen = target or (runnable[0] if runnable else Target.COREML)
    models = {model.stage: model for model in reversed(opened.models(chosen, precision))}
    missing = [stage.value for stage in Stage if stage not in models]
    if missing:
        kind = f"{chosen.title} {precision or ''}".strip()
        raise DofkitError(f"{bundle} has no {kind} model for {', '.join(missing)}; export the bundle with all stages")
    sessions = {stage: open_session(opened, models[stage]) for stage in Stage}
    return sessions, opened.manifest.plan
