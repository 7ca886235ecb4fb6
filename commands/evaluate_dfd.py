"""`dofkit evaluate dfd`: depth and all-in-focus pictures of focal stacks, beside methods that learn nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ._options import HintedChoice, choice_option, json_option
from ._training import FOLDER, threads_option
from .evaluate_depth import make_folder, named_paths
from .train_dfd import CAMERAS

if TYPE_CHECKING:
    from ..train.data.focal_stacks import DeepPicture
    from ..train.data.stack_sets import StackFiles
    from ..train.evaluation.focal import FocalRow
    from ..train.rendering.baselines.focus import FocalMethod

_CONDITIONS = ("clean", "noise", "jpeg")
Item = TypeVar("Item")


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
@click.option("--first", type=click.IntRange(0), default=0, help="Leave out so many before; for other pictures.")
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
    first: int,
    held_out: bool,
    side: int,
    out: Path,
    threads: int,
    as_json: bool,
) -> None:
    """Score depth from defocus where the truth is known.

    DIR holds photos with depth in metres. Each is photographed at every focus by a renderer that no training uses:
    discs of light in which the near hides the far. Depth is compared in metres, nothing is fitted to the truth. Without
    DIR the one picture is Middlebury's Motorcycle, which comes with scikit-image. Where DIR holds focal stacks with
    depth, in the layout of DefocusNet or FoD500, these are judged as they are.

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
    from ..train.evaluation.focal import evaluate_focal, evaluate_recorded
    from ..train.rendering.focus_sweep import SWEEPS
    from . import _console

    if threads:
        torch.set_num_threads(threads)
    methods, sweep = _methods(weights, others), SWEEPS[camera]
    make_folder(out)
    rows: list[FocalRow] = []
    with _console.progress() as display:
        bar = display.add_task("evaluate", total=None)

        def show(done: int, total: int, what: str) -> None:
            display.update(bar, completed=done, total=total, description=what)

        rendered, recorded = _recorded(data, count, held_out, first)
        for name, pictures in _sets(rendered, side, count, held_out, first, not recorded).items():
            rows += evaluate_focal(name, pictures, sweep, methods, conditions or _CONDITIONS, show)
        for name, stacks in recorded.items():
            rows += evaluate_recorded(name, stacks, side, methods, conditions or _CONDITIONS, show)
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


def _recorded(
    data: tuple[Path, ...], count: int | None, held_out: bool, first: int
) -> tuple[tuple[Path, ...], dict[str, list[StackFiles]]]:
    """The folders that hold no focal stacks; and of the others the stacks by the set's name.

    Raises:
        DofkitError: stacks without depth, which cannot be judged.
    """
    from ..runtime_ref.errors import DofkitError
    from ..train.data.stack_sets import find_stacks, split_stacks

    rest: list[Path] = []
    stacks: dict[str, list[StackFiles]] = {}
    for folder in data:
        found = find_stacks(folder)
        if not found:
            rest.append(folder)
            continue
        judged = [one for one in found if one.depth is not None]
        if not judged:
            raise DofkitError(
                f"{folder}: nothing says how far things are in these stacks; look at them with `dofkit dfd`"
            )
        judged = split_stacks(judged)[1] if held_out else judged
        stacks[folder.resolve().name] = _evenly(judged[first:], count)
    return tuple(rest), stacks


def _evenly(found: Sequence[Item], count: int | None) -> list[Item]:
    """At most so many, evenly."""
    step = 1 if count is None else max(1, len(found) // count)
    return list(found[::step][:count])


def _sets(
    data: tuple[Path, ...], side: int, count: int | None, held_out: bool, first: int, alone: bool
) -> dict[str, list[DeepPicture]]:
    """The sets by name; of `count` pictures at most, the `first` ones left out."""
    from ..train.data.focal_stacks import deep_picture
    from ..train.data.rgbd import survey
    from ..train.data.rgbd_scenes import split
    from ..train.evaluation.focal import motorcycle

    if not data and alone:
        return {"motorcycle": [motorcycle(side)]}
    found: dict[str, list[DeepPicture]] = {}
    for folder in data:
        for one in survey(folder):
            numbers = split(one)[1] if held_out else list(range(len(one)))
            chosen = _evenly(numbers[first:], count)
            found.setdefault(one.folder.resolve().name, []).extend(deep_picture(one[number], side) for number in chosen)
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
            table.add_row(row.method, *("" if values[name] is None else f"{values[name]:.3f}" for name in FIGURES))
        console.print(table)
