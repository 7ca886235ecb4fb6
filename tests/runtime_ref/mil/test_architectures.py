"""The evaluator runs packages that dofkit did not export: networks of `transformers`, converted by coremltools.

All have random weights and little width; what they must agree with is the PyTorch network that was converted.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dofkit.runtime_ref.mil import MLProgram
from dofkit.runtime_ref.quiet import silence

# Float32 differs from PyTorch by the order of its sums; relative to the output's greatest magnitude.
FLOAT32_TOLERANCE = 1e-4
# Half precision's steps are 5e-4. Measured: 7e-4 to 4e-3, with MobileNetV2, the deepest, 1.5e-2.
FLOAT16_TOLERANCE = 3e-2
# A step of 8 bits is 1/255 of the range of a tensor's (palettised) or a channel's (quantised) weights: 7e-2, 4e-2 here.
COMPRESSED_TOLERANCE = 0.15
SIZE = 64


class UNet(nn.Module):
    """A plain U-Net: two levels, transposed convolutions, skip connections."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.high, self.middle, self.low = _block(3, width), _block(width, 2 * width), _block(2 * width, 4 * width)
        self.up_low = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.up_middle = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.merge_middle, self.merge_high = _block(4 * width, 2 * width), _block(2 * width, width)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """`[1, 3, H, W]` -> `[1, 1, H, W]`."""
        high = self.high(image)
        middle = self.middle(nn.functional.max_pool2d(high, 2))
        low = self.low(nn.functional.max_pool2d(middle, 2))
        middle = self.merge_middle(torch.cat([middle, self.up_low(low)], dim=1))
        return self.head(self.merge_high(torch.cat([high, self.up_middle(middle)], dim=1)))


def _block(channels: int, width: int) -> nn.Module:
    layers = [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers, nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


class Output(nn.Module):
    """A network of `transformers`, of whose answer only one tensor is wanted."""

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """`[1, 3, H, W]` -> the tensor."""
        return getattr(self.network(image), self.name)


def _model(family: str, task: str, output: str, **settings: Any) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{family}Config")(**settings)
    return Output(getattr(transformers, f"{family}For{task}")(config), output)


def _classifier(family: str, **settings: Any) -> nn.Module:
    return _model(family, "ImageClassification", "logits", num_labels=10, **settings)


def _depth_anything() -> nn.Module:
    from transformers import Dinov2Config

    stages: dict[str, Any] = {"out_indices": [1, 2, 3, 4], "reshape_hidden_states": False}
    dinov2 = Dinov2Config(image_size=56, hidden_size=48, num_hidden_layers=4, num_attention_heads=3, **stages)
    neck = {"reassemble_hidden_size": 48, "neck_hidden_sizes": [16, 16, 32, 32], "fusion_hidden_size": 32}
    depth = {"backbone_config": dinov2, "head_hidden_size": 16, **neck}
    return _model("DepthAnything", "DepthEstimation", "predicted_depth", **depth)


def _upernet() -> nn.Module:
    from transformers import ConvNextConfig

    stages: dict[str, Any] = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
    convnext = ConvNextConfig(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], **stages)
    head = {"hidden_size": 32, "use_auxiliary_head": False, "pool_scales": [1, 2]}
    return _model("UperNet", "SemanticSegmentation", "logits", backbone_config=convnext, **head)


TRANSFORMER = {"hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 96, "patch_size": 16}


@dataclass(frozen=True)
class Architecture:
    """A network, and how it is converted.

    Attributes:
        build: makes it.
        target: the deployment target.
        size: of its picture.
        exported: by torch.export; traced otherwise. (Traced, DINOv2 keeps a bicubic resizing that coremltools lacks.)
    """

    build: Callable[[], nn.Module]
    target: str = "iOS17"
    size: int = SIZE
    exported: bool = False


ARCHITECTURES = {
    "ResNet": Architecture(
        lambda: _classifier("ResNet", embedding_size=16, hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 1, 1]), "iOS15"
    ),
    "MobileNetV2": Architecture(lambda: _classifier("MobileNetV2", depth_multiplier=0.5, image_size=SIZE), "iOS16"),
    "EfficientNet": Architecture(
        lambda: _classifier(
            "EfficientNet", width_coefficient=0.5, depth_coefficient=0.5, image_size=SIZE, hidden_dim=640
        )
    ),
    "ConvNeXt": Architecture(
        lambda: _classifier("ConvNext", hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 2, 1]), exported=True
    ),
    "ViT": Architecture(lambda: _classifier("ViT", image_size=SIZE, num_hidden_layers=3, **TRANSFORMER), "iOS16"),
    "Swin": Architecture(
        lambda: _classifier(
            "Swin", image_size=SIZE, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4
        ),
        "iOS18",
    ),
    "SegFormer": Architecture(
        lambda: _model(
            "Segformer",
            "SemanticSegmentation",
            "logits",
            hidden_sizes=[16, 32, 40, 64],
            depths=[1, 1, 1, 1],
            decoder_hidden_size=32,
        )
    ),
    "UperNet on ConvNeXt": Architecture(_upernet),
    "DPT": Architecture(
        lambda: _model(
            "DPT",
            "DepthEstimation",
            "predicted_depth",
            image_size=SIZE,
            num_hidden_layers=4,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[16, 16, 32, 32],
            fusion_hidden_size=32,
            is_hybrid=False,
            **TRANSFORMER,
        ),
        "iOS18",
    ),
    "Depth Anything": Architecture(_depth_anything, size=56, exported=True),
    "U-Net": Architecture(UNet, "iOS26"),
}


