"""The web kit finds in a photo's file the depth map that dofkit itself finds there, and none in a damaged one."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image

from dofkit.kits.platform import Platform
from dofkit.runtime_ref.imageio import embedded_disparity, read_photo, write_photo

from ..runtime_ref.imageio import test_dynamic_depth as dynamic_depth
from ..runtime_ref.imageio import test_embedded_depth as phones
from .toolchains import tool

# Prints for every file its map, and for others whether it lies in [0, 1]; what decodes are Pillow's values.
SCRIPT = """
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
const [folder, source] = process.argv.slice(1);
const { embeddedDisparity } = await import(`${source}/embedded_depth.js`);
const { Picture } = await import(`${source}/picture.js`);
const known = JSON.parse(readFileSync(`${folder}/decoded.json`));
const decode = async (stored) => {
  const found = known[createHash("sha256").update(stored).digest("hex")];
  if (!found) throw new Error("no picture");
  return new Picture(found.height, found.width, 1, Float32Array.from(found.values));
};
const results = {};
for (const name of JSON.parse(readFileSync(`${folder}/names.json`))) {
  const file = readFileSync(`${folder}/${name}`);
  const map = await embeddedDisparity(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength), decode);
  results[name] = map && { height: map.height, width: map.width, values: [...map.data] };
}
console.log(JSON.stringify(results));
"""
STORED = phones.stored_map()
PNG = phones.encoded(STORED, "PNG")
DEEP = phones.encoded(STORED.astype(np.uint16) * 257, "PNG")
MAP = phones.apple_auxiliary(STORED)
METRES = phones.apple_auxiliary(STORED, "depth", FloatMinValue="0.5", FloatMaxValue="4.0")
MATTE = phones.apple_auxiliary(STORED, "depth", AuxiliaryImageSubType="portraiteffectsmatte")
PICTURES = (PNG, DEEP, MAP, METRES, dynamic_depth.DEPTH)

FOUND = {
    "apple": phones.apple_jpeg(MAP),
    "apple after a matte, in metres": phones.apple_jpeg(MATTE, METRES),
    "stale index": phones.photo_picture() + b"padding" + MAP,
    "google": phones.gdepth_jpeg(PNG, Format="RangeInverse", Near="1", Far="9"),
    "google, linear, 16 bits": phones.gdepth_jpeg(DEEP, Format="RangeLinear", Near="1", Far="3"),
    "dynamic": dynamic_depth.dynamic(),
    "dynamic, linear, later container": dynamic_depth.dynamic(
        Format="RangeLinear", container="http://ns.google.com/photos/1.0/container/"
    ),
    **{f"apple, turned {n}": phones.apple_jpeg(MAP, orientation=n) for n in range(2, 9)},
}
ABSENT = {
    "plain": phones.photo_picture(),
    "png": PNG,
    "text": b"Dear diary",
    "nothing": b"",
    "matte": phones.apple_jpeg(MATTE),
    "metres without a range": phones.apple_jpeg(phones.apple_auxiliary(STORED, "depth")),
    "cut short": phones.apple_jpeg(MAP[:-200]),
    "no extension": phones.gdepth_jpeg(PNG, Format="RangeInverse").replace(b"extension/", b"extensiom/"),
    "unknown format": phones.gdepth_jpeg(PNG, Format="RangeUnheardOf"),
    "range": phones.gdepth_jpeg(PNG, Format="RangeLinear", Near="3", Far="1"),
    "another uri": dynamic_depth.dynamic(DepthURI="elsewhere"),
    "dynamic, cut short": dynamic_depth.dynamic()[:-40],
}


def _decoded(picture: bytes) -> dict[str, Any]:
    image = Image.open(io.BytesIO(picture))
    values = np.asarray(image).astype(np.float64) / (65535 if image.mode.startswith("I") else 255)
    return {"height": image.height, "width": image.width, "values": values.ravel().tolist()}


def printed_by(script: str, files: dict[str, bytes], folder: Path) -> dict[str, Any]:
    """What a script of the kit's prints of files, which lie in a folder then."""
    (folder / "names.json").write_text(json.dumps(list(files)))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    source = Platform.WEB.sources / "portrait"
    command = [tool("node", "nodejs"), "--input-type=module", "-e", script, str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_the_kit(files: dict[str, bytes], folder: Path) -> dict[str, NDArray[np.float64] | None]:
    """The maps that the kit's source finds in files."""
    known = {hashlib.sha256(picture).hexdigest(): _decoded(picture) for picture in PICTURES}
    (folder / "decoded.json").write_text(json.dumps(known))
    results = printed_by(SCRIPT, files, folder)
    return {
        name: None if found is None else np.array(found["values"]).reshape(found["height"], found["width"])
        for name, found in results.items()
    }


def test_the_kit_finds_the_maps_that_dofkit_finds_and_no_others(tmp_path: Path) -> None:
    found = by_the_kit({**FOUND, **ABSENT}, tmp_path)
    for name in FOUND:
        expected, ours = embedded_disparity(tmp_path / name), found[name]
        assert expected is not None, name
        assert ours is not None, name
        np.testing.assert_allclose(ours, expected, atol=1e-6, err_msg=name)
    assert [name for name in ABSENT if found[name] is not None] == []


def test_a_photo_that_dofkit_wrote_anew_holds_no_map_for_the_kit_either(tmp_path: Path) -> None:
    source = tmp_path / "in.jpg"
    source.write_bytes(FOUND["apple"])
    photo = read_photo(source)
    write_photo(tmp_path / "out.jpg", photo.pixels, like=photo)
    assert by_the_kit({"out": (tmp_path / "out.jpg").read_bytes()}, tmp_path) == {"out": None}


@pytest.mark.parametrize("whole", ["apple", "google", "dynamic"])
def test_damage_ends_in_no_map_or_in_one_of_values_from_0_to_1(whole: str, tmp_path: Path) -> None:
    chance = random.Random(5)
    files = {}
    for number in range(60):
        data = bytearray(FOUND[whole])
        place = chance.randrange(len(data))
        data[place : place + chance.randrange(60)] = chance.randbytes(chance.randrange(1, 60))
        files[f"{number}"] = bytes(data)
    found = [values for values in by_the_kit(files, tmp_path).values() if values is not None]
    assert all(values.min() >= 0 and values.max() <= 1 for values in found)


# Writes for every HEIC the one whose picture is its depth map, and prints what it says of the numbers.
HEIF = """
import { readFileSync, writeFileSync } from "node:fs";
const [folder, source] = process.argv.slice(1);
const { heifDepth } = await import(`${source}/heif.js`);
const { hasHeifDepth } = await import(`${source}/embedded_depth.js`);
const results = {};
for (const name of JSON.parse(readFileSync(`${folder}/names.json`))) {
  const file = new Uint8Array(readFileSync(`${folder}/${name}`));
  const found = heifDepth(file);
  if (found) writeFileSync(`${folder}/${name}.map`, found.picture);
  results[name] = found ? found.isDisparity : null;
  if (hasHeifDepth(file) !== Boolean(found)) throw new Error(name);
}
console.log(JSON.stringify(results));
"""


def heic_depths(files: dict[str, bytes], folder: Path) -> dict[str, bool | None]:
    """Of each file whether its depth map holds disparity; None where there is no map. The maps lie beside them."""
    return printed_by(HEIF, files, folder)


def with_representation(heic: bytes, content: int) -> bytes:
    """A HEIC whose depth map has a message on its numbers, this byte being its content. Only its boxes are right."""
    unit = bytes([39 << 1, 1, 177, 1, content, 0x80])
    message = struct.pack(">II", 4 + len(unit), len(unit)) + unit
    data = bytearray(heic)
    end = heic.index(b"auxid:2\0") + len(b"auxid:2\0")
    for kind in (b"meta", b"iprp", b"ipco"):
        _grow(data, heic.index(kind) - 4, len(message))
    _grow(data, heic.rindex(b"auxC", 0, end) - 4, len(message))
    return bytes(data[:end] + message + data[end:])


def _grow(data: bytearray, at: int, by: int) -> None:
    data[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", data, at)[0] + by)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_heics_depth_becomes_a_picture_that_whoever_decodes_the_photo_decodes(
    orientation: int, tmp_path: Path
) -> None:
    heic = phones.heic_with_depth(orientation)
    assert heic_depths({"photo": heic}, tmp_path) == {"photo": True}
    expected = embedded_disparity(tmp_path / "photo")
    assert expected is not None
    values = np.asarray(pillow_heif.open_heif(tmp_path / "photo.map").to_pillow().convert("L")) / 255
    stretched = (values - values.min()) / (values.max() - values.min())
    np.testing.assert_allclose(stretched, expected, atol=1e-6)


def test_numbers_that_are_no_disparity_and_files_without_a_map_are_told_apart(tmp_path: Path) -> None:
    heic = phones.heic_with_depth()
    kinds = {"0": 0b00001000, "1": 0b00000100, "2": 0b00000110, "3": 0b00000010}  # four flags, then Exp-Golomb
    files = {name: with_representation(heic, content) for name, content in kinds.items()}
    plain = {"alpha": heic.replace(b"auxid:2", b"auxid:1"), "text": b"Dear diary", "cut": heic[:300], "jpeg": MAP}
    found = heic_depths({**files, **plain}, tmp_path)
    assert found == {"0": True, "1": True, "2": False, "3": False, **dict.fromkeys(plain)}


def test_a_damaged_heic_ends_in_a_map_or_in_none(tmp_path: Path) -> None:
    chance, heic, files = random.Random(3), phones.heic_with_depth(), {}
    for number in range(80):
        data = bytearray(heic)
        place = chance.randrange(600)  # where the boxes are
        data[place : place + 4] = chance.randbytes(4)
        files[f"{number}"] = bytes(data)
    assert set(heic_depths(files, tmp_path).values()) <= {True, False, None}
