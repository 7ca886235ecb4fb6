"""What excludes each other in a training is refused in one line before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.runs.cyclegan import CycleganRequest, unpaired_sets
from dofkit.train.runs.render import RenderRequest, train_render
from dofkit.train.systems.cyclegan import CycleganRecipe
from dofkit.train.trainer import RunSettings


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (RenderRequest(levels=0), "nothing to upsample; add --only lens_blur"),
        (RenderRequest(levels=0, only=Stage.GUIDED_UPSAMPLING), "nothing to upsample"),
        (RenderRequest(reuse=2, count=3), "leave one of both"),
        (RenderRequest(argan=(Path("flowers"),), truth="layered"), "--truth is about composed scenes"),
        (RenderRequest(argan=(Path("flowers"),), size=64), "--size is about composed scenes"),
        (RenderRequest(maps=5, network="direct"), "--maps: only the lens blur has them"),
        (RenderRequest(weights=Path("nowhere")), "--weights nowhere: there is no lens_blur or guided_upsampling"),
    ],
)
def test_a_rendering_run_that_contradicts_itself_is_refused(
    request_: RenderRequest, words: str, tmp_path: Path
) -> None:
    with pytest.raises(DofkitError, match=words):
        train_render(request_, RunSettings(tmp_path / "run", 1))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("size", "levels", "instead"), [(100, 2, 96), (8, 0, 16), (34, 1, 32), (500, 2, 496)])
def test_a_side_that_the_lowest_level_cannot_halve_is_refused_with_the_nearest_that_can(
    size: int, levels: int, instead: int, tmp_path: Path
) -> None:
    """At the lowest level the lens blur halves once more: 100 pixels leave 25, which is odd."""
    only = Stage.LENS_BLUR if levels == 0 else None
    with pytest.raises(DofkitError, match=rf"--size {size} with --levels {levels}: .*such as {instead}$"):
        train_render(RenderRequest(size=size, levels=levels, only=only), RunSettings(tmp_path / "run", 1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 30}, "--size must be a multiple of 4"),
        ({"size": 12}, "from 16 on"),
        ({"deep": (Path("phone"),)}, "--deep without --shallow"),
        ({"shallow": (Path("camera"),)}, "--shallow without --deep"),
    ],
)
def test_a_translators_run_that_cannot_be_trained_is_refused(
    options: dict[str, object], words: str, tmp_path: Path
) -> None:
    request = CycleganRequest(CycleganRecipe(1), **options)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DofkitError, match=words):
        unpaired_sets(request, RunSettings(tmp_path / "run", 1), lambda _: None)
