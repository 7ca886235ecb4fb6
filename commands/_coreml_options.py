"""The options of `dofkit export` that concern Apple's formats only, and how they become a `CoreMLOptions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ..export.coreml.options import CoreMLOptions, DeploymentTarget
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.target import Target
from ._groups import GroupedOption, given_in_group
from ._options import EnumChoice, FiniteFloat

# The groups of options -> the targets that heed them.
COREML_ONLY, BOTH = "Core ML only", "Core ML and Core AI"
HEEDED_BY = {COREML_ONLY: (Target.COREML,), BOTH: (Target.COREML, Target.COREAI)}


def _option(*names: str, group: str = BOTH, **settings: Any) -> Callable[[Any], Any]:
    return click.option(*names, cls=GroupedOption, group=group, **settings)


_OPTIONS = (
    _option(
        "--deployment-target",
        "deployment",
        group=COREML_ONLY,
        type=EnumChoice(DeploymentTarget),
        default=DeploymentTarget.IOS17.value,
        show_default=True,
        help="The oldest system that loads the packages (macOS of the same year too).",
    ),
    _option(
        "--keep-fp32",
        multiple=True,
        metavar="NAME",
        help="In fp16 models, compute these operations in fp32: a type (sqrt) or an output's name; * and ? match.",
    ),
    _option(
        "--fp32-budget",
        type=FiniteFloat(min=1),
        metavar="DB",
        help="In fp16 models, keep the fewest operations in fp32 that reach this PSNR against PyTorch.",
    ),
    _option(
        "--image-inputs",
        is_flag=True,
        help="Take camera buffers: RGB images; maps as 16-bit float images (Core AI: as tensors).",
    ),
    _option("--image-outputs", group=COREML_ONLY, is_flag=True, help="Give such buffers back."),
    _option(
        "--single-package",
        is_flag=True,
        help="One package with a function for each stage, weights shared (Core ML: from iOS18).",
    ),
    _option(
        "--extra-tile",
        "tiles",
        type=click.IntRange(min=1),
        multiple=True,
        metavar="PIXELS",
        help="With --single-package: further tile sizes, as functions lens_blur_PIXELS and guided_upsampling_PIXELS.",
    ),
)


def coreml_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all of them to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_unheeded(ctx: click.Context, targets: tuple[Target, ...]) -> None:
    """Refuse options that nothing would heed.

    Raises:
        DofkitError: naming the first of them.
    """
    for group, heeding in HEEDED_BY.items():
        given = given_in_group(ctx, group)
        if given and not set(heeding) & set(targets):
            concerned = " and ".join(target.title for target in heeding)
            chosen = ", ".join(target.value for target in targets)
            raise DofkitError(
                f"{given[0]} concerns {concerned} only, the targets are {chosen}; add --target {heeding[0]}"
            )


def read_options(
    deployment: DeploymentTarget,
    keep_fp32: tuple[str, ...],
    fp32_budget: float | None,
    image_inputs: bool,
    image_outputs: bool,
    single_package: bool,
    tiles: tuple[int, ...],
) -> CoreMLOptions:
    """The options as the exporter takes them."""
    return CoreMLOptions(
        deployment=deployment,
        keep_fp32=tuple(dict.fromkeys(keep_fp32)),
        fp32_budget=fp32_budget,
        image_inputs=image_inputs,
        image_outputs=image_outputs,
        single_package=single_package,
        tiles=tuple(dict.fromkeys(tiles)),
    )
