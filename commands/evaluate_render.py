"""`dofkit evaluate render`: ours, classical renderers and ablations against scenes whose truth is known."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import json_option, weights_option
from ._training import FOLDER, mapper_from, ray_option, threads_option, workers_option

if TYPE_CHECKING:
    from ..runtime_ref.mapping import Mapper
    from ..train.evaluation.assemble import DepthNetwork
    from ..train.evaluation.methods import Method
    from ..train.evaluation.render import SceneEvaluation, Scenes

HELD_OUT_SEED = 20180921
"""Of the scenes made on the spot: no training takes it by chance."""
GENERATED, SIZE, LEVELS = 4, 1280, 2
"""Scenes made on the spot if no --count is given, their side in pixels, and the upsamplings to it."""


@click.command()
@click.option("--scenes", type=FOLDER, help="Folder of `dofkit generate scenes`.  [default: a few made on the spot]")
@weights_option("Folder of the weights called ours.  [default: shipped weights]")
@click.option("--out", type=FOLDER, default=Path("evaluation"), show_default=True, help="Folder of the results.")
@click.option(
    "--ablation", "ablations", multiple=True, metavar="NAME=DIR",
    help="Weights scored like ours under a name. May be given again; names such as channels=16 are plotted.",
)  # fmt: skip
@click.option("--direct", type=FOLDER, help="Weights of a direct regression network in place of the lens blur.")
@click.option("--count", type=click.IntRange(1), help=f"Scenes.  [default: all; {GENERATED} if made on the spot]")
@click.option("--photos", type=FOLDER, help="Folder of real photos to show in the report.")
@click.option("--only", multiple=True, metavar="NAME", help="Score only methods of this name. May be given again.")
@threads_option
@workers_option
@ray_option
@json_option
def command(
    scenes: Path | None,
    weights: Path | None,
    out: Path,
    ablations: tuple[str, ...],
    direct: Path | None,
    count: int | None,
    photos: Path | None,
    only: tuple[str, ...],
    threads: int,
    workers: int,
    ray: str | None,
    as_json: bool,
) -> None:
    """Score the rendering networks beside other ways to do it.

    Every method renders every scene with the true disparity, with one that has a depth network's mistakes, and with
    the depth network's own, whose scale and shift are fitted to the true one by least squares.

    \b
    A first look, minutes on a laptop:
      dofkit evaluate render --count 1
    The real thing:
      dofkit generate scenes --out held_out --count 50 --held-out
      dofkit evaluate render --scenes held_out --weights runs/render --photos photos --out runs/evaluation
    What a choice is worth:
      dofkit evaluate render --scenes held_out --ablation channels=8=runs/c8 --ablation channels=16=runs/c16

    Writes scores.json and report.html. A killed run goes on where it stopped: finished scores lie in partial/. With
    several workers, or on a cluster, the seconds in the table are those of busy cores.
    """
    from ..runtime_ref.errors import ensure_installed

    for package, extra in (("torch", "train"), ("skimage", "train"), ("jinja2", "report"), ("matplotlib", "report")):
        ensure_installed(package, extra, "evaluating")
    import torch

    from ..train.evaluation.assemble import DepthNetwork, EvaluatedFiles
    from ..train.evaluation.photos import find_photos
    from ..train.evaluation.render import evaluate
    from ..train.evaluation.store import PartialStore

    mapper = mapper_from(workers, ray)
    if threads:
        torch.set_num_threads(threads)
    files = EvaluatedFiles.of(weights, named_folders(ablations), direct)
    methods = chosen(files.methods(), only)
    shown = find_photos(photos) if photos else []
    _make_folder(out)
    judged = _scenes(scenes, out, count, mapper)
    depth = DepthNetwork.of(files.ours)
    with _bar("evaluate") as report:
        store = PartialStore(out / "partial")
        evaluation = evaluate(judged, methods, depth, store, count, progress=report, mapper=mapper)
    facts = {
        "versions": _versions(),
        "settings": {"scenes": str(scenes or f"made on the spot, seed {HELD_OUT_SEED}"), "threads": threads},
        "weights": files.sha256(),
    }
    _write(out, evaluation, facts, judged, depth, shown)
    _print(evaluation, facts, out, as_json)


def named_folders(texts: Sequence[str]) -> dict[str, Path]:
    """Name -> folder of all ablations.

    Raises:
        DofkitError: a name is given twice; see also `named_folder`.
    """
    from ..runtime_ref.errors import DofkitError

    found: dict[str, Path] = {}
    for name, folder in map(named_folder, texts):
        if name in found:
            raise DofkitError(f"--ablation {name} is given twice; give each its own name")
        found[name] = folder
    return found


def named_folder(text: str) -> tuple[str, Path]:
    """`NAME=DIR` as both; the name may hold an equals sign, as in channels=16=runs/c16.

    Raises:
        DofkitError: there is no such folder, or no name.
    """
    from ..runtime_ref.errors import DofkitError

    parts = text.split("=")
    for cut in range(1, len(parts)):
        name, folder = "=".join(parts[:cut]), Path("=".join(parts[cut:]))
        if name and parts[cut] and folder.is_dir():
            return name, folder
    raise DofkitError(f"--ablation {text}: give NAME=DIR with a folder of weights, such as channels=16=runs/c16")


def chosen(methods: Sequence[Method], only: Sequence[str]) -> list[Method]:
    """The methods of these names, all if there are none.

    Raises:
        DofkitError: a name is unknown.
    """
    from ..runtime_ref.errors import DofkitError

    names = [method.name for method in methods]
    unknown = next((name for name in only if name not in names), None)
    if unknown is not None:
        raise DofkitError(f"--only {unknown}: there is no such method; there are: {', '.join(names)}")
    return [method for method in methods if not only or method.name in only]


def _make_folder(out: Path) -> None:
    """The folder of the results."""
    from ..runtime_ref.errors import DofkitError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DofkitError(f"{out}: cannot be made ({error.strerror}); choose another --out") from error


def _scenes(folder: Path | None, out: Path, count: int | None, mapper: Mapper) -> Scenes:
    """A set on disk, or a procedural one that is made in the out folder once."""
    from ..train.data.scene_set import SceneSet, SetSettings, write_scenes
    from ..train.data.sources import Sources

    if folder is not None:
        return SceneSet.open(folder)
    settings = SetSettings(size=SIZE, levels=LEVELS, seed=HELD_OUT_SEED)
    wanted = count or GENERATED
    with _bar("scenes") as report:
        return write_scenes(
            out / "scenes", settings, Sources(), wanted, mapper, lambda number: report(number, wanted, "scenes")
        )


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar as a function of (done, all, what)."""
    from ._console import progress

    with progress() as display:
        bar = display.add_task(title, total=None)
        yield lambda done, total, what: display.update(bar, completed=done, total=total, description=what)


