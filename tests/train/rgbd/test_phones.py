"""Phones: embedded maps wherever a photo has one, and a lens-blur app whose black is near."""

from __future__ import annotations

import base64
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.rgbd import DepthMeaning, recognise

from .written import PHOTO, write_grey, write_photo

STORED = (np.arange(48).reshape(6, 8) * 5).astype(np.uint8)


def gdepth(path: Path) -> None:
    """A JPEG with a GDepth map, 0 near."""
    depth, photo = io.BytesIO(), io.BytesIO()
    Image.fromarray(STORED).save(depth, "PNG")
    Image.fromarray(PHOTO).save(photo, "JPEG")
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/" GDepth:Format="RangeInverse" '
        f'GDepth:Near="1" GDepth:Far="9" GDepth:Data="{base64.b64encode(depth.getvalue()).decode()}"/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    content = b"http://ns.adobe.com/xap/1.0/\0" + packet.encode()
    data = photo.getvalue()
    path.write_bytes(data[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(content) + 2) + content + data[2:])


def test_photos_with_a_map_are_pairs_and_others_are_not(tmp_path: Path) -> None:
    gdepth(tmp_path / "portrait.jpg")
    Image.fromarray(PHOTO).save(tmp_path / "plain.jpg")
    found = recognise(tmp_path)
    (pair,) = found
    assert (found.format.name, pair.name) == ("phone", "portrait")
    assert pair.depth is not None
    assert pair.depth.meaning is DepthMeaning.AFFINE
    expected = (STORED.max() - STORED.astype(np.float32)) / np.ptp(STORED)
    np.testing.assert_allclose(pair.depth.values, expected, atol=1e-6)


def test_a_single_photo_is_a_set_of_its_own(tmp_path: Path) -> None:
    gdepth(tmp_path / "portrait.jpg")
    assert len(recognise(tmp_path / "portrait.jpg")) == 1
    Image.fromarray(PHOTO).save(tmp_path / "plain.jpg")
    with pytest.raises(DofkitError, match="no image \\+ depth"):
        recognise(tmp_path / "plain.jpg")


def test_a_damaged_heic_is_found_and_says_so_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "portrait.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    found = recognise(tmp_path)
    with pytest.raises(DofkitError, match=r"portrait\.heic.*damaged or cut short"):
        found[0]


def test_the_apps_black_is_near(tmp_path: Path) -> None:
    write_photo(tmp_path / "hut-image.png")
    write_grey(tmp_path / "hut-depth.png", STORED)
    found = recognise(tmp_path)
    (pair,) = found
    assert (found.format.name, pair.name) == ("lens_blur", "hut")
    assert pair.depth is not None
    np.testing.assert_allclose(pair.depth.disparity(), 1 - STORED / 255, atol=1e-6)
