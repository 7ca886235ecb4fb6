"""Every known mistake is recognised in a file that makes it, and nothing is claimed of a file that makes none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from dofkit.runtime_ref.parity.diagnosis.hypotheses import Hypothesis, hypotheses, likely_causes
from dofkit.runtime_ref.parity.tolerances import Tolerance
from dofkit.runtime_ref.pipeline.stage import INPUTS, OUTPUTS, PIPELINE_STAGES, Stage

Inputs = Mapping[str, np.ndarray]
SIDE = 16
EXACT = Tolerance(1e-4, None, "test")
LOOSE = Tolerance(None, 26.0, "test")


class Computed:
    """A session that computes a function of the inputs, and counts its runs."""

    runtime = "test"

    def __init__(self, compute: Callable[[Inputs], np.ndarray]) -> None:
        self._compute = compute
        self.runs = 0

    def run(self, inputs: Inputs) -> np.ndarray:
        self.runs += 1
        return self._compute(inputs)


def scene(stage: Stage, seed: int = 0) -> dict[str, np.ndarray]:
    """Pictures without any symmetry: blocks of random colours over a ramp."""
    rng = np.random.default_rng(seed)
    found = {}
    for signal in INPUTS[stage]:
        side = SIDE * signal.scale
        blocks = rng.random((1, signal.channels, 8, 8)).repeat(side // 8, 2).repeat(side // 8, 3)
        mixed = 0.8 * blocks + 0.2 * np.linspace(0, 1, side)
        found[signal.name] = (signal.low + (signal.high - signal.low) * mixed).astype(np.float32)
    return found


def network(stage: Stage) -> Callable[[Inputs], np.ndarray]:
    """Something that treats every input, channel, row and column otherwise, and not linearly."""

    def compute(inputs: Inputs) -> np.ndarray:
        side = SIDE * OUTPUTS[stage].scale
        total = np.zeros((1, OUTPUTS[stage].channels, side, side), np.float32)
        down, right = np.meshgrid(np.linspace(0.5, 1, side), np.linspace(1, 0.3, side), indexing="ij")
        for k, (_, value) in enumerate(sorted(inputs.items()), 1):
            grown = value.repeat(side // value.shape[2], 2).repeat(side // value.shape[3], 3)
            for c in range(grown.shape[1]):
                plane = grown[:, c] ** 2 + 0.5 * np.roll(grown[:, c], k + c, axis=1)
                for o in range(total.shape[1]):
                    total[:, o] += ((1 + 0.9 * np.cos(k + 2 * c + 3 * o)) * plane * down * right).astype(np.float32)
        return np.arcsinh(total / (2 * len(inputs)))

    return compute


def mistaken(hypothesis: Hypothesis, compute: Callable[[Inputs], np.ndarray]) -> Computed:
    """A file that makes a mistake."""
    return Computed(lambda inputs: hypothesis.make_output(compute(hypothesis.make(inputs))))


ALL = [pytest.param(stage, h, id=f"{stage}: {h.text}") for stage in PIPELINE_STAGES for h in hypotheses(stage)]


@pytest.mark.parametrize(("stage", "hypothesis"), ALL)
def test_a_mistake_in_the_file_is_the_first_cause(stage: Stage, hypothesis: Hypothesis) -> None:
    compute, inputs = network(stage), scene(stage)
    session = mistaken(hypothesis, compute)
    (first, *_) = likely_causes(session, stage, inputs, compute(inputs), EXACT)
    assert first.startswith(hypothesis.text + "; with that undone")


@pytest.mark.parametrize(("stage", "hypothesis"), ALL)
def test_made_in_the_reference_it_is_the_first_cause_too(stage: Stage, hypothesis: Hypothesis) -> None:
    """The file's inputs may saturate: undoing the mistake around it cannot be relied upon."""
    compute, inputs = network(stage), scene(stage)
    session = mistaken(hypothesis, compute)
    (first, *_) = likely_causes(session, stage, inputs, compute(inputs), EXACT, original=Computed(compute))
    assert first.startswith(hypothesis.text + "; made in PyTorch too")
    assert session.runs == 1  # only the reference had to be asked