def randomise(network: nn.Module, image: torch.Tensor) -> None:
    """Weights that keep a signal alive through every layer, and statistics to match: outputs say something."""
    generator = torch.Generator().manual_seed(11)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, 0, math.sqrt(2 / parameter[0].numel()), generator=generator)
        elif name.endswith("bias"):
            nn.init.normal_(parameter, 0.1, 0.1, generator=generator)
        else:
            nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    network(image + torch.randn(8, *image.shape[1:], generator=generator) / 2)
    for norm in norms:
        norm.eval()


@dataclass(frozen=True)
class Case:
    """A network that is ready to be converted, its picture, and what PyTorch makes of it."""

    program: Any
    image: np.ndarray
    expected: np.ndarray


@cache
def case_of(name: str) -> Case:
    """Build and trace (or export) an architecture."""
    architecture = ARCHITECTURES[name]
    torch.manual_seed(5)
    image = torch.rand(1, 3, architecture.size, architecture.size)
    with torch.no_grad(), warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        network = architecture.build().eval()
        randomise(network, image)
        expected = network(image).numpy()
        if architecture.exported:
            program = torch.export.export(network, (image,)).run_decompositions({})
        else:
            program = torch.jit.trace(network, image, check_trace=False)
    return Case(program, image.numpy(), expected)


def converted(ct: Any, name: str, path: Path, half: bool, **changes: Any) -> Any:
    """Convert an architecture and save the package."""
    case = case_of(name)
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        options = {
            "inputs": [ct.TensorType("image", case.image.shape)],
            "outputs": [ct.TensorType("output")],
            "minimum_deployment_target": getattr(ct.target, ARCHITECTURES[name].target),
            "compute_precision": ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
            "skip_model_load": True,
        }
        model = ct.convert(case.program, **{**options, **changes})
        model.save(str(path))
    return model


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """The greatest difference, relative to the greatest magnitude."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


# The others' packages are as good a test, and take as long: with the whole commands.
FEW = ("MobileNetV2", "Depth Anything")
NAMES = [pytest.param(name, marks=[pytest.mark.e2e] * (name not in FEW)) for name in ARCHITECTURES]


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_not_degenerate(name: str) -> None:
    expected = case_of(name).expected
    assert np.isfinite(expected).all()
    assert expected.std() > 1e-2 * np.abs(expected).max(), "a constant output would hide what went wrong"
    assert 1e-2 < np.abs(expected).max() < 1e4


@pytest.mark.parametrize("name", NAMES)
def test_a_float32_package_computes_what_pytorch_computes(ct: Any, name: str, tmp_path: Path) -> None:
    case, path = case_of(name), tmp_path / "model.mlpackage"
    converted(ct, name, path, half=False)
    found = MLProgram.open(path).predict({"image": case.image})["output"]
    assert error(found, case.expected) < FLOAT32_TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_float16_package_is_as_far_from_pytorch_as_half_precision_is(ct: Any, name: str, tmp_path: Path) -> None:
    case, path = case_of(name), tmp_path / "model.mlpackage"
    converted(ct, name, path, half=True)
    found = MLProgram.open(path).predict({"image": case.image})["output"]
    # Closer than the output's own rounding, and nothing would have been rounded.
    assert 1e-5 < error(found, case.expected) < FLOAT16_TOLERANCE


def test_a_picture_goes_in_as_pixels_with_scale_and_bias(ct: Any, tmp_path: Path) -> None:
    case, path = case_of("U-Net"), tmp_path / "model.mlpackage"
    picture = ct.ImageType("image", case.image.shape, scale=1 / 255, bias=[0.0, -0.25, 0.25])
    converted(ct, "U-Net", path, half=False, inputs=[picture])
    pixels = np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    found = MLProgram.open(path).predict({"image": pixels})["output"]
    bias = np.array([0.0, -0.25, 0.25], np.float32)
    planes = pixels.transpose(2, 0, 1)[None] / np.float32(255) + bias[:, None, None]
    with torch.no_grad():
        expected = case.program(torch.from_numpy(planes)).numpy()
    assert error(found, expected) < FLOAT32_TOLERANCE


@pytest.mark.parametrize("kind", ["palettised to 8 bits", "quantised to 8 bits"])
def test_compressed_weights_are_what_coremltools_decompresses(ct: Any, kind: str, tmp_path: Path) -> None:
    cto = ct.optimize.coreml
    case = case_of("ResNet")
    model = converted(ct, "ResNet", tmp_path / "plain.mlpackage", half=False)
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        if kind.startswith("palettised"):
            settings = cto.OpPalettizerConfig(mode="uniform", nbits=8, weight_threshold=512)
            small = cto.palettize_weights(model, cto.OptimizationConfig(settings))
        else:
            settings = cto.OpLinearQuantizerConfig(weight_threshold=512)
            small = cto.linear_quantize_weights(model, cto.OptimizationConfig(settings))
        small.save(str(tmp_path / "small.mlpackage"))
        cto.decompress_weights(small).save(str(tmp_path / "decompressed.mlpackage"))
    found, decompressed = (
        MLProgram.open(tmp_path / name).predict({"image": case.image})["output"]
        for name in ("small.mlpackage", "decompressed.mlpackage")
    )
    assert any(operation.type.startswith("constexpr") for operation in _operations(tmp_path / "small.mlpackage"))
    np.testing.assert_array_equal(found, decompressed)
    assert 1e-4 < error(found, case.expected) < COMPRESSED_TOLERANCE


def _operations(path: Path) -> list[Any]:
    return list(MLProgram.open(path).function.block.walk())
