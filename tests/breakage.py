"""Networks that are broken on purpose, one kind of mistake each, to be exported by the usual converters."""

from __future__ import annotations

import copy

import torch
from torch import nn

from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
from dofkit.train.networks.guided_upsampling_by_colour import GuidedUpsamplingByColour
from dofkit.train.resampling import Resampling, align_corners

# Kind -> what the first line of a diagnosis must say.
KINDS = {
    "swapped channels": "colour channels swapped",
    "double normalisation": "double normalisation",
    "depth for disparity": "depth for disparity",
    "zeroed layer": "first difference at",
    "ignored input": "input ignored",
    "half-pixel": "aligned corners",
}

# Without it the output still depends on every input, or that would be said first.
ZEROED = {
    Stage.DEPTH: "encoder._blocks.1._project_conv",
    Stage.LENS_BLUR: "context.4",
    Stage.GUIDED_UPSAMPLING: "enlarge_softly",
}
ZEROED_BY_COLOUR = "totals.1"  # of guided upsampling as it is arranged for ONNX
IGNORED = {Stage.DEPTH: "image", Stage.LENS_BLUR: "defocus", Stage.GUIDED_UPSAMPLING: "blurred_low"}


def kinds_of(stage: Stage) -> list[str]:
    """The kinds of mistakes that can be made in a stage: guided upsampling resizes by fixed convolutions."""
    return [kind for kind in KINDS if (stage, kind) != (Stage.GUIDED_UPSAMPLING, "half-pixel")]


def broken_network(kind: str, stage: Stage, network: nn.Module) -> nn.Module:
    """A stage's network with a mistake of a kind of `KINDS`; the network itself is not changed.

    Raises:
        KeyError: no such kind.
    """
    if kind == "zeroed layer":
        return _zeroed(network, zeroed_layer(stage, network))
    wrappers = {
        "swapped channels": _SwappedChannels,
        "double normalisation": _DoubleNormalisation,
        "depth for disparity": _DepthForDisparity,
        "ignored input": _IgnoredInput,
        "half-pixel": _HalfPixel,
    }
    return wrappers[kind](stage, network).eval()


def zeroed_layer(stage: Stage, network: nn.Module) -> str:
    """The layer that is zeroed in a stage's network."""
    return ZEROED_BY_COLOUR if isinstance(network, GuidedUpsamplingByColour) else ZEROED[stage]


def _zeroed(network: nn.Module, name: str) -> nn.Module:
    network = copy.deepcopy(network).eval()
    layer = network.get_submodule(name)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    return network


class _Broken(nn.Module):
    """A network whose inputs and output pass through mistakes."""

    def __init__(self, stage: Stage, network: nn.Module) -> None:
        super().__init__()
        self.stage = stage
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        changed = [self.change(signal.name, value) for signal, value in zip(INPUTS[self.stage], inputs, strict=True)]
        return self.result(self.network(*changed))

    def change(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """An input on its way to the network."""
        del name
        return value

    def result(self, output: torch.Tensor) -> torch.Tensor:
        """The output on its way out."""
        return output


class _SwappedChannels(_Broken):
    def change(self, name: str, value: torch.Tensor) -> torch.Tensor:
        return torch.cat([value[:, 2:], value[:, 1:2], value[:, :1]], dim=1) if value.shape[1] == 3 else value


class _DoubleNormalisation(_Broken):
    def change(self, name: str, value: torch.Tensor) -> torch.Tensor:
        return value / 255 if value.shape[1] == 3 else value


class _DepthForDisparity(_Broken):
    def change(self, name: str, value: torch.Tensor) -> torch.Tensor:
        return -value if value.shape[1] == 1 else value

    def result(self, output: torch.Tensor) -> torch.Tensor:
        return 1 - output if self.stage is Stage.DEPTH else output


class _IgnoredInput(_Broken):
    def change(self, name: str, value: torch.Tensor) -> torch.Tensor:
        # Clamped instead of replaced: what a converter can fold away, it may refuse.
        return value.clamp(0.25, 0.25) if name == IGNORED[self.stage] else value


class _HalfPixel(_Broken):
    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        with Resampling(align_corners):
            return self.network(*inputs)
