"""A brought depth network of every kind of layer that convolutions are not: it takes part like dofkit's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.networks import ARCHITECTURES, Architecture, Meaning, NetworkContract, Preprocessing, SizeRule

PATCH = 8


@dataclass(frozen=True)
class TinyConfig:
    """Sizes of a TinyTransformer."""

    width: int = 16
    heads: int = 2


class TinyTransformer(nn.Module):
    """Patches, one block of attention, and transposed convolutions up to the photo's size."""

    def __init__(self, config: TinyConfig | None = None) -> None:
        super().__init__()
        self.config = config or TinyConfig()
        width = self.config.width
        self.patches = nn.Conv2d(3, width, PATCH, stride=PATCH)
        self.shift = nn.Parameter(torch.zeros(1, 1, width))
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.up = nn.ConvTranspose2d(width, 6, 4, stride=4)
        self.last = nn.ConvTranspose2d(6, 1, 2, stride=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W], normalised → inverse depth of any scale, [N, 1, H, W]."""
        maps = self.patches(image)
        batch, width, height, wide = (int(n) for n in maps.shape)
        x = maps.flatten(2).transpose(1, 2) + self.shift
        x = x + self._attention(self.before(x))
        x = x + self.mlp(self.between(x))
        return self.last(F.relu(self.up(x.transpose(1, 2).reshape(batch, width, height, wide))))

    def _attention(self, x: torch.Tensor) -> torch.Tensor:
        batch, count, width = (int(n) for n in x.shape)
        heads = self.config.heads
        joined = self.query_key_value(x).reshape(batch, count, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(joined[0], joined[1], joined[2])
        return self.attended(found.transpose(1, 2).reshape(batch, count, width))


TINY = Architecture(
    NetworkContract(
        architecture="tiny_transformer",
        stage=Stage.DEPTH,
        size=SizeRule(multiple=PATCH, least=2 * PATCH),
        preprocessing=Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        meaning=Meaning.INVERSE_DEPTH,
    ),
    TinyTransformer,
    TinyConfig,
)
WITH_TINY = ARCHITECTURES.including(TINY)


def random_transformer() -> TinyTransformer:
    """Of random weights, biases and scales: none is 0 or 1 by itself."""
    torch.manual_seed(9)
    network = TinyTransformer()
    for name, parameter in network.named_parameters():
        nn.init.normal_(parameter, mean=float(name.endswith(("before.weight", "between.weight"))), std=0.3)
    return network.eval()
