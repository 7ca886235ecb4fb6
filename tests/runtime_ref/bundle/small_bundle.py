"""Bundles of a few bytes for tests of what is declared and recorded: their models are no models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dofkit.runtime_ref.bundle import MANIFEST, Bundle, GoldenCase, Manifest, ModelEntry, TensorEntry, describe_files
from dofkit.runtime_ref.bundle.golden import golden_arrays, write_golden
from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.stage import INPUTS, OUTPUTS, PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision, Target

PHOTO = np.zeros((8, 8, 3), np.uint8)


def model(
    stage: str,
    target: str = "onnx",
    precision: str = "fp32",
    content: bytes = b"x" * 100,
    operators: dict[str, int] | None = None,
    path: str | None = None,
    package: dict[str, bytes] | None = None,
    high: float = 1.0,
    **more: Any,
) -> dict[str, Any]:
    """A model: its entry in the manifest, and the bytes of its file (or of the files of its package)."""
    path = path or f"models/{target}/{stage}.{precision}"
    tensors = [
        TensorEntry(name=signal.name, shape=(1, 3, 8, 8), dtype="float32", layout="NCHW", low=0, high=high, meaning="")
        for signal in (*INPUTS[Stage(stage)], OUTPUTS[Stage(stage)])
    ]
    entry = ModelEntry(
        stage=Stage(stage),
        target=Target(target),
        precision=Precision(precision),
        path=path,
        inputs=tuple(tensors[:-1]),
        outputs=tuple(tensors[-1:]),
        operators={"Conv": 10, "Pad": 3} if operators is None else operators,
        deployment="any",
        **more,
    )
    files = {f"{path}/{name}": data for name, data in package.items()} if package else {path: content}
    return {"entry": entry, "files": files}


def row(
    scope: str, verdict: str = "PASS", target: str = "onnx", precision: str = "fp32", **more: Any
) -> dict[str, Any]:
    """A row of parity.json."""
    metrics = {"psnr": 60.0, "edge_psnr": 50.0, "max_abs": 1e-6}
    return {"scope": scope, "verdict": verdict, "target": target, "precision": precision, "metrics": metrics, **more}


def write_bundle(
    root: Path,
    models: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    depth_size: tuple[int, int] = (128, 128),
    conventions: dict[str, str] | None = None,
    tools: dict[str, str] | None = None,
    photo: np.ndarray = PHOTO,
    depth: tuple[np.ndarray, np.ndarray] | None = None,
) -> Bundle:
    """Write a bundle whose files, hashes and digest are in order, and open it.

    Its golden case is of zeros, apart from `depth`: the depth network's input and output.
    """
    for given in models:
        for name, data in given["files"].items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
    (root / "golden").mkdir(parents=True, exist_ok=True)
    tensor = np.zeros((1, 3, 8, 8), np.float32)
    stages = {stage: ({signal.name: tensor for signal in INPUTS[stage]}, tensor) for stage in PIPELINE_STAGES}
    if depth is not None:
        stages[Stage.DEPTH] = ({"image": depth[0]}, depth[1])
    write_golden(root / "golden" / "0.safetensors", golden_arrays(photo, photo.astype(np.float32), stages))
    (root / "parity.json").write_text(json.dumps({"verdict": "PASS", "results": rows}))
    spec = TileSpec(tile=96, halo=20, align=2)
    manifest = Manifest(
        name="small",
        conventions={"disparity": "1 is nearest"} if conventions is None else conventions,
        plan=PipelinePlan(
            depth_height=depth_size[0], depth_width=depth_size[1], lens_blur=spec, guided_upsampling=spec
        ),
        networks={},
        models=tuple(given["entry"] for given in models),
        golden=(
            GoldenCase(name="a", path="golden/0.safetensors", kind="photo", focus=0.5, aperture=1, note=""),
        ),
        tools={} if tools is None else tools,
        files=describe_files(root),
    )  # fmt: skip
    (root / MANIFEST).write_bytes(manifest.sealed().encoded())
    return Bundle.open(root)
