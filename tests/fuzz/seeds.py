"""Sound files of every kind that dofkit reads, small, made in a second: what the fuzzer damages."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from dofkit.runtime_ref.bundle import (
    MANIFEST,
    GoldenCase,
    Manifest,
    ModelEntry,
    NetworkEntry,
    TensorEntry,
    describe_files,
)
from dofkit.runtime_ref.bundle.golden import GoldenArrays, golden_arrays, write_golden
from dofkit.runtime_ref.mil.elements import Element
from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.stage import INPUTS, OUTPUTS, PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision, Target

from ..packages import PackageWriter, brightening, lookup

Tree = dict[str, bytes]
"""A file or folder: path inside it -> bytes; a lone file has the empty path."""

pillow_heif.register_heif_opener()
_SIZE = (24, 32)


def read_tree(path: Path) -> Tree:
    """All files of a folder, by their paths in it."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def write_tree(tree: Tree, path: Path) -> None:
    """Write a file or folder."""
    for name, data in tree.items():
        file = path / name if name else path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def sound_files(kinds: Collection[str] | None = None) -> dict[str, list[Tree]]:
    """Kind -> files of it; of all kinds, or of these."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        makers: dict[str, Callable[[], Iterable[Tree]]] = {
            **{kind: partial(_alone, make) for kind, make in _PHOTOS.items()},
            "disparity": lambda: _alone(_disparities),
            "npy": lambda: _alone(_arrays),
            "mlpackage": lambda: map(read_tree, _packages(root)),
            "bundle": lambda: [_bundle(root / "small.dofbundle")],
            "weights": lambda: [{"lens_blur.safetensors": _weights(root)}],
            "recipe": lambda: [{"": _recipe()}],
            "tolerances": lambda: [{"": _TOLERANCES}],
        }
        return {kind: list(make()) for kind, make in makers.items() if kinds is None or kind in kinds}


def _alone(make: Callable[[], Iterable[bytes]]) -> Iterator[Tree]:
    return ({"": data} for data in make())


def _pixels(*channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*_SIZE, *channels)).astype(np.uint8)


def _encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _colour() -> Image.Image:
    return Image.fromarray(_pixels(3))


def _metadata() -> dict[str, bytes]:
    """A turned photo's EXIF, and an empty XMP packet."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    return {"exif": exif.tobytes(), "xmp": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'}


def _jpegs() -> Iterator[bytes]:
    yield _encoded(_colour(), "JPEG", **_metadata())
    yield _encoded(_colour().convert("CMYK"), "JPEG")
    yield _encoded(_colour(), "JPEG", progressive=True)
    yield _portrait()


def _pngs() -> Iterator[bytes]:
    yield _encoded(_colour(), "PNG", exif=_metadata()["exif"])
    yield _encoded(Image.fromarray(_pixels(4)), "PNG")
    yield _encoded(_colour().quantize(16), "PNG")


def _heics() -> Iterator[bytes]:
    yield _encoded(_colour(), "HEIF", **_metadata())
    yield _encoded(_colour().convert("L"), "HEIF")


def _webps() -> Iterator[bytes]:
    yield _encoded(_colour(), "WEBP", **_metadata())
    yield _encoded(Image.fromarray(_pixels(4)), "WEBP", lossless=True)


def _tiffs() -> Iterator[bytes]:
    yield _encoded(_colour(), "TIFF")
    yield _encoded(_colour(), "TIFF", compression="tiff_lzw")
    yield _encoded(Image.fromarray(_pixels()), "TIFF", compression="tiff_adobe_deflate")


def _avifs() -> Iterator[bytes]:
    yield _encoded(_colour(), "AVIF", exif=_metadata()["exif"])


def _bmps() -> Iterator[bytes]:
    yield _encoded(_colour(), "BMP")
    yield _encoded(_colour().quantize(16), "BMP")


_PHOTOS: dict[str, Callable[[], Iterable[bytes]]] = {
    "jpeg": _jpegs,
    "png": _pngs,
    "heic": _heics,
    "webp": _webps,
    "tiff": _tiffs,
    "avif": _avifs,
    "bmp": _bmps,
}


def _portrait() -> bytes:
    """A JPEG with a second picture behind it that XMP calls its disparity, as Apple's phones write."""
    inside = 'xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" apdi:AuxiliaryImageType="disparity"'
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    described = f'<rdf:RDF xmlns:rdf="{rdf}"><rdf:Description {inside}/></rdf:RDF>'
    packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{described}</x:xmpmeta>'
    depth = _encoded(Image.fromarray(_pixels()), "JPEG", xmp=packet.encode())
    return _encoded(Image.fromarray(_pixels(3)), "JPEG") + depth


def _disparities() -> Iterator[bytes]:
    yield _encoded(Image.fromarray(_pixels().astype(np.uint16) * 257), "PNG")
    yield _encoded(Image.fromarray(_pixels()), "PNG")
    yield _encoded(Image.fromarray(_pixels()), "JPEG")


def _arrays() -> Iterator[bytes]:
    for values in (
        np.zeros((1, 3, 8, 8), np.float32),
        np.arange(192).reshape(1, 3, 8, 8),
        np.asfortranarray(np.ones((1, 3, 8, 8))),
    ):
        buffer = io.BytesIO()
        np.save(buffer, values)
        yield buffer.getvalue()


