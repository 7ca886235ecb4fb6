"""Does the output depend on every input? A converter can fold one away, and then compare equal on the case at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends import Session
from ...pipeline.session import run_each
from ...pipeline.stage import INPUTS, Stage

Array = NDArray[np.floating[Any]]

# Rounding of one number near 1: runtimes that add up in changing order differ by as much without any change.
_NOISE = 1e-7


def input_effect(session: Session, inputs: Mapping[str, Array], output: Array | None = None) -> dict[str, float]:
    """max |change of the output| when one input is replaced by its mirrored, dimmed self under a ramp.

    One run an input, so cheap that every comparison can show it.

    Args:
        session: one stage.
        inputs: as `Session.run` takes them.
        output: what the session computes from them, where that is known already.

    Returns:
        For every input by name; infinite where the change made numbers that are not finite.
    """
    plain = session.run(inputs) if output is None else output
    outputs = run_each(session, [{**inputs, name: changed(value)} for name, value in inputs.items()])
    return {name: _change(plain, output) for name, output in zip(inputs, outputs, strict=True)}


def ignored_inputs(
    session: Session, stage: Stage, inputs: Mapping[str, Array], output: Array | None = None
) -> tuple[str, ...]:
    """Inputs of a stage that the output does not depend on, in the stage's order."""
    effects = input_effect(session, {signal.name: inputs[signal.name] for signal in INPUTS[stage]}, output)
    return tuple(name for name, effect in effects.items() if effect <= _NOISE)


def changed(value: Array) -> Array:
    """Another picture in the same range: mirrored left to right, at half strength, with a ramp added.

    The ramp is there for pictures that are their own mirror image; no picture of a photo's making is a fixed point.

    Args:
        value: `[1, C, H, W]`, in [0, 1] or [-1, 1].
    """
    ramp = np.linspace(0, 1, value.shape[-1], dtype=np.float32)
    return np.ascontiguousarray(0.5 * value[..., ::-1] + 0.5 * ramp, np.float32)


def _change(before: Array, after: Array) -> float:
    if before.shape != after.shape or not np.isfinite(after).all():
        return float("inf")
    return float(np.abs(after - before).max())
