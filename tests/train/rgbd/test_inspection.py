"""What an inspection suspects: maps that were spoilt on purpose, and not those that were left as they are."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.train.data.rgbd import DepthMap, DepthMeaning, RgbdPair, recognise
from dofkit.train.data.rgbd.inspection import PairFacts, SetFacts, alignment, inspect_pair, inspect_set, row_order
from dofkit.train.data.rgbd.sheet import contact_sheet, shown_pairs

from .written import counted, kinect, write_grey, write_photo

SHAPE = (96, 128)


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A photo of five boxes on a ground that comes nearer downwards, and its disparity."""
    rng = np.random.default_rng(seed)
    disparity = np.repeat(np.linspace(0.1, 0.5, SHAPE[0], dtype=np.float32)[:, None], SHAPE[1], axis=1)
    photo = np.full((*SHAPE, 3), 120.0) + rng.normal(0, 2, (*SHAPE, 3))
    for _ in range(5):
        top, left = rng.integers(10, 60), rng.integers(5, 90)
        height, width = rng.integers(15, 35, 2)
        disparity[top : top + height, left : left + width] = 0.5 + 0.5 * rng.random()
        photo[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return np.clip(photo, 0, 255).astype(np.uint8), disparity


def pair(
    photo: np.ndarray, values: np.ndarray, meaning: DepthMeaning = DepthMeaning.AFFINE, mask: np.ndarray | None = None
) -> RgbdPair:
    return RgbdPair("one", photo, DepthMap(values.astype(np.float32), meaning), mask, "test", ())


def suspicions(values: np.ndarray, meaning: DepthMeaning = DepthMeaning.AFFINE) -> str:
    return "; ".join(inspect_pair(pair(scene()[0], values, meaning)).suspicions)


def test_a_sound_pair_is_not_suspected() -> None:
    photo, disparity = scene()
    facts = inspect_pair(pair(photo, disparity))
    assert facts.suspicions == ()
    assert (facts.photo, facts.map, facts.known) == (SHAPE, SHAPE, 1.0)
    assert facts.range == pytest.approx(tuple(np.percentile(disparity, [2, 50, 98])))
    assert facts.row_order is not None
    assert facts.row_order > 0.5


def test_what_is_spoilt_is_suspected_of_it() -> None:
    disparity = scene()[1]
    assert "inverted" in suspicions(1 - disparity)
    assert suspicions(np.full(SHAPE, 0.3)) == "all one value"
    assert suspicions(np.full(SHAPE, np.nan)) == "nothing is known"
    assert "turned by 90°" in suspicions(np.ascontiguousarray(disparity.T))
    assert "another aspect" in suspicions(disparity[:40])
    assert "mirrored" in suspicions(disparity[:, ::-1])
    assert "misaligned" in suspicions(np.roll(disparity, (5, -8), (0, 1)))
    assert "is the unit right" in suspicions(1000 / disparity, DepthMeaning.METRES)


def test_a_smaller_map_of_the_same_picture_is_not_suspected() -> None:
    photo, disparity = scene()
    assert inspect_pair(pair(photo, disparity[1::2, 1::2])).suspicions == ()


def test_a_shift_is_named_in_the_direction_that_mends_it() -> None:
    photo, disparity = scene()
    moved = np.roll(disparity, (4, -7), (0, 1))
    here, (down, right), best, _ = alignment(photo, moved)
    assert best > here
    assert (down, right) == pytest.approx((-4 / 128, 7 / 128), abs=1.01 / 128)


def test_alignment_is_a_correlation() -> None:
    photo, _ = scene()
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32)
    here, shift, best, _ = alignment(photo, grey)
    assert here == best == pytest.approx(1, abs=0.02)  # the map is not rounded to whole numbers when it is reduced
    assert shift == (0, 0)


def test_sparse_maps_are_not_suspected_of_a_wrong_place() -> None:
    moved = np.roll(scene()[1], (5, -8), (0, 1))
    moved[np.random.default_rng(0).random(SHAPE) < 0.6] = np.nan
    assert suspicions(moved) == ""


def test_row_order_is_the_rank_correlation_of_rows() -> None:
    rising = np.repeat(np.exp(np.arange(6.0))[:, None], 4, axis=1).astype(np.float32)
    assert row_order(rising) == pytest.approx(1)
    assert row_order(-rising) == pytest.approx(-1)
    swapped = rising[[1, 0, 2, 3, 4, 5]]
    assert row_order(swapped) == pytest.approx(1 - 6 * 2 / (6 * 35))  # Spearman: 1 − 6 Σ d² / n (n² − 1)
    rising[2:] = np.nan
    assert row_order(rising) is None


def masked(mask: np.ndarray) -> PairFacts:
    return inspect_pair(RgbdPair("one", scene()[0], None, mask.astype(np.float32), "test", ()))


def test_masks_are_suspected_where_they_are_full_empty_or_cover_nearly_all() -> None:
    mask = np.zeros(SHAPE)
    assert masked(mask).suspicions == ("the mask is all one value",)
    mask[20:40, 30:50] = 1
    assert masked(mask).suspicions == ()
    assert masked(mask).known == pytest.approx(mask.mean())
    assert "inverted" in masked(1 - mask).suspicions[0]


def test_a_set_whose_pairs_are_mostly_upside_down_is_warned_of(tmp_path: Path) -> None:
    for number in range(4):
        photo, disparity = scene(number)
        write_photo(tmp_path / "images" / f"{number}.png")
        Image.fromarray(photo).save(tmp_path / "images" / f"{number}.png")
        write_grey(tmp_path / "disparity" / f"{number}.png", np.rint(255 * (1 - disparity)).astype(np.uint8))
    facts = inspect_set(recognise(tmp_path))
    assert facts.warning is not None
    assert "near and far may be exchanged" in facts.warning


def test_a_pair_that_cannot_be_read_is_listed_and_the_others_are_seen(tmp_path: Path) -> None:
    for number in range(2):
        kinect(tmp_path, f"color/{number}.png", f"depth/{number}.png", counted(1000))
    (tmp_path / "depth" / "0.png").write_bytes(b"nothing")
    done: list[int] = []
    facts = inspect_set(recognise(tmp_path), done.append)
    assert [pair.error is None for pair in facts.pairs] == [False, True]
    assert "0.png" in str(facts.pairs[0].error)
    assert len(facts.read) == 1
    assert facts.range is not None
    assert done == [1, 2]


def test_the_sheet_shows_suspicious_pairs_first_and_others_from_all_over(tmp_path: Path) -> None:
    for number in range(12):
        kinect(tmp_path, f"color/{number:02d}.png", f"depth/{number:02d}.png", counted(1000))
    found = recognise(tmp_path)
    pairs = tuple(
        PairFacts(entry.name, suspicions=("odd",) if k in (5, 7) else ()) for k, entry in enumerate(found.entries)
    )
    places = shown_pairs(SetFacts(found, pairs), 6)
    assert places == [5, 7, 0, 3, 8, 11]
    with Image.open(io.BytesIO(contact_sheet([SetFacts(found, pairs)], 6))) as sheet:
        assert sheet.format == "PNG"
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(10**6) or []}
    assert (140, 90, 190) in colours  # holes have a colour of their own
