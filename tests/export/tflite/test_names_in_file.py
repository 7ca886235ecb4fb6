"""Which of a file's convolutions are which of the network's layers."""

from __future__ import annotations

import pytest
import torch

from dofkit.export.folded import folded_layers
from dofkit.export.layers import convolution_calls, refuse_unknown
from dofkit.export.tflite.stored import convolutions
from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.networks import LensBlurNet

from .conftest import Convert, TFLiteStage

pytestmark = pytest.mark.e2e


def test_a_recipe_for_another_network_is_one_line(blur: TFLiteStage) -> None:
    layers = folded_layers(blur.graph.network, blur.graph.example())
    with pytest.raises(DofkitError, match=r"^the network has no layer 'encoder\.nothing' to keep .*dofkit sensitivity"):
        refuse_unknown({"encoder.nothing"}, [layer.name for layer in layers])


def test_a_layer_that_is_called_twice_has_two_names_in_the_file(convert_network: Convert) -> None:
    class Shared(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twice, self.once = torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Conv2d(3, 1, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.once(torch.relu(self.twice(torch.relu(self.twice(image)))))

    shared = convert_network(Shared())
    stored = convolutions(shared.float32)
    layers = folded_layers(shared.graph.network, shared.graph.example())
    calls = convolution_calls(layers, stored)
    assert calls == {"twice": {call.name for call in stored[:2]}, "once": {stored[2].name}}


def test_layers_are_not_looked_up_in_a_file_of_other_weights(blur: TFLiteStage) -> None:
    other = LensBlurNet().eval()
    layers = folded_layers(other, blur.graph.example())
    with pytest.raises(DofkitError, match="layers cannot be found in the file"):
        convolution_calls(layers, convolutions(blur.float32))
