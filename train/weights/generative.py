"""Files of generative models: AR-GAN's generator, CycleGAN's translator deep → shallow, Pix2Pix's photo → disparity.

Discriminators, and CycleGAN's way back, are of the training alone.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from ..argan_config import ArganConfig
from ..networks.aperture_generator import ApertureGenerator
from ..networks.cyclegan import Translator, TranslatorConfig
from ..networks.pix2pix import Pix2PixConfig, Pix2PixGenerator
from .network_file import NetworkFile

# What there was when configurations did not say.
_GENERATORS_BEFORE = {"norm": "instance"}

GENERATOR = NetworkFile[ApertureGenerator](
    kind="aperture generator",
    noun="generator",
    name="argan.safetensors",
    command="dofkit train argan",
    describe=lambda network: network.config.model_dump_json(),
    build=lambda config: ApertureGenerator(ArganConfig.model_validate(_GENERATORS_BEFORE | config)),
)

TRANSLATOR = NetworkFile[Translator](
    kind="deep to shallow translator",
    noun="translator",
    name="cyclegan.safetensors",
    command="dofkit train cyclegan",
    describe=lambda network: json.dumps(dataclasses.asdict(network.config), sort_keys=True),
    build=lambda config: Translator(TranslatorConfig(**config)),
)

PIX2PIX = NetworkFile[Pix2PixGenerator](
    kind="photo to disparity generator",
    noun="Pix2Pix generator",
    name="pix2pix.safetensors",
    command="dofkit train pix2pix",
    describe=lambda network: json.dumps(dataclasses.asdict(network.config), sort_keys=True),
    build=lambda config: Pix2PixGenerator(Pix2PixConfig(**config)),
)

SHIPPED = Path(__file__).parent / GENERATOR.name
