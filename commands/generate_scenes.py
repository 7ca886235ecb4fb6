"""`dofkit generate scenes`: a folder of scenes with true disparity and true blur, to judge renderers by."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from ._options import choice_option, json_option
from ._training import FOLDER, mapper_from, masks_option, photos_option, ray_option, workers_option


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the set.")
@click.option("--count", type=click.IntRange(1), default=50, show_default=True, help="Scenes in all.")
@click.option("--size", type=click.IntRange(16, 16384), default=1280, show_default=True, help="Side in pixels.")
@click.option(
    "--levels",
    type=click.IntRange(0, 8),
    help="Doublings from the lowest level; corruptions are as coarse as it.  [default: as `dofkit render` takes them]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Scene i depends on it and i alone.")
@photos_option
@masks_option
@click.option("--held-out", is_flag=True, help="Take the one picture in ten that training never sees.")
@workers_option
@ray_option
@choice_option(
    "--truth",
    ["aperture", "layered"],
    "aperture: rays from points of the lens, exact occlusion. layered: as in training, some five times faster.",
)
@click.option(
    "--samples", type=click.IntRange(1), default=256, show_default=True, help="Rays a pixel (--truth aperture)."
)
@json_option
def command(
    out: Path,
    count: int,
    size: int,
    levels: int | None,
    seed: int,
    photos: tuple[Path, ...],
    masks: tuple[Path, ...],
    held_out: bool,
    workers: int,
    ray: str | None,
    truth: Literal["aperture", "layered"],
    samples: int,
    as_json: bool,
) -> None:
    """Compose scenes of layers whose colour, coverage and disparity are known, and photograph them.

    Each scene is a sharp picture, its true disparity, the same as a bad depth network gives it, a lens (focus and
    aperture), and what that lens makes of the scene. Look at sheet.png first.

    \b
    A first look, seconds:
      dofkit generate scenes --out try --count 8 --size 320 --truth layered
    A set to judge networks by, about 20 seconds a scene and core:
      dofkit generate scenes --out held_out --count 50 --held-out --photos landscapes --masks people --workers 2

    Without --photos and --masks all is drawn. The same options give the same scenes, whatever the number of workers.
    A stopped run goes on when given the same options again; a larger --count adds to the set.
    """
    from ..runtime_ref.errors import ensure_installed

    ensure_installed("scipy", "train", "generating scenes")
    ensure_installed("torch", "train", "generating scenes")
    from ..runtime_ref.pipeline.pyramid import Pyramid
    from ..train.data.scene_set import SetSettings, fingerprint, write_scenes, write_sheet
    from ..train.data.sources import find_sources
    from ._console import print_json, progress

    mapper = mapper_from(workers, ray)
    sources = find_sources(photos, masks, held_out)
    settings = SetSettings(
        size=size,
        levels=Pyramid.of(size, size).levels if levels is None else levels,
        seed=seed,
        sources=fingerprint(sources),
        truth=truth,
        samples=samples,
    )
    with progress() as display:
        bar = display.add_task("scenes", total=count)
        scenes = write_scenes(out, settings, sources, count, mapper, lambda n: display.update(bar, completed=n))
    write_sheet(scenes, out / "sheet.png")
    if as_json:
        print_json({"folder": str(out), "scenes": len(scenes), "settings": settings.model_dump()})
    else:
        click.echo(f"{len(scenes)} scenes in {out}; to look at them: {out / 'sheet.png'}")
