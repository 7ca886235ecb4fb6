"""What a Core ML export can be asked for, what each wish needs, and the refusal of what cannot be.

Imports nothing heavy: the command line shows these options in its help.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...runtime_ref.enums import TitledEnum
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.target import Precision, Target


class DeploymentTarget(TitledEnum):
    """The least iOS that loads a package; its title names the macOS of the same year."""

    IOS16 = "iOS16", "iOS 16, macOS 13"
    IOS17 = "iOS17", "iOS 17, macOS 14"
    IOS18 = "iOS18", "iOS 18, macOS 15"

    @property
    def specification(self) -> int:
        """Core ML's specification version."""
        return {DeploymentTarget.IOS16: 7, DeploymentTarget.IOS17: 8, DeploymentTarget.IOS18: 9}[self]


@dataclass(frozen=True)
class CoreMLOptions:
    """How Core ML packages are written; Core AI's models heed all but `deployment` and `image_outputs`.

    Attributes:
        deployment: the least system that loads them.
        keep_fp32: operations that an fp16 model computes in fp32: types or output names, `*` and `?` match.
        fp32_budget: PSNR in dB against PyTorch that fp16 models must reach; the fewest operations stay in fp32 for it.
        image_inputs, image_outputs: camera buffers instead of tensors.
        single_package: all stages are functions of one package and share weights.
        tiles: further tile sizes, each a function of the single package.
    """

    deployment: DeploymentTarget = DeploymentTarget.IOS17
    keep_fp32: tuple[str, ...] = ()
    fp32_budget: float | None = None
    image_inputs: bool = False
    image_outputs: bool = False
    single_package: bool = False
    tiles: tuple[int, ...] = ()


# What iOS 16 lacks, and since when Core ML has it. (Operation sets in coremltools'
# documentation: quantize and dequantize since CoreML7; blockwise int4 and several functions since CoreML8.)
NEEDS: dict[Precision | str, DeploymentTarget] = {
    Precision.W8A8: DeploymentTarget.IOS17,
    Precision.MIXED: DeploymentTarget.IOS17,
    Precision.W4: DeploymentTarget.IOS18,
    "single package": DeploymentTarget.IOS18,
}


def refuse_impossible(
    options: CoreMLOptions, precisions: tuple[Precision, ...], targets: tuple[Target, ...] = (Target.COREML,)
) -> None:
    """Refuse, before any work, a combination that cannot be written.

    Raises:
        DofkitError: the first contradiction, and how to mend it.
    """
    if Target.COREML in targets:
        for problem in _too_new(options, precisions):
            raise DofkitError(problem)
    for problem in _contradictions(options, precisions):
        raise DofkitError(problem)


def _too_new(options: CoreMLOptions, precisions: tuple[Precision, ...]) -> Iterator[str]:
    """What Core ML has not on the oldest system that is asked for."""
    wishes = [("--single-package", NEEDS["single package"])] if options.single_package else []
    wishes += [(f"--precision {precision}", NEEDS[precision]) for precision in precisions if precision in NEEDS]
    for wish, least in wishes:
        if options.deployment.specification < least.specification:
            yield f"{wish} needs {least.title} or newer; add --deployment-target {least} or leave it out"


def _contradictions(options: CoreMLOptions, precisions: tuple[Precision, ...]) -> Iterator[str]:
    if options.tiles and not options.single_package:
        yield "--extra-tile makes functions of one package; add --single-package"
    mixed = [
        f"--{name}"
        for name, wanted in (("keep-fp32", bool(options.keep_fp32)), ("fp32-budget", options.fp32_budget is not None))
        if wanted
    ]
    if mixed and Precision.FP16 not in precisions:
        yield f"{mixed[0]} says what an fp16 model keeps in fp32; add --precision fp16"
