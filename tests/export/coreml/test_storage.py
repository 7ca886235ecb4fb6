"""Stored weights: exact to the last bit, compressed as asked, and every layer counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dofkit.export.coreml.options import DeploymentTarget
from dofkit.export.coreml.palette import nearest, palettise
from dofkit.export.coreml.stored import PALETTE, StoredProgram, StoredTensor, rounding_step
from dofkit.export.coreml.weights import compare_weights
from dofkit.export.folded import folded_layers
from dofkit.export.precision import LEAST_WEIGHTS
from dofkit.export.stages import stage_graphs
from dofkit.runtime_ref.bundle import LayerEntry
from dofkit.runtime_ref.mil import MLProgram
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks.lens_blur_stacked import LensBlurStacked

from .conftest import SMALL, Export

BLUR = Stage.LENS_BLUR
LABELS = {Precision.W8: "int8", Precision.W8A8: "int8", Precision.W4: "int4"}
# Those that store weights in fewer bits than floats; mixed is w8a8 but for some layers, and Core ML has no dynamic.
COMPRESSED = [p for p in Precision if p.weight_bits and p not in (Precision.MIXED, Precision.DYNAMIC)]
# One linear and one palette are tried with every run of the tests, the others with the whole commands.
MARKS = {
    (Precision.PALETTE6, DeploymentTarget.IOS17): pytest.mark.e2e,
    (Precision.W8, DeploymentTarget.IOS17): pytest.mark.e2e,
}


def _compare(networks: dict[Stage, torch.nn.Module], stage: Stage, package: Path) -> tuple[LayerEntry, ...]:
    graph = stage_graphs({stage: networks[stage]}, SMALL, Target.COREML)[stage]
    return compare_weights(folded_layers(graph.network, graph.example()), StoredProgram(package).convolutions())


@pytest.mark.parametrize(
    "stage", [pytest.param(Stage.DEPTH, marks=pytest.mark.e2e), pytest.param(Stage.LENS_BLUR, marks=pytest.mark.e2e),
              Stage.GUIDED_UPSAMPLING]
)  # fmt: skip
def test_fp32_weights_are_the_folded_weights_bit_for_bit(export_stages: Export, stage: Stage) -> None:
    _, (fp32, fp16) = export_stages(stage, precisions=(Precision.FP32, Precision.FP16))
    assert not fp32.weight_problems
    assert all(layer.difference == 0 for layer in fp32.layers)
    assert not fp16.weight_problems
    assert 0 < max(layer.difference for layer in fp16.layers) < 2.0**-5  # half a unit of numbers below 64
    assert {layer.stored for layer in fp16.layers} == {"fp16"}


@pytest.mark.parametrize(
    ("precision", "deployment"),
    [
        pytest.param(precision, deployment, marks=MARKS.get((precision, deployment), pytest.mark.slow))
        for precision in COMPRESSED
        for deployment in (DeploymentTarget.IOS17, DeploymentTarget.IOS18)
        if (precision, deployment) != (Precision.W4, DeploymentTarget.IOS17)
    ],
)
def test_compressed_weights_are_exactly_what_the_formula_gives(
    export_stages: Export, precision: Precision, deployment: DeploymentTarget
) -> None:
    folder, (entry,) = export_stages(BLUR, precisions=(precision,), deployment=deployment)
    assert not entry.weight_problems
    label = LABELS.get(precision, precision.value)
    assert {layer.stored for layer in entry.compressed} == {label}
    big = {layer.name for layer in entry.layers if layer.parameters > LEAST_WEIGHTS + 64}
    compressed = {layer.name for layer in entry.compressed}
    if precision is not Precision.W4:
        assert compressed >= big - {*LensBlurStacked.exact}
    assert not compressed & {*LensBlurStacked.exact}
    # Counted from the package itself, not from what was asked for.
    counted = sum(
        n for kind, n in MLProgram.open(folder / entry.path).operators.items() if kind.startswith("constexpr_")
    )
    assert counted >= len(compressed) > 0


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param(Precision.W8, marks=pytest.mark.e2e),
        pytest.param(Precision.FP16, marks=pytest.mark.slow),
        pytest.param(Precision.PALETTE6, marks=pytest.mark.slow),
    ],
)
def test_one_flipped_bit_of_a_weight_is_found_and_the_layer_named(
    export_stages: Export, networks: dict[Stage, torch.nn.Module], precision: Precision
) -> None:
    folder, (entry,) = export_stages(BLUR, precisions=(precision,))
    package = folder / entry.path
    (weights,) = package.rglob("weight.bin")
    original = weights.read_bytes()
    clean = _compare(networks, BLUR, package)
    assert not any(layer.problem for layer in clean)
    rng, found = np.random.default_rng(0), 0
    for _ in range(5):
        data = bytearray(original)
        data[int(rng.integers(len(data) // 4, len(data)))] ^= 1
        weights.write_bytes(bytes(data))
        try:
            problems = [layer.problem for layer in _compare(networks, BLUR, package) if layer.problem]
        except Exception as damaged:
            problems = [str(damaged)]
        found += bool(problems)
    weights.write_bytes(original)
    assert found >= 4, "only padding between weights may change unseen"


def test_a_layer_that_is_missing_or_too_many_is_a_problem(
    export_stages: Export, networks: dict[Stage, torch.nn.Module]
) -> None:
    folder, (entry,) = export_stages(BLUR)
    graph = stage_graphs({BLUR: networks[BLUR]}, SMALL, Target.COREML)[BLUR]
    expected = folded_layers(graph.network, graph.example())
    stored = StoredProgram(folder / entry.path).convolutions()
    assert any("lacks" in layer.problem for layer in compare_weights(expected, stored[:-1]))
    assert any("no such" in layer.problem for layer in compare_weights(expected[:-1], stored))
    assert any(layer.problem for layer in compare_weights(expected[::-1], stored))


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_a_palette_serves_weights_better_than_equal_steps(bits: int) -> None:
    weights = np.random.default_rng(bits).laplace(size=(64, 32, 3, 3)).astype(np.float16)
    palette, indices = palettise(weights, bits)
    assert palette.shape == (2**bits,)
    assert np.all(np.diff(palette.astype(np.float32)) >= 0)
    values = weights.astype(np.float64).reshape(-1)
    steps = np.linspace(values.min(), values.max(), 2**bits)
    error = np.mean((palette.astype(np.float64)[indices] - values) ** 2)
    assert error < np.mean((steps[nearest(values, steps)] - values) ** 2)
    np.testing.assert_array_equal(indices, nearest(values, palette))


def test_a_palette_of_few_values_is_exact() -> None:
    weights = np.array([[1.0, -2.0], [0.5, 1.0]], np.float32)
    palette, indices = palettise(weights, 4)
    np.testing.assert_array_equal(palette[indices].reshape(2, 2), weights)


@pytest.mark.e2e
def test_the_weight_proof_sees_a_layer_that_coremltools_corrupts_when_it_skips_it(
    export_stages: Export, networks: dict[Stage, torch.nn.Module], tmp_path: Path
) -> None:
    # coremltools 9.0 divides a weight by its channels' scales before it finds that the groups do not fit, and then
    # leaves it so. The exporter never asks for these scales; the proof would catch it if anything did.
    from dofkit.export.coreml.tools import coremltools, quietly

    folder, (entry,) = export_stages(BLUR, deployment=DeploymentTarget.IOS18)
    ct = coremltools()
    with quietly():
        from coremltools.optimize import coreml as optimise

        scaled = optimise.OpPalettizerConfig(
            mode="uniform",
            nbits=4,
            granularity="per_grouped_channel",
            group_size=13,
            enable_per_channel_scale=True,
            weight_threshold=0,
        )
        model = ct.models.MLModel(str(folder / entry.path), skip_model_load=True)
        config = optimise.OptimizationConfig(global_config=scaled)
        palettised: Any = optimise.palettize_weights(model, config)
        palettised.save(str(tmp_path / "scaled.mlpackage"))
    entries = _compare(networks, BLUR, tmp_path / "scaled.mlpackage")
    corrupted = [layer for layer in entries if layer.stored == "fp16" and layer.problem]
    assert corrupted
    assert max(layer.difference for layer in corrupted) > 0.1


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_what_a_palette_may_move_a_weight_by_covers_outliers_and_no_change_of_sign(bits: int) -> None:
    weights = np.random.default_rng(bits).standard_normal(60_000)
    palette, indices = palettise(weights, bits)
    stored = StoredTensor("w", weights.shape, PALETTE, {"lut": palette, "indices": indices}, bits)
    off, step = np.abs(stored.values() - weights), rounding_step(stored)
    assert np.all(off <= step)
    if bits == 4:  # an outlier is farther from the palette than its entries are from each other
        assert np.max(off) > np.min(step)
    extremes = np.abs(weights) > 3
    assert np.all(np.abs(stored.values() + weights)[extremes] > np.broadcast_to(step, weights.shape)[extremes])
