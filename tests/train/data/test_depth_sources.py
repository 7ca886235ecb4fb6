"""What a training draws from: kinds in the shares they should have, and drawn stand-ins where nothing is given."""

import numpy as np
import pytest
from PIL import Image

from dofkit.train.data.depth import Folder
from dofkit.train.data.depth_figures import SIDE, DrawnFigures
from dofkit.train.data.depth_sources import Kinds, SourceFolders, Stock, enough, read_sources


def photo(path, seed: int, size: tuple[int, int] = (48, 32)) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


FEW = Stock(figures=4, cutouts=4, textures=4, held_out=2)


@pytest.fixture
def rooms(tmp_path):
    for name in ("images", "disparity"):
        (tmp_path / "rooms" / name).mkdir(parents=True)
    for index in range(4):
        photo(tmp_path / "rooms" / "images" / f"{index}.png", index)
        ramp = np.tile(np.linspace(20, 255, 32)[:, None], (1, 48)).astype(np.uint8)
        Image.fromarray(ramp).save(tmp_path / "rooms" / "disparity" / f"{index}.png")
    return tmp_path / "rooms"


@pytest.fixture
def people(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / "people" / name).mkdir(parents=True)
    photo(tmp_path / "people" / "images" / "a.png", 9)
    mask = np.zeros((32, 48), np.uint8)
    mask[4:28, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "people" / "masks" / "a.png")
    return tmp_path / "people"


def test_without_any_folder_built_scenes_and_pages_are_left_and_some_are_held_out():
    sources = read_sources(SourceFolders(), 96, stock=FEW)
    assert [type(share.source).__name__ for share in sources.shares] == ["Grounds", "Pages"]
    assert len(sources.held_out) == FEW.held_out
    assert all(scene.disparity is not None for scene in sources.held_out)


def test_every_kind_has_its_share_however_many_folders_give_it(rooms, people):
    kinds = Kinds()
    sources = read_sources(SourceFolders(rgbd=(rooms, rooms), standing=(people,)), 96, kinds, FEW)
    weights: dict[str, float] = {}
    for share in sources.shares:
        name = type(share.source).__name__
        weights[name] = weights.get(name, 0) + share.weight
    assert weights == pytest.approx(
        {
            "Folder": kinds.known * enough(8) + kinds.masks * enough(1),
            "Composites": kinds.rooms * enough(8),
            "Posters": kinds.flat / 2 * enough(8),
            "Grounds": kinds.grounds,
            "Pages": kinds.flat / 2,
        }
    )


def test_a_handful_of_scenes_gets_less_than_its_share_and_thousands_nearly_all():
    assert enough(0) == 0
    assert enough(8) < 0.2
    assert enough(5000) > 0.98


def test_only_subjects_of_standing_folders_are_said_to_stand(people):
    for standing in (True, False):
        folders = SourceFolders(standing=(people,)) if standing else SourceFolders(masks=(people,))
        sources = [share.source for share in read_sources(folders, 96, stock=FEW).shares]
        masked = next(source for source in sources if isinstance(source, Folder))
        assert masked.scene(np.random.default_rng(0)).stands is standing


def test_drawn_figures_are_whole_upright_and_stand_on_feet():
    for cutout in DrawnFigures(count=8).cutouts:
        coverage = np.asarray(cutout.coverage) > 127
        assert cutout.whole
        assert 0.9 * SIDE < coverage.shape[0] <= SIDE
        assert coverage.shape[0] > 1.5 * coverage.shape[1]
        widths = coverage.sum(axis=1)
        head, shoulders = widths[round(0.04 * SIDE)], widths[round(0.22 * SIDE)]
        assert shoulders > 1.3 * head
        assert coverage[-3:].any()
