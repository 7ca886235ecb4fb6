"""What contracts promise, held against the networks themselves, for every architecture in the registry."""

from __future__ import annotations

import copy
import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Target
from dofkit.train.networks import ARCHITECTURES, Architecture, Meaning, Preprocessing, SizeRule
from dofkit.train.networks.adapted import AdaptedDepth, adapted, core
from dofkit.train.rendering.baselines.direct import WITH_DIRECT

# Those of every size; the form of fixed shapes has tests of its own, see `test_focal_graph`.
ALL = [pytest.param(entry, id=entry.contract.architecture) for entry in WITH_DIRECT if entry.contract.fixed is None]


@cache
def random_network(architecture: str) -> torch.nn.Module:
    """Random weights, and statistics of a random batch: with untrained ones the signal fades."""
    entry = WITH_DIRECT.named(architecture)
    torch.manual_seed(5)
    network = entry.network()
    for parameter in network.parameters():
        if parameter.requires_grad and parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(*random_inputs(entry, 2))
    return network.eval()


def random_inputs(entry: Architecture, batch: int = 1, target: Target | None = None) -> list[torch.Tensor]:
    """Inputs of the least size that the contract allows, in files of a target if one is given."""
    rule = entry.contract.size if target is None else entry.contract.size_for(target)
    generator = torch.Generator().manual_seed(1)
    side = -(-rule.least // rule.multiple) * rule.multiple
    shapes = [(batch, s.channels, s.scale * side, s.scale * side) for s in entry.contract.inputs]
    return [torch.rand(shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("entry", ALL)
def test_the_form_for_a_target_is_the_same_function(entry: Architecture, target: Target) -> None:
    network, inputs = random_network(entry.contract.architecture), random_inputs(entry, target=target)
    arranged = entry.contract.arrange(network, target)
    assert not arranged.training
    exact_inputs = [x.double() for x in inputs]
    with torch.no_grad():
        exact = copy.deepcopy(network).double()(*exact_inputs)
        exactly = copy.deepcopy(arranged).double()(*exact_inputs)
        lost = float((network(*inputs) - exact).abs().max())  # by float32 alone, of random weights
        found = arranged(*inputs).double()
    assert exact.std() > 0.01
    torch.testing.assert_close(exactly, exact, rtol=0, atol=max(3e-6, 4 * lost))
    torch.testing.assert_close(found, exact, rtol=0, atol=max(4e-6, 8 * lost))


@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("entry", ALL)
def test_layers_to_keep_exact_are_convolutions_of_that_form(entry: Architecture, target: Target) -> None:
    arranged = entry.contract.arrange(random_network(entry.contract.architecture), target)
    for name in entry.contract.exact_layers(target):
        assert isinstance(arranged.get_submodule(name), torch.nn.Conv2d)


@pytest.mark.parametrize("entry", ALL)
def test_the_least_size_is_taken_and_gives_an_output_of_the_declared_kind(entry: Architecture) -> None:
    contract, inputs = entry.contract, random_inputs(entry)
    height, width = inputs[0].shape[2] // contract.inputs[0].scale, inputs[0].shape[3] // contract.inputs[0].scale
    assert contract.size.problem(height, width) == ""
    with torch.no_grad():
        output = random_network(entry.contract.architecture)(*inputs)
    signal = contract.output
    assert output.shape == (1, signal.channels, signal.scale * height, signal.scale * width)
    if contract.architecture != "direct_blur":  # a baseline, which nothing bounds
        assert signal.low <= float(output.min()) <= float(output.max()) <= signal.high


def test_every_stage_has_an_architecture_and_their_names_are_their_own() -> None:
    assert {entry.contract.stage for entry in ARCHITECTURES} == {*PIPELINE_STAGES, Stage.FOCAL_DEPTH}
    assert len({entry.contract.architecture for entry in WITH_DIRECT}) == len(list(WITH_DIRECT))


@pytest.mark.parametrize(
    ("rule", "size", "words"),
    [
        (SizeRule(multiple=32, least=64), (96, 64), ""),
        (SizeRule(multiple=32, least=64), (96, 100), "100 is no multiple of 32; take 96 or 128"),
        (SizeRule(multiple=32, least=64), (32, 96), "32 is too small; the least side is 64"),
        (SizeRule(multiple=128, least=128, square=True), (128, 256), "128×256 is not square"),
    ],
)
def test_a_size_that_a_network_does_not_take_is_named_with_one_that_it_takes(
    rule: SizeRule, size: tuple[int, int], words: str
) -> None:
    problem = rule.problem(*size)
    assert words in problem
    assert bool(problem) == bool(words)


def test_a_network_of_no_architecture_is_refused() -> None:
    with pytest.raises(DofkitError, match=r"Conv2d is of no known architecture .* register it"):
        ARCHITECTURES.contract_of(torch.nn.Conv2d(1, 1, 1))


class _Ramp(torch.nn.Module):
    """Gives the first colour back, as it was given."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[:, :1]


@pytest.mark.parametrize("meaning", [Meaning.INVERSE_DEPTH, Meaning.DEPTH])
def test_a_brought_depth_network_gives_a_disparity_of_normalised_input(meaning: Meaning) -> None:
    depth = ARCHITECTURES.of_stage(Stage.DEPTH)[0].contract
    contract = dataclasses.replace(depth, meaning=meaning, preprocessing=Preprocessing((0.2, 0, 0), (0.5, 1, 1)))
    ramp = torch.linspace(0.3, 0.9, 64).reshape(1, 1, 8, 8)
    seen = (ramp.numpy() - 0.2) / 0.5
    expected = seen if meaning is Meaning.INVERSE_DEPTH else 1 / seen
    expected = (expected - expected.min()) / np.ptp(expected)
    network = adapted(_Ramp(), contract)
    found = network(ramp.expand(1, 3, 8, 8)).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3)  # a flat prediction's noise is not blown up
    assert isinstance(network, AdaptedDepth)
    assert isinstance(core(network), _Ramp)


def test_a_network_that_gives_what_the_pipeline_wants_is_not_wrapped() -> None:
    network = _Ramp()
    assert adapted(network, ARCHITECTURES.of_stage(Stage.DEPTH)[0].contract) is network
