"""Plain folders: what their tables declare, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.rgbd import DepthMeaning, recognise

from .written import HOLE, METRES, PHOTO, counted, kinect, write_grey, write_photo

HEAD = "name,image,depth,kind,scale,offset,group\n"
STORED = (np.arange(48).reshape(6, 8) * 5).astype(np.uint8)


def table(folder: Path, *lines: str, head: str = HEAD) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "index.csv").write_text(head + "".join(f"{line}\n" for line in lines))
    return folder


def test_a_table_declares_depth_in_metres(tmp_path: Path) -> None:
    kinect(tmp_path, "images/a.png", "depth/a.png", counted(5000))
    (pair,) = recognise(table(tmp_path, "a,images/a.png,depth/a.png,depth16,0.0002,0,rooms"))
    assert pair.depth is not None
    assert (pair.name, pair.depth.meaning) == ("a", DepthMeaning.METRES)
    assert np.isnan(pair.depth.values[HOLE])
    np.testing.assert_allclose(pair.depth.values[pair.depth.known], METRES[pair.depth.known], atol=2e-4)


def test_a_table_declares_disparity_and_white_is_near_for_scales_of_both_signs(tmp_path: Path) -> None:
    write_photo(tmp_path / "images/a.png")
    write_grey(tmp_path / "depth/a.png", STORED)
    lines = ("a,images/a.png,depth/a.png,disparity8,0.5,3,", "b,images/a.png,depth/a.png,disparity8,-0.5,255,")
    plain, turned = (pair.depth for pair in recognise(table(tmp_path, *lines)))
    assert plain is not None
    assert turned is not None
    np.testing.assert_allclose(plain.values, 3 + 0.5 * STORED)
    assert plain.meaning is turned.meaning is DepthMeaning.AFFINE
    assert np.corrcoef(turned.values.ravel(), STORED.ravel())[0, 1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a,i.png,d.png,metres,1,0,", r"line 2: the kind is 'metres'; write disparity8 or depth16"),
        ("a,i.png,d.png,depth16,much,0,", r"line 2: scale is 'much', not a number"),
        ("a,i.png,d.png,depth16,nan,0,", r"not a number"),
        ("a,i.png,d.png,depth16,0,0,", r"fit no depth16"),
        ("a,i.png,d.png,depth16,-1,0,", r"fit no depth16"),
        ("a,i.png,d.png,disparity8,0,0,", r"fit no disparity8"),
        ("a,../i.png,d.png,depth16,1,0,", r"does not lie in the folder of the table"),
        ("a,/etc/passwd,d.png,depth16,1,0,", r"does not lie in the folder of the table"),
        ("a,i.png", r"line 2: has fewer values than columns"),
    ],
)
def test_a_line_that_declares_nonsense_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(DofkitError, match=words):
        recognise(table(tmp_path, line))


def test_a_table_without_a_column_or_in_another_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="lacks the column kind"):
        recognise(table(tmp_path, head="name,image,depth\n"))
    (tmp_path / "index.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DofkitError, match="is no table"):
        recognise(tmp_path)


def test_scaled_depth_follows_its_greatest(tmp_path: Path) -> None:
    write_photo(tmp_path / "rgb/00007.png")
    write_grey(tmp_path / "depth/00007.png", STORED)
    (tmp_path / "scale.csv").write_text("index,depth_max_m\n7,5.1\n")
    (pair,) = recognise(tmp_path)
    assert pair.depth is not None
    np.testing.assert_allclose(pair.depth.values, 5.1 * (STORED + 0.5) / 255, rtol=1e-6)
    assert pair.depth.meaning is DepthMeaning.METRES


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("index,depth_max_m\n8,5.1\n", "has no line for 00007"),
        ("index,depth_max_m\n7,-1\n", "line 2: wants a whole index and a depth above 0"),
        ("index,depth_max_m\nx,1\n", "line 2: wants a whole index"),
        ("index\n7\n", "lacks the column depth_max_m"),
    ],
)
def test_a_scale_that_is_missing_or_senseless_is_named(tmp_path: Path, text: str, words: str) -> None:
    write_photo(tmp_path / "rgb/00007.png")
    write_grey(tmp_path / "depth/00007.png", STORED)
    (tmp_path / "scale.csv").write_text(text)
    with pytest.raises(DofkitError, match=words):
        recognise(tmp_path)


def test_disparity_of_sixteen_bits_has_holes_and_of_eight_none(tmp_path: Path) -> None:
    wide = STORED.astype(np.uint16) * 257
    for name, values in (("a", STORED), ("b", wide)):
        write_photo(tmp_path / f"images/{name}.png")
        write_grey(tmp_path / f"disparity/{name}.png", values)
    eight, sixteen = (pair.depth for pair in recognise(tmp_path))
    assert eight is not None
    assert sixteen is not None
    np.testing.assert_allclose(eight.values, STORED / 255, rtol=1e-6)
    assert eight.known.all()
    assert (~sixteen.known == (STORED == 0)).all()
    np.testing.assert_allclose(sixteen.values[sixteen.known], STORED[STORED > 0] / 255, rtol=1e-6)


def test_masks_are_subjects_without_depth(tmp_path: Path) -> None:
    write_photo(tmp_path / "images/a.png")
    write_grey(tmp_path / "masks/a.png", STORED)
    (pair,) = recognise(tmp_path)
    assert pair.depth is None
    assert pair.mask is not None
    np.testing.assert_allclose(pair.mask, STORED / 255, rtol=1e-6)
    np.testing.assert_array_equal(pair.photo, PHOTO)


def test_sixteen_bit_depth_without_a_unit_is_not_guessed(tmp_path: Path) -> None:
    kinect(tmp_path, "rgb/a.png", "depth/a.png", counted(1000))
    with pytest.raises(DofkitError, match=r"declare its files in an index\.csv"):
        recognise(tmp_path)
