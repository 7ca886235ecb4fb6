"""What 16-bit floats really do to a file: its output on an emulated ARM core, beside the rules that warn of them."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime_ref.backends import Backend
from ...runtime_ref.backends.own_process import OwnProcess
from ...runtime_ref.bundle import Bundle, ModelEntry
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.parity import metrics
from ...runtime_ref.target import Precision, Target
from ..arm64.backend import backend
from ..first_case import first_case

RULES = ("fp16-overflow", "fp16-accumulation")  # whose findings it stands beside
NOT_ASKED = "not asked; --measure computes it on an emulated ARM core, which takes minutes a file"
_PATIENCE = 3600.0  # seconds: fp16 is emulated float by float


@dataclass(frozen=True)
class ArmMeasurement:
    """A file's output in 16-bit floats on ARM against PyTorch fp32, on the first golden case.

    Attributes:
        model: the file.
        runtime: what computed; empty where nothing did.
        psnr: in dB, peak 1; None where it was not measured.
        max_abs: greatest absolute difference, in units of the value range.
        reason: why it was NOT RUN, with the remedy.
    """

    model: ModelEntry
    runtime: str = ""
    psnr: float | None = None
    max_abs: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.psnr is None or self.max_abs is None:
            return f"ARM in fp16: NOT RUN ({self.reason})"
        return f"ARM in fp16: {self.psnr:.1f} dB, at most {self.max_abs:.2g} off ({self.runtime})"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        model = self.model
        key = {"target": model.target.value, "precision": model.precision.value, "stage": model.name}
        verdict = "NOT RUN" if self.psnr is None else "measured"
        values = {"psnr": self.psnr, "max_abs": self.max_abs, "runtime": self.runtime, "reason": self.reason}
        return {**key, "verdict": verdict, **values}


def measured(bundle: Bundle, model: ModelEntry) -> ArmMeasurement:
    """Compute a file there; minutes for a depth network."""
    one = _in_fp16(model)
    if one is None:
        reason = f"no runtime for ARM computes {model.target.title} {model.precision} in fp16; ask the device itself"
        return ArmMeasurement(model, reason=reason)
    case = first_case(bundle, model)
    try:
        with OwnProcess(timeout=_PATIENCE, threads=1) as transport:
            session = transport.open(one, bundle, model)
            output = case.comparable(session.run(case.inputs))
    except DofkitError as error:
        return ArmMeasurement(model, reason=str(error))
    return ArmMeasurement(
        model, session.runtime, metrics.psnr(case.wanted, output), metrics.max_abs(case.wanted, output)
    )


def _in_fp16(model: ModelEntry) -> Backend | None:
    """What computes the file's floats in 16 bits on ARM."""
    if model.target is Target.TFLITE:
        return backend("litert-arm64-fp16")
    if (model.target, model.precision) == (Target.ONNX, Precision.FP16):
        return backend("onnx-arm64")
    return None
