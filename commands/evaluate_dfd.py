"""`dofkit evaluate dfd`: depth and all-in-focus pictures of focal stacks, beside methods that learn nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._options import HintedChoice, choice_option, json_option
from ._training import FOLDER, threads_option
from .evaluate_depth import make_folder, named_paths
from .train_dfd import CAMERAS

if TYPE_CHECKING:
    from ..train.data.focal_stacks import DeepPicture
    from ..train.evaluation.focal import FocalRow
    from ..train.rendering.baselines.focus import FocalMethod

_CONDITIONS = ("clean", "noise", "jpeg")


@click.command()
@click.argument("data", nargs=-1, metavar="[DIR]...", type=FOLDER)
@click.option("--weights", type=FOLDER, help="dfd.safetensors called ours.  [default: shipped weights]")
@click.option(
    "--method", "others", multiple=True, metavar="NAME=FILE",
    help="dfd.safetensors of another training, scored beside ours. May be given again.",
)  # fmt: skip
@choice_option("--camera", CAMERAS, "Lens and focus distances; nyu is 50 mm at f/8, focused at 1, 1.5, 2.5, 4 and 6 m.")
@click.option(
    "--condition", "conditions", multiple=True, type=HintedChoice(_CONDITIONS),
    help="Score under this alone; noise: a deviation of 5 of 255, jpeg: quality 75. May be given again.",
)  # fmt: skip
@click.option("--count", type=click.IntRange(1), help="Pictures of each set, evenly chosen.  [default: all]")
@click.option("--held-out", is_flag=True, help="Only what `dofkit train dfd` holds out of a folder of this layout.")
@click.option("--side", type=click.IntRange(32), default=320, show_default=True, help="Longer side of the stacks.")
@click.option("--out", type=FOLDER, default=Path("evaluation"), show_default=True, help="Folder of scores.json.")
@threads_option
@json_option
def command(
    data: tuple[Path, ...],
    weights: Path | None,
    others: tuple[str, ...],
    camera: str,
    conditions: tuple[str, ...],
    count: int | None,
    held_out: bool,
    side: int,
    out: Path,
    threads: int,
    as_json: bool,
) -> None:
    """Score depth from defocus where the truth is known.

    DIR holds photos with depth in metres. Each is photographed at every focus by a renderer that no training uses:
    discs of light in which the near hides the far. Depth is compared in metres, nothing is fitted to the truth. Without
    DIR the one picture is Middlebury's Motorcycle, which comes with scikit-image.

    \b
    A first look, seconds:
      dofkit evaluate dfd
    Held-out rooms beside a supervised training:
      dofkit evaluate dfd nyu --held-out --method supervised=runs/told
    """
    from ..runtime_ref.errors import ensure_installed

    for package in ("torch", "scipy", "skimage"):
        ensure_installed(package, "train", "evaluating")
    import torch

    from ..runtime_ref.files import write_json
    from ..train.evaluation.focal import evaluate_focal
    from ..train.rendering.focus_sweep import SWEEPS
    from . import _console

    if threads:
        torch.set_num_threads(threads)
    methods, sweep = _methods(weights, others), SWEEPS[camera]
    make_folder(out)
    rows: list[FocalRow] = []
    with _console.progress() as display:
        bar = display.add_task("evaluate", total=None)
        for name, pictures in _sets(data, side, count, held_out).items():
            rows += evaluate_focal(
                name,
                pictures,
                sweep,
                methods,
                conditions or _CONDITIONS,
                lambda done, total, what: display.update(bar, completed=done, total=total, description=what),
            )
    scores = {"camera": camera, "side": side, "rows": [row.to_json() for row in rows]}
    write_json(out / "scores.json", scores)
    if as_json:
        _console.print_json({"out": str(out), **scores})
    else:
        _print(rows)


def _methods(weights: Path | None, others: tuple[str, ...]) -> list[FocalMethod]:
    from ..train.evaluation.focal import NetworkMethod
    from ..train.rendering.baselines.focus import ConfusionArgmin, LaplacianVariance
    from ..train.weights.focal import FOCAL, SHIPPED

    named = {"ours": weights or SHIPPED, **named_paths(others)}
    networks = [NetworkMethod(FOCAL.load(path), name) for name, path in named.items()]
    return [*networks, LaplacianVariance(), ConfusionArgmin()]


def _sets(data: tuple[Path, ...], side: int, count: int | None, held_out: bool) -> dict[str, list[DeepPicture]]:
    """The sets by name; of `count` pictures at most."""
    from ..train.data.focal_stacks import deep_picture
    from ..train.data.rgbd import survey
    from ..train.data.rgbd_scenes import split
    from ..train.evaluation.focal import motorcycle

    if not data:
        return {"motorcycle": [motorcycle(side)]}
    found: dict[str, list[DeepPicture]] = {}
    for folder in data:
        for one in survey(folder):
            numbers = split(one)[1] if held_out else list(range(len(one)))
            step = 1 if count is None else max(1, len(numbers) // count)
            name = one.folder.resolve().name
            found.setdefault(name, []).extend(deep_picture(one[number], side) for number in numbers[::step][:count])
    return found


def _print(rows: list[FocalRow]) -> None:
    """A table a set and condition."""
    from dataclasses import asdict

    from rich.table import Table

    from ..train.evaluation.focal import FIGURES
    from . import _console

    console = _console.stdout()
    for dataset, condition in dict.fromkeys((row.dataset, row.condition) for row in rows):
        chosen = [row for row in rows if (row.dataset, row.condition) == (dataset, condition)]
        table = Table(title=f"{dataset}, {condition}: {chosen[0].pictures} stacks", title_justify="left")
        table.add_column("method", no_wrap=True)
        for title in FIGURES.values():
            table.add_column(title, justify="right")
        for row in chosen:
            values = asdict(row.means)
            table.add_row(row.method, *(f"{values[name]:.3f}" for name in FIGURES))
        console.print(table)
