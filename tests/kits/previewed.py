"""A bundle that names preview graphs, without an export of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dofkit.runtime_ref.bundle import Manifest
from dofkit.runtime_ref.pipeline.stage import INPUTS, OUTPUTS, PREVIEWS, Stage
from dofkit.runtime_ref.target import Target


def _tensor(target: Target, name: str, *planar: int) -> dict[str, Any]:
    signal = next(signal for signal in (*INPUTS[Stage.PREVIEW], OUTPUTS[Stage.PREVIEW]) if signal.name == name)
    interleaved = target is Target.TFLITE
    shape = [planar[axis] for axis in ((0, 2, 3, 1) if interleaved else range(4))]
    known = {"dtype": "float32", "layout": "NHWC" if interleaved else "NCHW", "image": None}
    return {"name": name, "shape": shape, "low": 0.0, "high": 1.0, "meaning": signal.meaning, **known}


def with_previews(bundle: Path, height: int, width: int, target: Target = Target.ONNX) -> None:
    """Name both previews in a bundle's manifest, fp32, where a file of another network stands in for them."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    like = next(m for m in manifest["models"] if (m["stage"], m["target"], m["precision"]) == ("depth", target, "fp32"))
    plan, number = manifest["plan"], (1, 1, 1, 1)
    image, portrait = (_tensor(target, name, 1, 3, height, width) for name in ("image", "portrait"))
    numbers = [_tensor(target, name, *number) for name in ("focus", "aperture")]
    disparity = _tensor(target, "disparity", 1, 1, plan["depth_height"], plan["depth_width"])
    for stage, inputs in zip(PREVIEWS, ([image, disparity, *numbers], [image, *numbers]), strict=True):
        path = like["path"].replace("depth", stage.value)
        for name in [name for name in manifest["files"] if name == like["path"] or name.startswith(f"{like['path']}/")]:
            copy = path + name.removeprefix(like["path"])
            (bundle / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / name, bundle / copy)
            manifest["files"][copy] = manifest["files"][name]
        manifest["models"].append({**like, "stage": stage, "path": path, "inputs": inputs, "outputs": [portrait]})
    (bundle / "manifest.json").write_bytes(Manifest.model_validate(manifest).sealed().encoded())


def write_squaring(bundle: Path) -> None:
    """In the place of the preview graph a file that gives the square of its image."""
    onnx = pytest.importorskip("onnx")
    models = json.loads((bundle / "manifest.json").read_text())["models"]
    entry = next(model for model in models if model["stage"] == Stage.PREVIEW)
    tensors = [
        onnx.helper.make_tensor_value_info(tensor["name"], onnx.TensorProto.FLOAT, tensor["shape"])
        for tensor in (*entry["inputs"], *entry["outputs"])
    ]
    node = onnx.helper.make_node("Mul", ["image", "image"], ["portrait"])
    graph = onnx.helper.make_graph([node], Stage.PREVIEW.value, tensors[:-1], tensors[-1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, bundle / entry["path"])