def _write(
    out: Path,
    evaluation: SceneEvaluation,
    facts: dict[str, Any],
    scenes: Scenes,
    depth: DepthNetwork,
    photos: Sequence[Path],
) -> None:
    """scores.json, then report.html with the photos, which are rendered now."""
    from ..train.evaluation.methods import Networks
    from ..train.evaluation.photos import photo_views
    from ..train.evaluation.report import write_report, write_scores
    from ..train.session import default_plan

    write_scores(out / "scores.json", evaluation, facts)
    ours = next((method for method in evaluation.methods if isinstance(method, Networks)), None)
    with _bar("report") as report:
        focus_range = default_plan().focus_range
        views = photo_views(photos, ours, depth, focus_range, out / "photos", report) if ours else ()
        write_report(out / "report.html", evaluation, facts, scenes, depth, views)


def _versions() -> dict[str, str]:
    """Of what computed."""
    import numpy as np
    import torch

    from .. import __version__

    return {
        "dofkit": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def _print(evaluation: SceneEvaluation, facts: dict[str, Any], out: Path, as_json: bool) -> None:
    """One table, then where to look."""
    from ..train.evaluation.report import level_table, table_rows, to_json
    from . import _console

    if as_json:
        _console.print_json({"out": str(out), **to_json(evaluation, facts)})
        return
    from rich.table import Table

    table = Table(title=f"Scenes: {evaluation.scenes}; mean PSNR in dB", title_justify="left")
    titles = ("PSNR", "SSIM", "edges", "in focus", "corrupted", "edges", "predicted", "edges", "s")
    table.add_column("method", no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for name, cells in table_rows(evaluation):
        table.add_row(name if cells else f"[bold]{name}[/bold]", *cells)
    console = _console.stdout()
    console.print(table)
    for name, kind, values in level_table(evaluation):
        levels = " → ".join(f"{value:.2f}" for value in values)
        console.print(f"levels of {name}, {kind} disparity: {levels} dB", markup=False)
    console.print(f"wrote {out / 'scores.json'} and {out / 'report.html'}", markup=False)