def _packages(root: Path) -> Iterator[Path]:
    yield brightening(root / "bright.mlpackage")
    yield lookup(root / "table.mlpackage")
    writer = PackageWriter()
    array = writer.input("x", (1, 4), Element.FLOAT16)
    for low, high in ((1, 1), (1, 8)):
        array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    for name, value in {
        "axes": np.array([0, 1], np.int32),
        "begin": np.array([0, 1], np.int32),
        "size": np.array([1, 2], np.int32),
        "reps": np.array([2, 3], np.int32),
        "half": np.array(0.5, np.float16),
        "keep": np.array(True),
        "weight": np.ones((3, 6), np.float16),
        "exact": "EXACT",
    }.items():
        writer.constant(name, value)
    half = Element.FLOAT16
    writer.add("slice_by_size", "some", (1, 2), half, x="x", begin="begin", size="size")
    writer.add("tile", "many", (2, 6), half, x="some", reps="reps")
    writer.add("linear", "mixed", (2, 3), half, x="many", weight="weight")
    writer.add("gelu", "bent", (2, 3), half, x="mixed", mode="exact")
    writer.add("mul", "scaled", (2, 3), half, x="bent", y="half")
    writer.add("reduce_sum", "sum", (1, 1), half, x="scaled", axes="axes", keep_dims="keep")
    writer.output("sum", (1, 1), half)
    yield writer.save(root / "vector.mlpackage")


def _bundle(root: Path) -> Tree:
    """One stage as an ONNX file and a Core ML package, with a golden case, in a few kilobytes."""
    shape = (1, 3, 8, 8)
    (root / "golden").mkdir(parents=True)
    (root / "blur.onnx").write_bytes(_onnx(shape))
    writer = PackageWriter()
    writer.input("image", shape)
    writer.input("defocus", (1, 1, 8, 8))
    writer.add("mul", "blurred", shape, x="image", y="defocus")
    writer.output("blurred", shape)
    writer.save(root / "blur.mlpackage")
    write_golden(root / "golden/one.safetensors", _golden())
    tensors = {
        name: TensorEntry(
            name=name, shape=(1, channels, 8, 8), dtype="float32", layout="NCHW", low=-1, high=1, meaning=name
        )
        for name, channels in (("image", 3), ("defocus", 1), ("blurred", 3))
    }
    models = tuple(
        ModelEntry(
            stage=Stage.LENS_BLUR,
            target=target,
            precision=Precision.FP32,
            path=path,
            inputs=(tensors["image"], tensors["defocus"]),
            outputs=(tensors["blurred"],),
            operators={"mul": 1},
            deployment="any",
        )
        for target, path in ((Target.ONNX, "blur.onnx"), (Target.COREML, "blur.mlpackage"))
    )
    tiles = TileSpec(tile=8, halo=0, align=1)
    manifest = Manifest(
        name="small",
        conventions={"image": "RGB"},
        plan=PipelinePlan(depth_height=128, depth_width=128, lens_blur=tiles, guided_upsampling=tiles),
        networks={Stage.LENS_BLUR: NetworkEntry(parameters=1, halo=0, configuration={}, weights_sha256="0" * 64)},
        models=models,
        golden=(
            GoldenCase(name="one", path="golden/one.safetensors", kind="photo", focus=0.5, aperture=0.5, note="noise"),
        ),
        tools={"dofkit": "0"},
        files=describe_files(root),
    )
    (root / MANIFEST).write_bytes(manifest.sealed().encoded())
    return read_tree(root)


def _golden() -> GoldenArrays:
    rng = np.random.default_rng(0)
    stages = {
        stage: (
            {signal.name: rng.random((1, signal.channels, 8, 8)).astype(np.float32) for signal in INPUTS[stage]},
            rng.random((1, OUTPUTS[stage].channels, 8, 8)).astype(np.float32),
        )
        for stage in PIPELINE_STAGES
    }
    return golden_arrays(_pixels(3), rng.random((*_SIZE, 3)).astype(np.float32), stages)


def _onnx(shape: tuple[int, ...]) -> bytes:
    from onnx import TensorProto, helper

    def tensor(name: str, channels: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, *shape[2:]])

    graph = helper.make_graph(
        [helper.make_node("Mul", ["image", "defocus"], ["blurred"])],
        "blur",
        [tensor("image", 3), tensor("defocus", 1)],
        [tensor("blurred", 3)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def _weights(root: Path) -> bytes:
    import torch

    from dofkit.train.networks import NETWORKS
    from dofkit.train.weights import save_weights

    torch.manual_seed(0)
    return save_weights(NETWORKS[Stage.LENS_BLUR](), Stage.LENS_BLUR, root / "weights").read_bytes()


def _recipe() -> bytes:
    figures = {"psnr": 40.0, "bytes": 1000, "size": 0.3}
    return json.dumps(
        {
            "schema_version": 1,
            "target": "onnx",
            "budget": "PSNR=40",
            "keep": {"depth": ["encoder.0"]},
            "layers": {"depth": 4},
            "weights": {"depth": "0" * 64},
            "pictures": ["one"],
            "reached": figures,
            "everything": figures,
        }
    ).encode()


_TOLERANCES = b"""[[tolerance]]
target = "tflite"
precision = "w8a8"
scope = "depth"
psnr = 30.0
reason = "night mode"

[[tolerance]]
max_abs = 0.01
ssim = 0.9
reason = "everything"
"""
