"""PyTorch as the reference that a diagnosis questions: its layers one by one, and what other ways of resizing give."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..runtime_ref.bundle import ModelEntry
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.matching import Layer
from ..runtime_ref.parity.diagnosis.hypotheses import Inputs, ReferenceRun
from ..runtime_ref.pipeline.stage import INPUTS, OUTPUTS, PREVIEWS, Stage
from .networks.registry import ARCHITECTURES, Architectures
from .resampling import resampled_variants
from .session import TorchSession
from .tracing import trace_layers


class PyTorchReference:
    """The networks that a bundle was exported from; see `runtime_ref.parity.diagnosis.explain.Reference`."""

    def __init__(self, networks: Mapping[Stage, torch.nn.Module], architectures: Architectures = ARCHITECTURES) -> None:
        self._networks, self._architectures = networks, architectures

    def session(self, stage: Stage) -> TorchSession:
        """It computes a stage."""
        return TorchSession(stage, self._networks[stage])

    def layers(self, model: ModelEntry, inputs: Inputs) -> list[Layer]:
        """The output of every layer of a model's stage as its target computes it, the stage's own the last.

        Raises:
            DofkitError: of a preview.
        """
        if model.stage in PREVIEWS:
            raise DofkitError(f"{model.stage} is made of the other stages, whose own rows tell what is wrong")
        network = self._networks[model.stage]
        shapes = [inputs[signal.name].shape for signal in INPUTS[model.stage]]
        network = self._architectures.contract_of(network).arrange(network, model.target, shapes)
        layers, output = trace_layers(network, model.stage, inputs)
        return [*layers, Layer(OUTPUTS[model.stage].name, "output", output)]

    def variants(self, stage: Stage) -> dict[str, ReferenceRun]:
        """The stage with its resizes computed otherwise: text -> run."""
        return resampled_variants(self._networks[stage], stage)
