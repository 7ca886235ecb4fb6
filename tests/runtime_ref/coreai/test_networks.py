"""Networks that are not ours: the evaluator computes what Apple's runtime computes, and PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("coreai_torch")

from dofkit.export.coreai.convert import converted
from dofkit.export.coreai.tools import save
from dofkit.runtime_ref.coreai import open_program

from .programs import apples


class UNet(nn.Module):
    """Two levels, with the norms, activations and resizes that U-Nets are built of."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.GroupNorm(2, width), nn.SiLU())
        self.down = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(width, 2 * width, 3, padding=1), nn.LeakyReLU(0.1))
        self.deep = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(2 * width, 2 * width, 3, padding=2, dilation=2), nn.Hardswish()
        )
        self.up = nn.ConvTranspose2d(2 * width, 2 * width, 3, stride=2, padding=1, output_padding=1)
        self.join = nn.Sequential(nn.Conv2d(4 * width, width, 3, padding=1, padding_mode="reflect"), nn.PReLU(width))
        self.last = nn.Conv2d(2 * width, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x)
        down = self.down(first)
        joined = self.join(torch.cat([self.up(self.deep(down)), down], 1))
        larger = F.interpolate(joined, scale_factor=2.0, mode="bilinear", align_corners=False)
        return F.pixel_shuffle(torch.tanh(self.last(torch.cat([larger, first], 1))), 2)


class Attention(nn.Module):
    """A transformer block over the pixels of a feature map."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 8, stride=8)
        self.block = nn.TransformerEncoderLayer(width, 4, 64, activation="gelu", batch_first=True, norm_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(self.embed(x).flatten(2).transpose(1, 2)).mean(1)


class Logits(nn.Module):
    """A model of transformers as a function of pixels."""

    def __init__(self, model: nn.Module, field: str = "logits") -> None:
        super().__init__()
        self.model, self.field = model, field

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return getattr(self.model(x), self.field)


def _mobilenet() -> nn.Module:
    tf = pytest.importorskip("transformers")
    return Logits(
        tf.MobileNetV2ForImageClassification(tf.MobileNetV2Config(image_size=32, depth_multiplier=0.35, num_labels=5))
    )


def _vit() -> nn.Module:
    tf = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    return Logits(tf.ViTForImageClassification(tf.ViTConfig(**sizes, image_size=32, patch_size=8)))


def _segformer() -> nn.Module:
    tf = pytest.importorskip("transformers")
    sizes = {"hidden_sizes": [8, 16, 32, 32], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16, "num_labels": 4}
    return Logits(tf.SegformerForSemanticSegmentation(tf.SegformerConfig(**sizes)))


def _convnext() -> nn.Module:
    tf = pytest.importorskip("transformers")
    return Logits(
        tf.ConvNextForImageClassification(tf.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2))
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "U-Net": UNet,
    "attention block": Attention,
    "MobileNetV2": _mobilenet,
    "ViT": _vit,
    "SegFormer": _segformer,
    "ConvNeXt": _convnext,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_computes_the_same_here_in_apples_runtime_and_in_pytorch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = NETWORKS[name]().eval()
    for module in network.modules():  # untrained ones let the signal fade
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 32, 32))
        wanted = network.eval()(x).numpy()
    path = tmp_path / "net.aimodel"
    save(converted(network, (x,), ["image"], ["out"], name), path)
    ours = open_program(path).run({"image": x.numpy()}).outputs["out"]
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(ours, apples(path, {"image": x.numpy()})["out"], atol=1e-4)
    np.testing.assert_allclose(ours, wanted, atol=1e-4)