def test_a_cause_has_its_figure() -> None:
    compute, inputs = network(Stage.LENS_BLUR), scene(Stage.LENS_BLUR)
    session = Computed(lambda given: compute({**given, "image": given["image"][:, ::-1]}))
    assert likely_causes(session, Stage.LENS_BLUR, inputs, compute(inputs), EXACT) == (
        "colour channels swapped in image (BGR for RGB); with that undone, the output is within 0 of the reference "
        "(PSNR 200.0 dB)",
    )


@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_a_healthy_file_has_no_cause(stage: Stage) -> None:
    compute, inputs = network(stage), scene(stage)
    session = Computed(compute)
    assert likely_causes(session, stage, inputs, compute(inputs), EXACT) == ()
    assert session.runs == 1


@pytest.mark.parametrize("limits", [EXACT, LOOSE])
@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_what_no_mistake_explains_has_no_cause(stage: Stage, limits: Tolerance) -> None:
    compute, inputs = network(stage), scene(stage)
    noise = np.random.default_rng(1).normal(0, 0.2, compute(inputs).shape).astype(np.float32)
    session = Computed(lambda given: compute(given) + noise)
    assert likely_causes(session, stage, inputs, compute(inputs), limits, original=Computed(compute)) == ()


def test_a_mistake_is_seen_through_the_rounding_of_a_quantised_file() -> None:
    compute, inputs = network(Stage.GUIDED_UPSAMPLING), scene(Stage.GUIDED_UPSAMPLING)

    def rounded(given: Inputs) -> np.ndarray:
        images = {n: (np.rint(v * 127) / 127)[:, ::-1] if v.shape[1] == 3 else v for n, v in given.items()}
        return (np.rint(compute(images) * 60) / 60).astype(np.float32)

    (first, *_) = likely_causes(
        Computed(rounded), Stage.GUIDED_UPSAMPLING, inputs, compute(inputs), Tolerance(None, 34.0, "test")
    )
    assert first.startswith("colour channels swapped in image_high, image_low, blurred_low (BGR for RGB)")


def test_a_runtime_that_refuses_changed_inputs_does_not_end_the_search() -> None:
    compute, inputs = network(Stage.DEPTH), scene(Stage.DEPTH)

    def fussy(given: Inputs) -> np.ndarray:
        if given["image"].max() > 1:
            raise RuntimeError("out of range")
        return compute({"image": given["image"][:, :, ::-1]})

    (first, *_) = likely_causes(Computed(fussy), Stage.DEPTH, inputs, compute(inputs), EXACT)
    assert first.startswith("image upside down")


def test_infinities_are_traced_to_their_mistake() -> None:
    compute, inputs = network(Stage.DEPTH), scene(Stage.DEPTH)

    def half(given: Inputs) -> np.ndarray:
        big = given["image"].max() > 1.5
        return np.full_like(compute(given), np.nan) if not big else compute({"image": given["image"] / 255})

    (first, *_) = likely_causes(Computed(half), Stage.DEPTH, inputs, compute(inputs), EXACT)
    assert first.startswith("image divided by 255 once too often (double normalisation)")


def test_depth_of_any_curve_is_recognised_by_its_order() -> None:
    inputs = scene(Stage.DEPTH)
    disparity = network(Stage.DEPTH)(inputs)
    session = Computed(lambda given: 0.1 / (network(Stage.DEPTH)(given) + 0.1))
    (line,) = likely_causes(session, Stage.DEPTH, inputs, disparity, EXACT)
    assert line == ("depth for disparity: the output falls where the reference rises (rank correlation -1.000)")


def test_a_variant_of_the_reference_is_named_by_its_text() -> None:
    compute, inputs = network(Stage.DEPTH), scene(Stage.DEPTH)
    session = Computed(lambda given: compute(given) ** 3)
    variants = {"squared": lambda given: compute(given) ** 2, "cubed": lambda given: compute(given) ** 3}
    (line,) = likely_causes(session, Stage.DEPTH, inputs, compute(inputs), EXACT, references=variants)
    assert line.startswith("cubed; made in PyTorch too, the output is within 0 of")
