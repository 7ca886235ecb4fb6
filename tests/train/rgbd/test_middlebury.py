"""Middlebury: PFM and calib.txt by their definitions, and what damaged ones say."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.rgbd import DepthMeaning, recognise
from dofkit.train.data.rgbd.middlebury import StereoCalibration
from dofkit.train.data.rgbd.pfm import format_pfm, parse_pfm, read_pfm

from .written import PHOTO, write_grey, write_photo

CALIB = """cam0=[994.978 0 311.193; 0 994.978 254.877; 0 0 1]
cam1=[994.978 0 342.279; 0 994.978 254.877; 0 0 1]
doffs=31.086
baseline=193.001
width=8
height=6
ndisp=70
"""
DISPARITY = np.linspace(5, 60, 48, dtype=np.float32).reshape(6, 8)


def scene(folder: Path, disparity: np.ndarray = DISPARITY, calib: str = CALIB) -> Path:
    write_photo(folder / "im0.png")
    (folder / "disp0.pfm").write_bytes(format_pfm(disparity))
    (folder / "calib.txt").write_text(calib)
    return folder


MAPS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.floats(width=32))


@given(MAPS)
def test_a_map_survives_its_file_whatever_its_values(values: np.ndarray) -> None:
    np.testing.assert_array_equal(parse_pfm(format_pfm(values)), values)


def test_rows_run_from_the_bottom_and_the_scales_sign_is_the_byte_order() -> None:
    for sign, order in ((-1.0, "<"), (1.0, ">")):
        data = f"Pf\n2 2\n{sign}\n".encode() + struct.pack(f"{order}4f", 3, 4, 1, 2)
        np.testing.assert_array_equal(parse_pfm(data), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PF\n1 1\n-1\n" + bytes(12), "in colour"),
        (b"Pf\n2 2\n-1\n" + bytes(15), "2×2 values are named, 3 are there"),
        (b"Pf\n0 2\n-1\n", "0×2|2×0|values are named"),
        (b"Pf\n1 1\n0\n" + bytes(4), "scale is no number other than 0"),
        (b"Pf\n1 1\nnan\n" + bytes(4), "scale is no number other than 0"),
        (b"P5\n1 1\n255\n0", "does not begin with Pf"),
    ],
)
def test_what_is_no_pfm_says_why(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "map.pfm").write_bytes(data)
    with pytest.raises(DofkitError, match=f"map.pfm is no PFM map .*({words})"):
        read_pfm(tmp_path / "map.pfm")


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_value_error(data: bytes) -> None:
    for start in (b"", b"Pf\n2 2\n-1\n"):
        try:
            assert parse_pfm(start + data).ndim == 2
        except ValueError:
            continue


def test_depth_follows_from_the_calibration(tmp_path: Path) -> None:
    holed = DISPARITY.copy()
    holed[1, 2] = np.inf
    (pair,) = recognise(scene(tmp_path / "Motorcycle", holed))
    assert pair.depth is not None
    assert (pair.name, pair.depth.meaning) == ("Motorcycle", DepthMeaning.INVERSE_METRES)
    metres = pair.depth.metres()
    assert metres is not None
    assert np.isnan(metres[1, 2])
    known = pair.depth.known
    np.testing.assert_allclose(metres[known], 0.193001 * 994.978 / (DISPARITY[known] + 31.086), rtol=1e-5)
    np.testing.assert_array_equal(pair.photo, PHOTO)


@pytest.mark.parametrize(
    ("calib", "words"),
    [
        (CALIB.replace("doffs=31.086\n", ""), "no number for doffs"),
        (CALIB.replace("193.001", "wide"), "no number for baseline"),
        (CALIB.replace("baseline=193.001", "baseline=0"), "above 0"),
        (CALIB.replace("cam0=[", "cam0=("), "no camera matrix"),
        (CALIB.replace("width=8", "width=9"), "has 8×6 values, calib.txt says 9×6"),
        (CALIB.replace("994.978", "nan"), "no camera matrix"),
    ],
)
def test_a_calibration_that_cannot_be_says_what_is_wrong(tmp_path: Path, calib: str, words: str) -> None:
    with pytest.raises(DofkitError, match=words):
        recognise(scene(tmp_path, calib=calib))[0]


FACTS = {"doffs": st.floats(-300, 300), "baseline": st.floats(1, 600), "width": st.integers(1, 9999)}


@given(st.fixed_dictionaries(FACTS), st.floats(1, 9000), st.randoms())
def test_calibrations_are_read_in_any_order_of_lines(tmp_path_factory, facts: dict, focal: float, random) -> None:
    lines = [f"{name} = {value}" for name, value in facts.items()]
    lines += [f"cam0=[{focal} 0 3.5; 0 {focal} 2; 0 0 1]", "height=7", "", "# a comment"]
    random.shuffle(lines)
    path = tmp_path_factory.getbasetemp() / "calib.txt"
    path.write_text("\n".join(lines))
    read = StereoCalibration.read(path)
    assert (read.focal, read.baseline, read.offset) == (focal, facts["baseline"], facts["doffs"])
    assert (read.width, read.height) == (facts["width"], 7)


def test_older_scenes_are_known_up_to_scale_and_shift(tmp_path: Path) -> None:
    write_photo(tmp_path / "Art/view1.png")
    stored = (np.arange(48).reshape(6, 8) * 5).astype(np.uint8)
    write_grey(tmp_path / "Art/disp1.png", stored)
    found = recognise(tmp_path)
    (pair,) = found
    assert pair.depth is not None
    assert (found.format.name, pair.name, pair.depth.meaning) == ("middlebury8", "Art", DepthMeaning.AFFINE)
    assert (~pair.depth.known == (stored == 0)).all()
    np.testing.assert_array_equal(pair.depth.values[stored > 0], stored[stored > 0])
