"""What a weights file says: its architecture, and whose it is."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.train.networks import ARCHITECTURES, Architecture, GuidedUpsamplingConfig, GuidedUpsamplingNet
from dofkit.train.weights import (
    RESEARCH_ONLY,
    SHIPPED,
    Terms,
    contract_of_weights,
    load_weights,
    save_weights,
    terms_of_weights,
    weights_file,
)

STAGE = Stage.GUIDED_UPSAMPLING


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def rewrite(path: Path, **changes: str | None) -> None:
    """Change texts of a file's metadata; None leaves one out."""
    texts = {key: text for key, text in {**metadata_of(path), **changes}.items() if text is not None}
    save_file(load_file(path), path, texts)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The file of a small network."""
    torch.manual_seed(1)
    return save_weights(GuidedUpsamplingNet(GuidedUpsamplingConfig(width=8)), STAGE, tmp_path)


class _Other(GuidedUpsamplingNet):
    """The same layers under another name, and one more."""

    def __init__(self, config: GuidedUpsamplingConfig | None = None) -> None:
        super().__init__(config)
        self.more = torch.nn.Conv2d(1, 1, 1)


@pytest.fixture
def two() -> tuple[Architecture, Architecture]:
    """The shipped architecture and another one of its stage."""
    own = ARCHITECTURES.named("guided_upsampling")
    contract = dataclasses.replace(own.contract, architecture="other", arrangements={})
    return own, Architecture(contract, _Other, GuidedUpsamplingConfig)


def test_a_file_names_its_architecture(written: Path) -> None:
    assert metadata_of(written)["architecture"] == "guided_upsampling"
    assert contract_of_weights(STAGE, written.parent) is ARCHITECTURES.named("guided_upsampling").contract


def test_a_file_of_before_is_read_though_it_names_none(written: Path, two: tuple[Architecture, Architecture]) -> None:
    before = load_weights(STAGE, written.parent).state_dict()
    rewrite(written, architecture=None)
    for architectures in (ARCHITECTURES, ARCHITECTURES.including(two[1])):  # with one that fits, and one that does not
        network = load_weights(STAGE, written.parent, architectures)
        assert type(network) is GuidedUpsamplingNet
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_file_decides_between_two_architectures_of_a_stage(
    tmp_path: Path, two: tuple[Architecture, Architecture]
) -> None:
    both = ARCHITECTURES.including(two[1])
    path = save_weights(_Other(), STAGE, tmp_path, architectures=both)
    assert metadata_of(path)["architecture"] == "other"
    assert type(load_weights(STAGE, tmp_path, both)) is _Other
    with pytest.raises(
        DofkitError, match="no architecture is called 'other'; there are efficientnet_lite_depth"
    ) as refusal:
        load_weights(STAGE, tmp_path)
    assert "\n" not in str(refusal.value)


def test_an_architecture_of_another_stage_is_refused(written: Path) -> None:
    rewrite(written, architecture="lens_blur")
    with pytest.raises(DofkitError, match="computes lens_blur, not guided_upsampling"):
        load_weights(STAGE, written.parent)


@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_shipped_weights_are_for_research_wherever_they_lie(stage: Stage, tmp_path: Path) -> None:
    shutil.copy(weights_file(stage, SHIPPED), tmp_path)
    assert terms_of_weights(stage, tmp_path) == terms_of_weights(stage) == RESEARCH_ONLY
    card = (SHIPPED / "MODEL_CARD.md").read_text()
    assert "research only" in card
    assert "research only" in RESEARCH_ONLY.licence


def test_weights_of_yours_say_what_you_say_and_else_nothing(written: Path) -> None:
    assert terms_of_weights(STAGE, written.parent) == Terms()
    said = Terms(licence="CC-BY-4.0", author="a team")
    save_weights(GuidedUpsamplingNet(), STAGE, written.parent, said)
    assert terms_of_weights(STAGE, written.parent) == said
    assert "provenance" not in metadata_of(written)
