"""Which set is found where, and what a map's values become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.rgbd import FORMATS, DepthMap, DepthMeaning, recognise, survey

from .written import counted, kinect, write_grey, write_photo


def test_sets_side_by_side_are_told_apart(tmp_path: Path) -> None:
    kinect(tmp_path / "b", "color/0.png", "depth/0.png", counted(1000))
    write_photo(tmp_path / "a" / "images" / "x.png")
    write_grey(tmp_path / "a" / "masks" / "x.png", np.zeros((6, 8), np.uint8))
    found = survey(tmp_path)
    assert [(one.format.name, len(one)) for one in found] == [("masks", 1), ("redwood", 1)]
    with pytest.raises(DofkitError, match=r"holds 2 sets \(a, "):
        recognise(tmp_path)


def test_what_is_declared_goes_before_a_layout(tmp_path: Path) -> None:
    kinect(tmp_path, "color/0.png", "depth/0.png", counted(5000))
    (tmp_path / "index.csv").write_text(
        "name,image,depth,kind,scale,offset\n0,color/0.png,depth/0.png,depth16,0.0002,0\n"
    )
    found = recognise(tmp_path)
    assert found.format.name == "table"
    depth = found[0].depth
    assert depth is not None
    assert np.nanmax(depth.values) == pytest.approx(3.0)


def test_hidden_folders_and_links_are_not_searched(tmp_path: Path) -> None:
    kinect(tmp_path / ".trash", "color/0.png", "depth/0.png", counted(1000))
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(DofkitError, match="no image"):
        survey(tmp_path)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="no such folder or file"):
        survey(tmp_path / "nowhere")


def test_formats_have_distinct_names() -> None:
    assert len({form.name for form in FORMATS}) == len(FORMATS)


def test_disparity_and_depth_are_each_others_inverse() -> None:
    metres = np.array([[0.5, 4.0, np.nan, 0.0]], np.float32)
    inverse = DepthMap(metres, DepthMeaning.METRES).disparity()
    np.testing.assert_array_equal(inverse, np.array([[2, 0.25, np.nan, np.nan]], np.float32))
    back = DepthMap(inverse, DepthMeaning.INVERSE_METRES).metres()
    np.testing.assert_array_equal(back, np.array([[0.5, 4.0, np.nan, np.nan]], np.float32))
    far = DepthMap(np.zeros((1, 1), np.float32), DepthMeaning.INVERSE_METRES).metres()
    assert far is not None
    assert np.isinf(far).all()
    for meaning in (DepthMeaning.AFFINE, DepthMeaning.PROPORTIONAL):
        assert DepthMap(metres, meaning).metres() is None
        assert DepthMap(metres, meaning).disparity() is metres
