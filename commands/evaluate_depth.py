"""`dofkit evaluate depth`: depth networks and guesses on photos whose depth or subject is known."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime_ref.pipeline.stage import Stage
from ._brought_options import brought_networks, depth_model_options
from ._groups import GroupedCommand
from ._options import json_option, weights_option
from ._training import FOLDER, threads_option

if TYPE_CHECKING:
    from ..train.evaluation.depth import DepthEvaluation
    from ..train.evaluation.depth_sets import DepthSet

DRAWN = 24
"""Pictures drawn where no data is given."""


@click.command(cls=GroupedCommand)
@click.argument("data", nargs=-1, metavar="[[NAME=]DIR]...")
@weights_option("Folder or file of the weights called ours.  [default: shipped weights]")
@click.option(
    "--method", "others", multiple=True, metavar="NAME=FILE",
    help="depth.safetensors or pix2pix.safetensors of another training, or product, scored beside ours. May be given "
    "again.",
)  # fmt: skip
@click.option("--out", type=FOLDER, default=Path("evaluation"), show_default=True, help="Folder of the results.")
@click.option("--count", type=click.IntRange(1), help="Pictures of each set, evenly chosen.  [default: all]")
@click.option("--held-out", is_flag=True, help="Only what `dofkit train depth` holds out of a folder of this layout.")
@click.option("--only", multiple=True, metavar="NAME", help="Score only methods of this name. May be given again.")
@threads_option
@json_option
@depth_model_options
@click.pass_context
def command(
    ctx: click.Context,
    data: tuple[str, ...],
    weights: Path | None,
    others: tuple[str, ...],
    out: Path,
    count: int | None,
    held_out: bool,
    only: tuple[str, ...],
    threads: int,
    as_json: bool,
) -> None:
    """Score depth networks on photos whose depth or subject is known, beside guesses that see no photo.

    DIR is any image + depth or image + mask set that `dofkit data inspect` recognises; several sets may lie in it.
    Without any, pictures are drawn.

    \b
    A first look, a minute on a laptop:
      dofkit evaluate depth
    The shipped weights beside those for products and the guesses:
      dofkit evaluate depth rooms=nyu people --held-out --method product=product
    On data of your own, beside a Pix2Pix and a network that learned from generated photos:
      dofkit evaluate depth rooms=nyu people --held-out --method pix2pix=runs/pix2pix --method argan=runs/flowers

    Writes scores.json and report.html. A killed run goes on where it stopped: finished scores lie in partial/.
    """
    from ..runtime_ref.errors import ensure_installed

    for package, extra in (("torch", "train"), ("scipy", "train"), ("jinja2", "report")):
        ensure_installed(package, extra, "evaluating")
    import torch

    from ..train.evaluation.depth import evaluate_depth
    from ..train.evaluation.depth_methods import chosen_methods, depth_methods
    from ..train.evaluation.depth_report import write_report, write_scores
    from ..train.evaluation.store import Partials

    if threads:
        torch.set_num_threads(threads)
    brought = brought_networks(ctx).get(Stage.DEPTH)
    methods = chosen_methods(depth_methods(weights, named_paths(others), brought), only)
    sets = _sets(data, count, held_out)
    make_folder(out)
    with _bar() as report:
        evaluation = evaluate_depth(sets, methods, Partials(out / "partial"), progress=report)
    facts = {**_versions(), "data": ", ".join(data) or "drawn", "held out": held_out, "threads": threads}
    write_scores(out / "scores.json", evaluation, facts)
    write_report(out / "report.html", evaluation, facts)
    _print(evaluation, facts, out, as_json)


def named_paths(texts: Sequence[str]) -> dict[str, Path]:
    """`NAME=FILE` texts as paths by name; the file `product` stands for the weights that ship for products.

    Raises:
        DofkitError: a name is missing or there twice.
    """
    from ..runtime_ref.errors import DofkitError
    from ..train.shipped import named_weights

    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise DofkitError(f"--method {text}: give NAME=FILE, such as pix2pix=runs/pix2pix")
        if name in found:
            raise DofkitError(f"--method {name} is given twice; give each its own name")
        found[name] = named_weights(path)
    return found


def _sets(data: Sequence[str], count: int | None, held_out: bool) -> list[DepthSet]:
    """The sets that the arguments name, each with a name of its own."""
    from ..runtime_ref.errors import DofkitError
    from ..train.data.rgbd import survey
    from ..train.evaluation.depth_sets import DrawnSet, EvaluatedSet, kept_for_judging

    if not data:
        return [DrawnSet(count or DRAWN)]
    sets: dict[str, DepthSet] = {}
    for text in data:
        given, equals, path = text.partition("=")
        folder = Path(path if equals else text)
        surveyed = survey(folder)
        for found in surveyed:
            name = given if equals else found.folder.resolve().name
            if equals and len(surveyed) > 1:
                name = f"{given} {found.folder.name}"
            if name in sets:
                raise DofkitError(f"{text}: a set is called {name} already; give this one a name, as in NAME={folder}")
            sets[name] = EvaluatedSet.of(name, kept_for_judging(found) if held_out else found, count)
    return list(sets.values())


def make_folder(out: Path) -> None:
    """The folder of results, with all above it."""
    from ..runtime_ref.errors import DofkitError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DofkitError(f"{out}: cannot be made ({error.strerror}); choose another --out") from error


@contextmanager
def _bar() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar whose words say what is being scored."""
    from . import _console

    with _console.progress() as display:
        bar = display.add_task("evaluate", total=None)
        yield lambda done, total, what: display.update(bar, completed=done, total=total, description=what)


def _versions() -> dict[str, str]:
    import torch

    from .. import __version__

    return {"dofkit": __version__, "python": platform.python_version(), "torch": str(torch.__version__)}


def _print(evaluation: DepthEvaluation, facts: dict[str, Any], out: Path, as_json: bool) -> None:
    """A table a set, then where to look."""
    from ..train.evaluation.depth_report import score_tables, to_json
    from . import _console

    if as_json:
        _console.print_json({"out": str(out), **to_json(evaluation, facts)})
        return
    from rich.table import Table

    console = _console.stdout()
    for scores in score_tables(evaluation):
        table = Table(title=f"{scores.dataset.name}: {len(scores.dataset)} pictures", title_justify="left")
        table.add_column("method", no_wrap=True)
        for figure in scores.figures:
            title = figure.title.replace(" ", "\n")
            table.add_column(f"{title} {'↑' if figure.higher else '↓'}", justify="right", no_wrap=True)
        for method, cells in scores.rows:
            table.add_row(method.name, *(f"[bold]{cell.text}[/bold]" if cell.best else cell.text for cell in cells))
        console.print(table)
    console.print(f"wrote {out / 'scores.json'} and {out / 'report.html'}", markup=False)
