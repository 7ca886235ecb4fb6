"""The architectures that dofkit knows: what a weights file names → the network and its contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.aspects import STRIDE
from ...runtime_ref.pipeline.stage import Stage
from ...runtime_ref.target import Target
from .adapted import adapted, core
from .contract import Arrangement, BringsContract, Meaning, NetworkContract, SizeRule
from .depth import DepthConfig, DepthNet
from .depth_centred import CentredDepth, TurnedDepth
from .filled_inputs import with_filled_inputs
from .focal_depth import FocalDepthConfig
from .focal_graph import CONTRACT as FOCAL_CONTRACT
from .focal_graph import FocalStage
from .guided_upsampling import GuidedUpsamplingConfig, GuidedUpsamplingNet
from .guided_upsampling_blocks import GuidedUpsamplingBlocks
from .guided_upsampling_by_colour import GuidedUpsamplingByColour
from .lens_blur import DISCS, LensBlurConfig, LensBlurNet
from .lens_blur_blocks import LensBlurBlocks
from .lens_blur_stacked import LensBlurStacked


@dataclass(frozen=True)
class Architecture:
    """A contract with the classes that fulfil it.

    Attributes:
        contract: what the rest of dofkit knows of it.
        network: made of a configuration, which it keeps as `config`.
        config: a dataclass; weights files hold its fields as JSON.
    """

    contract: NetworkContract
    network: type[nn.Module]
    config: type[Any]

    def rebuilt(self, configuration: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """The network of a weights file as the pipeline calls it, in evaluation mode.

        Raises:
            TypeError, ValueError, RuntimeError: the file is not of this architecture.
        """
        network = self.network(self.config(**configuration))
        network.load_state_dict(tensors)
        return adapted(network, self.contract).eval()

    def fits(self, configuration: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> bool:
        """Whether a weights file can be of this architecture."""
        try:
            expected = self.network(self.config(**configuration)).state_dict()
        except (TypeError, ValueError):
            return False
        return {name: value.shape for name, value in expected.items()} == {
            name: value.shape for name, value in tensors.items()
        }


class Architectures:
    """A set of architectures; immutable."""

    def __init__(self, *entries: Architecture) -> None:
        self._entries = {entry.contract.architecture: entry for entry in entries}

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self._entries.values())

    def including(self, *entries: Architecture) -> Architectures:
        """These and further ones: how a network of yours takes part."""
        return Architectures(*self, *entries)

    def named(self, architecture: str) -> Architecture:
        """The one of this name.

        Raises:
            DofkitError: there is none.
        """
        if architecture not in self._entries:
            raise DofkitError(f"no architecture is called {architecture!r}; there are {', '.join(self._entries)}")
        return self._entries[architecture]

    def of_file(
        self, stage: Stage, configuration: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
    ) -> Architecture:
        """The one of a weights file that names none, as files did until 0.1.

        Raises:
            ValueError: none fits, or several do.
        """
        candidates = self.of_stage(stage)
        if len(candidates) > 1:
            candidates = [entry for entry in candidates if entry.fits(configuration, tensors)]
        if len(candidates) != 1:
            raise ValueError(f"{len(candidates)} architectures of {stage} fit it, and it names none")
        return candidates[0]

    def of_stage(self, stage: Stage) -> list[Architecture]:
        """All that compute a stage; dofkit trains and ships the first."""
        return [entry for entry in self if entry.contract.stage is stage]

    def contract_of(self, network: nn.Module) -> NetworkContract:
        """The contract of a network that one of these made, or that brings its own.

        Raises:
            DofkitError: neither.
        """
        inner = core(network)
        if isinstance(inner, BringsContract):
            return inner.contract
        kinds = type(inner).__mro__
        found = [entry for kind in kinds for entry in self if entry.network is kind]
        if not found:
            known = ", ".join(entry.network.__name__ for entry in self)
            raise DofkitError(f"{kinds[0].__name__} is of no known architecture (those are of {known}); register it")
        return found[0].contract


_UPSAMPLING = NetworkContract(
    architecture="guided_upsampling",
    stage=Stage.GUIDED_UPSAMPLING,
    size=SizeRule(multiple=GuidedUpsamplingNet.align, least=2 * GuidedUpsamplingNet.halo + 1),
    halo=GuidedUpsamplingNet.halo,
    align=GuidedUpsamplingNet.align,
    arrangements={
        Target.ONNX: Arrangement(
            GuidedUpsamplingByColour,  # pyright: ignore[reportArgumentType]  # of the architecture's own network
            GuidedUpsamplingByColour.exact,
        ),
        Target.TFLITE: Arrangement(
            GuidedUpsamplingBlocks,  # pyright: ignore[reportArgumentType]
            GuidedUpsamplingBlocks.exact,
            GuidedUpsamplingBlocks.multiple,
        ),
    },
)

ARCHITECTURES = Architectures(
    Architecture(
        NetworkContract(
            architecture="efficientnet_lite_depth",
            stage=Stage.DEPTH,
            size=SizeRule(multiple=STRIDE, least=2 * STRIDE),
            meaning=Meaning.DISPARITY,
            arrangements={
                target: Arrangement(form, form.exact)  # pyright: ignore[reportArgumentType]
                for target, form in ((Target.ONNX, CentredDepth), (Target.TFLITE, TurnedDepth))
            },
        ),
        DepthNet,
        DepthConfig,
    ),
    Architecture(
        NetworkContract(
            architecture="lens_blur",
            stage=Stage.LENS_BLUR,
            size=SizeRule(multiple=LensBlurNet.align, least=2 * LensBlurNet.halo + LensBlurNet.align),
            halo=LensBlurNet.halo,
            align=LensBlurNet.align,
            exact=LensBlurNet.exact,
            arrangements={
                Target.COREML: Arrangement(
                    LensBlurStacked,  # pyright: ignore[reportArgumentType]
                    LensBlurStacked.exact,
                ),
                Target.ONNX: Arrangement(with_filled_inputs, (*LensBlurNet.exact, *DISCS)),
                Target.TFLITE: Arrangement(
                    LensBlurBlocks,  # pyright: ignore[reportArgumentType]
                    LensBlurBlocks.exact,
                    LensBlurBlocks.multiple,
                ),
            },
        ),
        LensBlurNet,
        LensBlurConfig,
    ),
    Architecture(_UPSAMPLING, GuidedUpsamplingNet, GuidedUpsamplingConfig),
    Architecture(FOCAL_CONTRACT, FocalStage, FocalDepthConfig),
)
