"""Products of a program's layers, against PyTorch's own counter."""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dofkit.export.rewrites.costs import multiply_adds


class _Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grouped, self.same = nn.Conv2d(3, 6, 3, stride=2, groups=3), nn.Conv2d(6, 4, 3, padding="same")
        self.up, self.joined = nn.ConvTranspose2d(4, 5, 2, stride=2), nn.Linear(5, 12)
        self.table = nn.Parameter(torch.rand(4, 7))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.up(self.same(self.grouped(image)))
        query, key, value = self.joined(maps.flatten(2).transpose(1, 2)).chunk(3, -1)
        found = F.scaled_dot_product_attention(query[:, None, :9], key[:, None], value[:, None])[:, 0]
        itself = found[:, None]
        found = found + F.scaled_dot_product_attention(itself, itself, itself)[:, 0]
        return torch.addmm(torch.zeros(7), found[0], self.table) + torch.bmm(found, self.table[None])[0]


def test_as_many_as_pytorch_counts() -> None:
    network, image = _Layers().eval(), torch.rand(1, 3, 11, 15)
    module = torch.export.export(network, (image,)).module()
    assert isinstance(module, fx.GraphModule)
    # Only attention's two products of matrices are counted, not the kernel for CPUs.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        network(image)
    assert 2 * sum(map(multiply_adds, module.graph.nodes)) == counter.get_total_flops()
