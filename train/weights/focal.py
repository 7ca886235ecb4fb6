"""The file of the network that finds depth in focal stacks, and the one that ships."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from ...runtime_ref.pipeline.stage import Stage
from ..networks.focal_depth import ARCHITECTURE, FocalDepthConfig, FocalDepthNet
from .network_file import NetworkFile
from .terms import Terms

FOCAL = NetworkFile[FocalDepthNet](
    kind="depth from defocus",
    noun="network of focal stacks",
    name="dfd.safetensors",
    command="dofkit train dfd",
    marks={"stage": Stage.FOCAL_DEPTH.value, "architecture": ARCHITECTURE},  # as files of the bundle's stages have
    describe=lambda network: json.dumps(dataclasses.asdict(network.config), sort_keys=True),
    build=lambda config: FocalDepthNet(FocalDepthConfig(**config)),
)

SHIPPED = Path(__file__).parent / FOCAL.name

TERMS = Terms(
    licence="research only: trained on photos of NYU Depth v2",
    author="the dofkit authors",
    provenance="starter weights of dofkit, train/weights/MODEL_CARD.md",
)
"""Of the one that ships."""
