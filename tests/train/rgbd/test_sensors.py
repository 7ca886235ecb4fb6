"""16-bit depth: each set's unit and holes, and which photo belongs to which map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.rgbd import DepthMeaning, recognise
from dofkit.train.data.rgbd.sensors import associated, unrotated

from .written import HOLE, METRES, PHOTO, counted, kinect, rotated, write_grey, write_photo


def nyu(folder: Path) -> Path:
    return kinect(folder, "bedroom_0001/rgb_00000.png", "bedroom_0001/sync_depth_00000.png", counted(1000))


def seven_scenes(folder: Path) -> Path:
    return kinect(folder, "seq-01/frame-000000.color.png", "seq-01/frame-000000.depth.png", counted(1000, hole=65535))


def sun(folder: Path) -> Path:
    kinect(folder, "kv2/scene/image/0000103.png", "kv2/scene/depth/0000104.png", rotated(counted(1000)))
    (folder / "kv2/scene/intrinsics.txt").write_text("529.5 0 365 0 529.5 265 0 0 1")
    return folder


def tum(folder: Path) -> Path:
    kinect(folder, "rgb/1.5.png", "depth/1.51.png", counted(5000))
    (folder / "rgb.txt").write_text("# color images\n1.500 rgb/1.5.png\n9.000 rgb/none.png\n")
    (folder / "depth.txt").write_text("# depth maps\n1.510 depth/1.51.png\n")
    return folder


def redwood(folder: Path) -> Path:
    return kinect(folder, "color/000001-000000000000.png", "depth/000001-000000033369.png", counted(1000))


def kitti(folder: Path) -> Path:
    return kinect(
        folder, "image_02/data/0000000005.png", "proj_depth/groundtruth/image_02/0000000005.png", counted(256)
    )


def kitti_selection(folder: Path) -> Path:
    stem = "2011_09_26_drive_0002_sync_{}_0000000005_image_02.png"
    return kinect(
        folder, "image/" + stem.format("image"), "groundtruth_depth/" + stem.format("groundtruth_depth"), counted(256)
    )


def diml(folder: Path) -> Path:
    return kinect(
        folder,
        "LR/01/color/in_k_01_160225_000001_c.png",
        "LR/01/depth_filled/in_k_01_160225_000001_depth_filled.png",
        counted(1000),
    )


def diml_outdoors(folder: Path) -> Path:
    return kinect(folder, "outleft/0001_outleft.png", "depthmap/0001_depthmap.png", counted(1000))


SETS = {
    "nyu": nyu,
    "7scenes": seven_scenes,
    "sun": sun,
    "tum": tum,
    "redwood": redwood,
    "kitti": kitti,
    "kitti selection": kitti_selection,
    "diml": diml,
    "diml outdoors": diml_outdoors,
}


@pytest.mark.parametrize("name", SETS)
def test_depth_is_in_metres_and_holes_are_unknown(tmp_path: Path, name: str) -> None:
    found = recognise(SETS[name](tmp_path))
    (pair,) = found
    assert found.format.name == name.split()[0]
    np.testing.assert_array_equal(pair.photo, PHOTO)
    assert pair.depth is not None
    assert pair.depth.meaning is DepthMeaning.METRES
    assert np.isnan(pair.depth.values[HOLE])
    known = pair.depth.known
    assert known.sum() == METRES.size - 1
    np.testing.assert_allclose(pair.depth.values[known], METRES[known], atol=0.5 / 256)
    assert pair.source == found.format.name
    assert [file.exists() for file in pair.files] == [True, True]


@pytest.mark.parametrize("name", SETS)
def test_a_damaged_map_is_one_line_that_names_it(tmp_path: Path, name: str) -> None:
    found = recognise(SETS[name](tmp_path))
    file = found.entries[0].files[1]
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(DofkitError, match=file.name) as refused:
        found[0]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", SETS)
def test_eight_bits_where_sixteen_are_published_are_refused(tmp_path: Path, name: str) -> None:
    found = recognise(SETS[name](tmp_path))
    write_grey(found.entries[0].files[1], np.full(METRES.shape, 9, np.uint8))
    with pytest.raises(DofkitError, match="is not a 16-bit grey picture"):
        found[0]


@given(st.integers(0, 65535))
def test_sun_values_are_rotated_back(value: int) -> None:
    stored = rotated(np.array([value], np.uint16))
    assert unrotated(stored)[0] == value
    assert stored[0] == (value * 8) % 65536 + value // 8192  # the rotation in plain arithmetic


TIMES = st.lists(st.floats(0, 2), max_size=8, unique=True).map(sorted)


@given(TIMES, TIMES)
def test_times_meet_their_nearest_partners_once(first: list[float], second: list[float]) -> None:
    pairs = associated(first, second, 0.2)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    distances = {(i, j): abs(a - b) for i, a in enumerate(first) for j, b in enumerate(second)}
    assert all(distances[pair] <= 0.2 for pair in pairs)  # 0.2 itself only where a difference is rounded to it
    # The nearest of all are partners, and whoever is left alone has no free partner in reach.
    if distances and min(distances.values()) < 0.19:
        assert min(distances[pair] for pair in pairs) == min(distances.values())
    free = [set(range(len(times))) - {pair[k] for pair in pairs} for k, times in enumerate((first, second))]
    assert all(distances[i, j] >= 0.2 - 1e-9 for i in free[0] for j in free[1])


def test_a_broken_tum_table_is_one_line(tmp_path: Path) -> None:
    folder = tum(tmp_path)
    (folder / "depth.txt").write_text("soon depth/1.png\n")
    with pytest.raises(DofkitError, match=r"depth\.txt: 'soon depth/1\.png' is no time and file name"):
        recognise(folder)


def test_scenes_in_folders_of_their_own_are_one_set_with_their_names(tmp_path: Path) -> None:
    for scene in ("kitchen_0001", "office_0002"):
        kinect(tmp_path / scene, "rgb_00003.png", "sync_depth_00003.png", counted(1000))
    write_photo(tmp_path / "office_0002" / "rgb_00004.png")  # without depth
    found = recognise(tmp_path)
    assert [entry.name for entry in found.entries] == ["kitchen_0001/00003", "office_0002/00003"]


def test_a_file_that_a_table_names_and_nobody_has_is_one_line(tmp_path: Path) -> None:
    folder = tum(tmp_path)
    (folder / "depth" / "1.51.png").unlink()
    with pytest.raises(DofkitError, match=r"1\.51\.png"):
        recognise(folder)[0]


def test_a_photo_turned_by_its_metadata_is_upright(tmp_path: Path) -> None:
    folder = redwood(tmp_path)
    (folder / "color" / "000001-000000000000.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO).save(folder / "color" / "000001-0.jpg", exif=exif)
    assert recognise(folder)[0].photo.shape == (8, 6, 3)
