"""`dofkit evaluate argan`: generators against photos whose depth is known, beside what needs no generator."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._options import json_option
from ._training import FOLDER, photos_option, threads_option

if TYPE_CHECKING:
    import torch

    from ..train.evaluation.generators import GeneratorScores

KNOWN_SEED, REAL_SEED = 20210613, 20210614
"""Of the photos of known depth, and of those that samples are compared with: no training takes them by chance."""
REAL = 1000
"""Photos that samples are compared with."""


@click.command()
@click.argument("generators", nargs=-1, metavar="[NAME=WEIGHTS]...")
@click.option("--out", type=FOLDER, default=Path("evaluation"), show_default=True, help="Folder of the results.")
@photos_option
@click.option(
    "--renderer",
    "renderers",
    multiple=True,
    metavar="NAME=DIR",
    help="Folder of `dofkit train render --argan` on this generator's samples, judged with its depth. Again for more.",
)
@click.option("--cyclegan", type=FOLDER, help="Weights of `dofkit train cyclegan`, judged beside the generators.")
@click.option("--samples", type=click.IntRange(32), default=1000, show_default=True, help="Photos of each generator.")
@click.option("--steps", type=click.IntRange(1), default=600, show_default=True, help="Of each depth network.")
@click.option("--known", type=click.IntRange(2), default=100, show_default=True, help="Photos of known depth, a kind.")
@threads_option
@json_option
def command(
    generators: tuple[str, ...],
    out: Path,
    photos: tuple[Path, ...],
    renderers: tuple[str, ...],
    cyclegan: Path | None,
    samples: int,
    steps: int,
    known: int,
    threads: int,
    as_json: bool,
) -> None:
    """Score what generators have learned of depth without being told any.

    A depth network learns from each generator's samples alone and then looks at drawn photos whose depth is known.
    Beside them stand what needs no generator: one distance everywhere, and the centre focus prior as a depth map. With
    the depth that was read, sharp photos are made shallow and compared with the true shallow ones.
    WEIGHTS is an argan.safetensors or the folder of a training; without any, the shipped generator is scored.

    \b
    A first look, minutes on a laptop:
      dofkit evaluate argan --samples 200 --steps 100
    What each constraint is worth:
      dofkit evaluate argan full=runs/full no-mixture=runs/no_mixture no-prior=runs/no_prior --out runs/evaluation

    KID compares the samples with --photos (what the generator learned from), or else with drawn photos. Its features
    are the shipped depth encoder's: it ranks generators here and cannot be compared with figures of a paper.

    Writes scores.json and report.html. A killed run goes on where it stopped.
    """
    from ..runtime_ref.errors import DofkitError, ensure_installed

    for package, extra in (("torch", "train"), ("lightning", "train"), ("skimage", "train"), ("jinja2", "report")):
        ensure_installed(package, extra, "evaluating")
    import torch

    from .. import __version__
    from ..train.evaluation.depth_reading import held_out_photos
    from ..train.evaluation.generators import Effort, judge_cyclegan, judge_generator, judge_without
    from ..train.evaluation.generators_report import write_report, write_scores
    from ..train.weights.generative import SHIPPED
    from ._console import print_json

    if threads:
        torch.set_num_threads(threads)
    files = _named(generators) or {"shipped": SHIPPED}
    blurs = _named(renderers)
    if unknown := set(blurs) - set(files):
        raise DofkitError(
            f"--renderer {min(unknown)}: there is no generator of this name; name one of {', '.join(files)}"
        )
    size = _common_size(files)
    real = _real(photos, size)
    of_known_depth = held_out_photos(known, size, KNOWN_SEED)
    rows = judge_without(of_known_depth)
    if cyclegan is not None:
        rows.append(judge_cyclegan(cyclegan, of_known_depth))
    effort, report = Effort(samples, steps, threads=threads), partial(click.echo, err=True)
    for name, file in files.items():
        rows += judge_generator(name, file, blurs.get(name), of_known_depth, real, out, effort, report)
    facts = {"dofkit": __version__, "samples": samples, "steps": steps, "photos_a_kind": known, "seed": KNOWN_SEED}
    write_scores(out / "scores.json", rows, facts)
    write_report(out / "report.html", rows, of_known_depth, facts)
    if as_json:
        print_json({**facts, "generators": [row.facts() for row in rows]})
    else:
        _print(rows, out)


def _named(pairs: tuple[str, ...]) -> dict[str, Path]:
    """NAME=PATH texts as paths by name, checked."""
    from ..runtime_ref.errors import DofkitError

    found: dict[str, Path] = {}
    for text in pairs:
        name, equals, file = text.partition("=")
        if not equals or not name or not file or Path(name).name != name:
            raise DofkitError(f"{text}: write NAME=WEIGHTS, a name without slashes and a file or folder of training")
        if name in found:
            raise DofkitError(f"{name} is there twice; give each generator a name of its own")
        found[name] = Path(file)
    return found


def _common_size(files: dict[str, Path]) -> int:
    """Side of the generators' pictures in pixels, the same for all."""
    from ..runtime_ref.errors import DofkitError
    from ..train.weights.generative import GENERATOR

    sizes = {name: GENERATOR.load(file).config.size for name, file in files.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DofkitError(f"the generators make pictures of different sizes ({listed}); evaluate each size by itself")
    return next(iter(sizes.values()))


def _real(photos: tuple[Path, ...], size: int) -> torch.Tensor:
    """[M, 3, S, S] in [0, 1]: up to `REAL` photos, evenly chosen from the folders, or drawn ones."""
    import numpy as np
    import torch

    from ..train.data.gan_photos import drawn_photos, read_photos
    from ..train.data.shallow_photos import PhotoSettings

    pictures = read_photos(photos, size) if photos else drawn_photos(REAL, REAL_SEED, PhotoSettings(size))
    chosen = pictures[np.linspace(0, len(pictures) - 1, min(REAL, len(pictures))).astype(int)]
    return torch.from_numpy(chosen.transpose(0, 3, 1, 2).copy()).float() / 255


def _print(rows: list[GeneratorScores], out: Path) -> None:
    """One row a generator."""
    from rich.table import Table

    from ..train.evaluation.depth_reading import KINDS
    from ._console import stdout

    table = Table(title="Depth, read through a network that learned from the samples", title_justify="left")
    table.add_column("learned by", no_wrap=True)
    figures = [(kind, name) for kind in KINDS for name in ("rank", "order", "error")]
    for kind, name in figures:
        table.add_column(f"{kind}\n{name}", justify="right", no_wrap=True)
    for name in ("PSNR", "SSIM"):
        table.add_column(f"shallow\n{name}", justify="right", no_wrap=True)
    table.add_column("KID\n· 1000", justify="right")
    table.add_column("subject\nnearer", justify="right")
    table.add_column("beyond\nplace", justify="right")
    for row in rows:
        reading = row.reading
        scores = ["–" if reading is None else f"{getattr(reading.scores[kind], name):.3f}" for kind, name in figures]
        scores += [f"{row.pairs.psnr:.2f}", f"{row.pairs.ssim:.3f}"]
        own = (row.distance, row.subject_nearer, row.beyond_place)
        others = ("–" if value is None else f"{value:.2f}" for value in own)
        table.add_row(row.name, *scores, *others)
    console = stdout()
    console.print(table)
    click.echo(f"pictures: {out / 'report.html'}")
