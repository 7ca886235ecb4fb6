"""Where every stage's network is from: brought ones, and weights folders for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from ..networks.contract import NetworkContract
from ..networks.registry import ARCHITECTURES, Architectures
from ..session import load_networks
from ..weights import SHIPPED, Terms, contract_of_weights, has_weights, terms_of_weights, weights_file
from .networks import Brought


@dataclass(frozen=True)
class NetworkSources:
    """Networks of all stages of the pipeline, as they are asked for.

    Attributes:
        weights: folder with stages' safetensors files.
        stages: that are taken from there; of the others what it lacks is taken as it ships.
        brought: networks that take the place of a stage's weights.
        architectures: those that weights may be of.
    """

    weights: Path = SHIPPED
    stages: tuple[Stage, ...] = PIPELINE_STAGES
    brought: Mapping[Stage, Brought] = field(default_factory=dict)
    architectures: Architectures = ARCHITECTURES

    def networks(self) -> dict[Stage, nn.Module]:
        """Of all stages.

        Raises:
            DofkitError: see `load_networks`.
        """
        own = tuple(stage for stage in self.stages if stage not in self.brought)
        others = load_networks(self.weights, own, self.architectures)
        return others | {stage: each.network for stage, each in self.brought.items()}

    def contract(self, stage: Stage) -> NetworkContract:
        """Of a stage's network; a weights file's is not built.

        Raises:
            DofkitError: see `load_weights`.
        """
        if stage in self.brought:
            return self.brought[stage].contract
        return contract_of_weights(stage, self._folder(stage), self.architectures)

    def terms(self, stage: Stage) -> Terms:
        """What is known of a stage's weights.

        Raises:
            DofkitError: when the file is missing or damaged.
        """
        return self.brought[stage].terms if stage in self.brought else terms_of_weights(stage, self._folder(stage))

    def sha256(self, stage: Stage) -> str:
        """Of a stage's weights; empty where there are none."""
        if stage in self.brought:
            return self.brought[stage].sha256
        folder = self._folder(stage)
        return file_sha256(weights_file(stage, folder)) if has_weights(stage, folder) else ""

    def _folder(self, stage: Stage) -> Path:
        return self.weights if stage in self.stages or has_weights(stage, self.weights) else SHIPPED
