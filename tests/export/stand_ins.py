"""Networks of the topology of those that no class of transformers holds: thin, of random weights, written as .pt2.

Depth Anything 3 [Lin et al. 2025] is a vision transformer whose later blocks turn queries and keys by their places
(rotary embeddings) and write a camera token into the first place; MiDaS v2.1 small [Ranftl et al. 2020] is a network of
inverted residuals with a decoder of fusion blocks.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

WIDTH, HEADS, PATCH = 32, 2, 14


class RotaryAttention(nn.Module):
    """Attention whose queries and keys are turned by the row and column of their patch."""

    frequencies: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.joined, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.register_buffer("frequencies", 100.0 ** -torch.linspace(0, 1, WIDTH // HEADS // 4), persistent=False)

    def forward(self, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        batch, count, _ = x.shape
        query, key, value = self.joined(x).reshape(batch, count, 3, HEADS, -1).permute(2, 0, 3, 1, 4).unbind(0)
        angles = (places[:, :, None] * self.frequencies).flatten(1)
        query, key = (_turned(each, angles) for each in (query, key))
        found = F.scaled_dot_product_attention(query, key, value)
        return self.out(found.transpose(1, 2).reshape(batch, count, WIDTH))


def _turned(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Pairs of channels `[..., N, C]` turned by angles `[N, C / 2]`."""
    first, second = x.chunk(2, -1)
    return torch.cat(
        [first * angles.cos() - second * angles.sin(), first * angles.sin() + second * angles.cos()], dim=-1
    )


class Block(nn.Module):
    """Attention and two fully connected layers, each scaled by weights of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = RotaryAttention()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))
        self.scale, self.scale_of_mlp = (nn.Parameter(0.5 + torch.rand(WIDTH)) for _ in range(2))

    def forward(self, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x = x + self.scale * self.attention(self.before(x), places)
        return x + self.scale_of_mlp * self.mlp(self.between(x))


class DepthAnything3(nn.Module):
    """Depth up to scale, always positive, of one view."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
        self.first, self.camera = nn.Parameter(torch.rand(1, 1, WIDTH)), nn.Parameter(torch.rand(1, 1, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.norm = nn.LayerNorm(WIDTH)
        self.project = nn.ModuleList(nn.Conv2d(WIDTH, 16, 1) for _ in range(2))
        self.fuse, self.head = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.patches(image)
        rows, columns = int(maps.shape[2]), int(maps.shape[3])
        x = torch.cat([self.first.expand(len(image), -1, -1), maps.flatten(2).transpose(1, 2)], 1)
        grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float() + 1
        places, taps = torch.cat([torch.zeros(1, 2), grid]), []
        for number, block in enumerate(self.blocks):
            if number == 1:
                x = x.clone()
                x[:, 0] = self.camera[:, 0]  # in place, as its own code does
            x = block(x, places)
            taps.append(self.norm(x)[:, 1:].transpose(1, 2).reshape(len(image), WIDTH, rows, columns))
        low, high = (project(tap) for project, tap in zip(self.project, taps[1:], strict=True))
        low = F.interpolate(low, (2 * rows, 2 * columns), mode="bilinear", align_corners=True)
        fused = self.fuse(low + F.interpolate(high, (2 * rows, 2 * columns), mode="bilinear", align_corners=True))
        size = (int(image.shape[2]), int(image.shape[3]))
        return torch.exp(self.head(F.interpolate(F.relu(fused), size, mode="bilinear", align_corners=True)))


class Inverted(nn.Module):
    """Widened, filtered channel by channel, narrowed: MobileNet's block, as EfficientNet-Lite has it."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        wide = 3 * channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        self.kept = channels == out and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.kept else self.layers(x)


class Fusion(nn.Module):
    """Two convolutions on what is fused, then twice the size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.out = nn.Conv2d(16, 16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.second(F.relu(self.first(F.relu(x))))
        return self.out(F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True))


class MidasSmall(nn.Module):
    """Inverse depth of any scale and offset, as `[N, H, W]`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.stages = nn.ModuleList([Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 16, 2)])
        self.lateral = nn.ModuleList(nn.Conv2d(c, 16, 3, padding=1, bias=False) for c in (8, 12, 16))
        self.fusions = nn.ModuleList(Fusion() for _ in range(3))
        self.head = nn.Sequential(
            nn.Conv2d(16, 8, 3, padding=1), nn.Upsample(scale_factor=1, mode="bilinear"),
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1), nn.ReLU(),
        )  # fmt: skip

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x, taps = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            taps.append(x)
        levels = [lateral(tap) for lateral, tap in zip(self.lateral, taps, strict=True)]
        found = self.fusions[2](levels[2])
        for fusion, level in ((self.fusions[1], levels[1]), (self.fusions[0], levels[0])):
            found = fusion(found + level)
        return self.head(found).squeeze(1)


STAND_INS: dict[str, tuple[type[nn.Module], tuple[int, int]]] = {
    "depth_anything_3": (DepthAnything3, (56, 84)),
    "midas_v21_small": (MidasSmall, (64, 96)),
}
"""Name -> class, (height, width) of its only input."""


def write_stand_in(name: str, folder: Path) -> Path:
    """A stand-in as an exported program."""
    kind, size = STAND_INS[name]
    torch.manual_seed(7)
    network = kind().eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    if isinstance(network, MidasSmall):  # its last ReLU must let something through
        last = network.head[4]
        assert isinstance(last, nn.Conv2d)
        last.weight.data.abs_()
    path = folder / f"{name}.pt2"
    with torch.no_grad():
        torch.export.save(torch.export.export(network, (torch.rand(1, 3, *size),), strict=False), path)
    return path
