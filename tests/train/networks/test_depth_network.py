"""Shapes, ranges and files of the depth network and of its ResNet encoder."""

import dataclasses
import json

import pytest
import torch

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.networks.depth import DepthConfig, DepthNet, PyramidPooling, cells
from dofkit.train.networks.depth_encoders import ResNet50Encoder, load_resnet
from dofkit.train.weights import load_weights, save_weights, weights_file

PORTRAIT, LANDSCAPE, SQUARE = (96, 64), (64, 96), (96, 96)


@pytest.fixture(scope="module")
def network() -> DepthNet:
    torch.manual_seed(0)
    return DepthNet().eval()


@pytest.mark.parametrize("shape", [PORTRAIT, LANDSCAPE, SQUARE])
def test_one_set_of_weights_serves_every_aspect(network, shape):
    with torch.no_grad():
        disparity = network(torch.rand(2, 3, *shape))
        raw, foreground = network.heads(torch.rand(2, 3, *shape))
    assert disparity.shape == raw.shape == foreground.shape == (2, 1, *shape)


def test_disparity_stays_within_zero_and_one():
    strong = DepthNet().eval()
    with torch.no_grad():
        strong.disparity.weight.mul_(1e5)
        disparity = strong(torch.rand(2, 3, *SQUARE))
    assert disparity.min() == 0
    assert disparity.max() == 1


def test_between_its_ends_disparity_is_what_training_saw(network):
    image = torch.rand(1, 3, *LANDSCAPE)
    with torch.no_grad():
        raw, _ = network.heads(image)
        assert raw.min() > 0
        assert raw.max() < 1  # a random network is nearly flat: nothing is clipped
        torch.testing.assert_close(network(image), raw)


def test_disparity_does_not_depend_on_the_rest_of_the_batch(network):
    images = torch.rand(3, 3, *PORTRAIT)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[1:2], network(images[1:2]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("bins", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 9, 10, 12, 14])
def test_pooling_windows_cover_everything_and_no_more(size, bins):
    window, stride = cells(size, bins)
    starts = [index * stride for index in range(min(bins, size))]
    assert starts[-1] + window == size
    assert window >= stride  # no gap
    assert len(torch.nn.functional.avg_pool1d(torch.zeros(1, 1, size), window, stride)[0, 0]) == min(bins, size)


def test_pyramid_pooling_where_bins_divide_the_map_is_adaptive_pooling():
    x = torch.rand(1, 8, 16, 8)
    for bins in (1, 2, 4, 8):
        (tall, down), (wide, across) = cells(16, bins), cells(8, bins)
        pooled = torch.nn.functional.avg_pool2d(x, (tall, wide), (down, across))
        torch.testing.assert_close(pooled, torch.nn.functional.adaptive_avg_pool2d(x, bins))


def test_the_far_corner_reaches_every_pixel_through_the_pyramid():
    pooling = PyramidPooling(8, 4).eval()
    x = torch.rand(1, 8, 6, 9, requires_grad=True)
    for name in ("merge.0.weight", *(f"reduce.{i}.weight" for i in range(len(pooling.reduce)))):
        pooling.get_parameter(name).data.abs_()
    pooling(x)[0, :, 5, 8].sum().backward()
    assert x.grad is not None
    assert (x.grad[0].amax(dim=0) > 0).all()


def test_the_default_network_has_at_most_five_million_parameters(network):
    assert sum(parameter.numel() for parameter in network.parameters()) <= 5_000_000


@pytest.mark.parametrize("encoder", ["efficientnet_lite2", "resnet50"])
def test_the_other_encoders_fit_the_same_decoder(encoder):
    other = DepthNet(DepthConfig(encoder)).eval()
    with torch.no_grad():
        assert other(torch.rand(1, 3, *LANDSCAPE)).shape == (1, 1, *LANDSCAPE)


def test_the_resnet_encoder_has_torchvisions_names():
    names = set(ResNet50Encoder().state_dict())
    expected = {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.conv1.weight",
        "layer1.0.downsample.0.weight",
        "layer2.3.bn3.bias",
        "layer3.5.conv3.weight",
    }
    assert expected <= names
    assert not any(name.startswith(("layer4", "fc", "mean")) for name in names)
    # 43 convolutions of one tensor, each with a BatchNorm of five
    assert len(names) == 43 * 6


def test_the_resnet_keeps_an_eighth_of_the_resolution():
    coarse, finer = ResNet50Encoder().eval()(torch.rand(1, 3, *PORTRAIT))
    assert coarse.shape == (1, 1024, 12, 8)
    assert [tuple(skip.shape[1:]) for skip in finer] == [(256, 24, 16), (64, 48, 32)]


def test_imagenet_weights_load_from_a_local_file_without_layer4_and_fc(tmp_path):
    source = ResNet50Encoder()
    tensors = {**source.state_dict(), "fc.weight": torch.zeros(1), "layer4.0.conv1.weight": torch.zeros(1)}
    torch.save(tensors, tmp_path / "resnet50.pth")
    encoder = ResNet50Encoder()
    load_resnet(encoder, tmp_path / "resnet50.pth")
    for name, tensor in source.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], tensor)


def test_a_file_that_is_no_resnet_is_refused_in_one_line(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DofkitError, match=r"other\.pth is no torchvision ResNet-50") as caught:
        load_resnet(ResNet50Encoder(), tmp_path / "other.pth")
    assert "\n" not in str(caught.value)
    with pytest.raises(DofkitError, match="no ImageNet weights"):
        load_resnet(ResNet50Encoder(), tmp_path / "absent.pth")


def test_the_configuration_survives_json():
    config = DepthConfig("resnet50", decoder=(64, 32, 16, 8))
    assert DepthConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config
    with pytest.raises(ValueError, match="encoder must be one of"):
        DepthConfig("vgg")  # pyright: ignore[reportArgumentType]


def test_saved_weights_rebuild_the_same_network(network, tmp_path):
    save_weights(network, Stage.DEPTH, tmp_path)
    image = torch.rand(1, 3, *PORTRAIT)
    with torch.no_grad():
        assert torch.equal(load_weights(Stage.DEPTH, tmp_path)(image), network(image))


def test_weights_of_the_network_that_shipped_before_are_refused_in_one_line(tmp_path):
    from safetensors.torch import save_file

    config = {"encoder": "mobile", "pyramid": 96, "decoder": [64, 32, 16]}
    path = weights_file(Stage.DEPTH, tmp_path)
    save_file({"disparity.bias": torch.zeros(1)}, path, {"stage": "depth", "config": json.dumps(config)})
    with pytest.raises(DofkitError, match=r"encoder must be one of .*, not 'mobile'.*another version") as caught:
        load_weights(Stage.DEPTH, tmp_path)
    assert "\n" not in str(caught.value)


def test_the_exported_graph_holds_no_operation_that_converters_expand(network):
    """Adaptive pooling, gathers and 5-D shapes are what mobile runtimes refuse or emulate."""
    program = torch.export.export(network, (torch.rand(1, 3, 96, 128),))
    operations = {str(node.target).split(".")[1] for node in program.graph.nodes if node.op == "call_function"}
    assert operations <= {
        "conv2d", "batch_norm", "relu6", "hardtanh", "add", "sub", "mul", "cat", "pad", "avg_pool2d",
        "upsample_bilinear2d",
    }  # fmt: skip


def test_gradients_reach_every_parameter():
    network = DepthNet().train()
    disparity, foreground = network.heads(torch.rand(2, 3, *SQUARE))
    (disparity.square().mean() + foreground.square().mean()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
