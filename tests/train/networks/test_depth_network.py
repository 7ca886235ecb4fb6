"""The depth network's promises: range, normalisation, size, names, and an export-friendly graph."""

import dataclasses
import json

import pytest
import torch

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.networks.depth import DepthConfig, DepthNet, load_imagenet
from dofkit.train.networks.depth_encoders import ResNet50Encoder
from dofkit.train.weights import load_weights, save_weights


@pytest.fixture(scope="module")
def network() -> DepthNet:
    torch.manual_seed(0)
    return DepthNet().eval()


def test_disparity_covers_zero_to_one_in_every_photo_by_itself(network):
    images = torch.rand(2, 3, 128, 128)
    images[1] *= 0.3
    with torch.no_grad():
        # a random network is nearly flat: widen its logits so that the eps of the normalisation does not count
        network.disparity.weight.mul_(100)
        disparity = network(images)
    assert disparity.shape == (2, 1, 128, 128)
    assert torch.equal(disparity.amin(dim=(1, 2, 3)), torch.zeros(2))
    assert (disparity.amax(dim=(1, 2, 3)) > 0.98).all()
    assert disparity.max() <= 1


def test_a_constant_prediction_gives_zeros_not_nan(network):
    flat = DepthNet().eval()
    torch.nn.init.zeros_(flat.disparity.weight)
    assert torch.equal(flat(torch.rand(1, 3, 128, 128)), torch.zeros(1, 1, 128, 128))


def test_disparity_does_not_depend_on_the_rest_of_the_batch(network):
    images = torch.rand(3, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[1:2], network(images[1:2]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [128, 256, 384])
def test_logits_have_the_input_size(network, size):
    with torch.no_grad():
        disparity, foreground = network.logits(torch.rand(1, 3, size, size))
    assert disparity.shape == foreground.shape == (1, 1, size, size)


def test_the_mobile_network_stays_below_three_million_parameters(network):
    assert sum(parameter.numel() for parameter in network.parameters()) <= 3_000_000


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
    coarse, finer = ResNet50Encoder().eval()(torch.rand(1, 3, 128, 128))
    assert coarse.shape == (1, 1024, 16, 16)
    assert [None if skip is None else tuple(skip.shape[1:]) for skip in finer] == [(256, 32, 32), (64, 64, 64), None]


def test_imagenet_weights_load_from_a_local_file_without_layer4_and_fc(tmp_path):
    source = ResNet50Encoder()
    tensors = {**source.state_dict(), "fc.weight": torch.zeros(1), "layer4.0.conv1.weight": torch.zeros(1)}
    torch.save(tensors, tmp_path / "resnet50.pth")
    encoder = ResNet50Encoder()
    load_imagenet(encoder, tmp_path / "resnet50.pth")
    for name, tensor in source.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], tensor)


def test_a_file_that_is_no_resnet_is_refused_in_one_line(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DofkitError, match=r"other\.pth is no torchvision ResNet-50") as caught:
        load_imagenet(ResNet50Encoder(), tmp_path / "other.pth")
    assert "\n" not in str(caught.value)
    with pytest.raises(DofkitError, match="no ImageNet weights"):
        load_imagenet(ResNet50Encoder(), tmp_path / "absent.pth")


def test_the_configuration_survives_json():
    config = DepthConfig("resnet50", decoder=(32, 16, 8))
    assert DepthConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config
    with pytest.raises(ValueError, match="encoder must be one of"):
        DepthConfig("vgg")  # pyright: ignore[reportArgumentType]


def test_saved_weights_rebuild_the_same_network(network, tmp_path):
    save_weights(network, Stage.DEPTH, tmp_path)
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(load_weights(Stage.DEPTH, tmp_path)(image), network(image))


def test_the_exported_graph_holds_no_operation_that_converters_expand(network):
    """Adaptive pooling, gathers and 5-D shapes are what mobile runtimes refuse or emulate."""
    program = torch.export.export(network, (torch.rand(1, 3, 384, 384),))
    operations = {str(node.target).split(".")[1] for node in program.graph.nodes if node.op == "call_function"}
    assert operations <= {
        "conv2d", "batch_norm", "relu_", "relu", "add", "sub", "div", "cat", "sigmoid", "amax", "amin",
        "avg_pool2d", "upsample_bilinear2d",
    }  # fmt: skip


def test_gradients_reach_every_parameter():
    network = DepthNet().train()
    disparity, foreground = network.logits(torch.rand(2, 3, 128, 128))
    (disparity.square().mean() + foreground.square().mean()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
