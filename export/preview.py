"""The previews in an export: the pipeline as one graph of a fixed size, what is offered of it, its golden vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..runtime_ref.backends import Session
from ..runtime_ref.bundle.golden import StageArrays
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.pipeline.aspects import Size
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.portrait import Array, to_network
from ..runtime_ref.pipeline.pyramid import LOWEST_LONG_SIDE, THIN_PITCH, Pyramid
from ..runtime_ref.pipeline.resampling import resize
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, PREVIEWS, TILED, Stage
from ..runtime_ref.pipeline.subject import auto_focus
from ..runtime_ref.target import Precision, Target
from ..train.networks.contract import NetworkContract
from ..train.networks.preview import PhotoPreviewNet, PreviewNet, PreviewPart
from ..train.networks.registry import ARCHITECTURES, Architectures
from .stages import StageGraph

USUAL: Size = (960, 1280)
OFFERED = (Precision.FP32, Precision.FP16, Precision.W8)
"""Ranges of activations are measured stage by stage, and there are none of a preview's."""
APERTURE = 1.0


def refuse_preview(size: Size, plan: PipelinePlan, stages: Sequence[Stage], precisions: Sequence[Precision]) -> None:
    """Refuse a preview that cannot be.

    Raises:
        DofkitError: its sides, the precision, or a stage that is not exported beside it.
    """
    height, width = size
    given = f"--preview {width}x{height}"
    levels = Pyramid.of(height, width)
    multiple = levels.factor(0)
    if not levels.levels:
        raise DofkitError(f"{given}: its long side is to exceed {LOWEST_LONG_SIDE} pixels; take 1280x960")
    if height % multiple or width % multiple:
        raise DofkitError(f"{given}: both sides are to be multiples of {multiple}; take 1280x960")
    if missing := set(PIPELINE_STAGES) - set(stages):
        raise DofkitError(f"{given}: a preview is made of all stages; leave --stage out ({min(missing)} is missing)")
    wrong = next((precision for precision in precisions if precision not in OFFERED), None)
    if wrong is not None:
        there = ", ".join(map(str, OFFERED))
        raise DofkitError(f"{given}: previews are exported in {there}, not in {wrong}; export it on its own")
    shape = plan.depth_shape_for(height, width)
    if min(levels.pitch(0, shape)) >= THIN_PITCH:
        raise DofkitError(
            f"{given}: a depth network of {shape[1]}x{shape[0]} is too fine for it; give a smaller --depth-size, or a "
            "larger preview"
        )


def refuse_fixed(contracts: Mapping[Stage, NetworkContract]) -> None:
    """Refuse a preview of networks that it cannot hold.

    Raises:
        DofkitError: a rendering network has one size; a preview computes whole pictures with it.
    """
    for stage in TILED:
        if contracts[stage].size.only:
            raise DofkitError(
                f"--preview: the network of {stage} was exported at one size, and a preview is of another; bring it as "
                "a class of an installed package"
            )


def preview_networks(
    networks: Mapping[Stage, torch.nn.Module],
    plan: PipelinePlan,
    size: Size,
    target: Target | None = None,
    architectures: Architectures = ARCHITECTURES,
) -> dict[Stage, torch.nn.Module]:
    """Both previews, their parts as a target computes them; None: as PyTorch does."""
    depth_size = plan.depth_shape_for(*size)

    def part(stage: Stage) -> PreviewPart:
        contract = architectures.contract_of(networks[stage])
        assert contract.halo is not None, "a rendering network has tiles"
        if target is None:
            return PreviewPart(networks[stage], contract.halo, contract.size.multiple)
        return PreviewPart(contract.arrange(networks[stage], target), contract.halo, contract.size_for(target).multiple)

    preview = PreviewNet(size, depth_size, part(Stage.LENS_BLUR), part(Stage.GUIDED_UPSAMPLING))
    depth = networks[Stage.DEPTH]
    if target is not None:
        depth = architectures.contract_of(depth).arrange(depth, target)
    whole = PhotoPreviewNet(depth, preview, depth_size, plan.focus_range)
    return {Stage.PREVIEW: preview.eval(), Stage.PHOTO_PREVIEW: whole.eval()}


def preview_graphs(
    networks: Mapping[Stage, torch.nn.Module],
    plan: PipelinePlan,
    size: Size,
    target: Target,
    architectures: Architectures = ARCHITECTURES,
) -> dict[Stage, StageGraph]:
    """The graphs of both previews."""
    exact = {stage: architectures.contract_of(networks[stage]).exact_layers(target) for stage in PIPELINE_STAGES}
    inside = {f"blur.{name}" for name in exact[Stage.LENS_BLUR]}
    inside |= {f"upsampling.{name}" for name in exact[Stage.GUIDED_UPSAMPLING]}
    kept = {
        Stage.PREVIEW: frozenset(inside),
        Stage.PHOTO_PREVIEW: frozenset(
            {f"preview.{name}" for name in inside} | {f"depth.{name}" for name in exact[Stage.DEPTH]}
        ),
    }
    parts = {Stage.PREVIEW: (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING), Stage.PHOTO_PREVIEW: PIPELINE_STAGES}
    made = preview_networks(networks, plan, size, target, architectures)
    depth = plan.depth_shape_for(*size)
    rewritten = {stage for stage in PIPELINE_STAGES if architectures.contract_of(networks[stage]).rewritten}
    return {
        stage: StageGraph(
            stage, network, size, stage.value, kept[stage],
            depth=depth, parts=parts[stage], rewritten=not rewritten.isdisjoint(parts[stage]),
        )
        for stage, network in made.items()
    }  # fmt: skip


@dataclass(frozen=True)
class GoldenPreview:
    """What is right of a picture: both previews by their sessions, see `parity.cases.Further`.

    The focus is found by itself and the aperture wide open, as in the rest of a case.
    """

    sessions: Mapping[Stage, Session]
    size: Size
    depth: Size

    def __call__(self, pixels: NDArray[np.uint8], disparity: Array) -> Mapping[Stage, StageArrays]:
        """Of pixels [H, W, 3] and disparity [h, w]."""
        image = to_network(np.rint(resize(pixels, self.size)).astype(np.uint8))
        small = resize(disparity, self.depth).astype(np.float32)
        focus = round(auto_focus(disparity), 4)
        numbers = {"focus": _number(focus), "aperture": _number(APERTURE)}
        inputs: dict[Stage, Mapping[str, Array]] = {
            Stage.PREVIEW: {"image": image, "disparity": to_network(small), **numbers},
            Stage.PHOTO_PREVIEW: {"image": image, **numbers},
        }
        return {stage: (inputs[stage], self.sessions[stage].run(inputs[stage])) for stage in PREVIEWS}


def _number(value: float) -> Array:
    return np.full((1, 1, 1, 1), value, np.float32)
