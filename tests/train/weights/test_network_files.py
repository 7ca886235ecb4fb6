"""Files of generative models: what is written is read again, what does not fit is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.argan_config import ArganConfig
from dofkit.train.networks.aperture_generator import ApertureGenerator
from dofkit.train.networks.cyclegan import Translator, TranslatorConfig
from dofkit.train.weights.generative import GENERATOR, TRANSLATOR


def generator_file(folder: Path) -> Path:
    return GENERATOR.save(ApertureGenerator(ArganConfig(size=32, width=4)), folder)


def translator_file(folder: Path) -> Path:
    torch.manual_seed(0)
    network = Translator(TranslatorConfig(4, 2))
    torch.nn.init.normal_(network.layers[-1].weight, std=0.01)  # pyright: ignore[reportArgumentType]
    return TRANSLATOR.save(network, folder)


KINDS = pytest.mark.parametrize(
    ("load", "write", "other", "command"),
    [
        (GENERATOR.load, generator_file, translator_file, "dofkit train argan"),
        (TRANSLATOR.load, translator_file, generator_file, "dofkit train cyclegan"),
    ],
)


def test_a_translator_comes_back_in_half_precision_from_file_or_folder(tmp_path: Path) -> None:
    path = translator_file(tmp_path / "run")
    torch.manual_seed(0)
    written = Translator(TranslatorConfig(4, 2))
    torch.nn.init.normal_(written.layers[-1].weight, std=0.01)  # pyright: ignore[reportArgumentType]
    for place in (path, tmp_path / "run"):
        read = TRANSLATOR.load(place)
        assert read.config == written.config
        assert not read.training
        for name, tensor in written.state_dict().items():
            assert read.state_dict()[name].equal(tensor.half().float()), name


@KINDS
def test_a_missing_file_names_the_training(load: Callable, write: Callable, other: Callable, command: str) -> None:
    with pytest.raises(DofkitError, match=f"does not exist; train one with `{command}`"):
        load(Path("nowhere.safetensors"))


@KINDS
def test_a_damaged_file_is_refused(
    tmp_path: Path, load: Callable, write: Callable, other: Callable, command: str
) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DofkitError, match="is not a readable safetensors file"):
        load(path)


@KINDS
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, load: Callable, write: Callable, other: Callable, command: str
) -> None:
    with pytest.raises(DofkitError, match=rf"holds no .*; give the .*\.safetensors of `{command}`"):
        load(other(tmp_path))


@pytest.mark.parametrize("config", ['{"width": 8, "blocks": 2}', '{"depth": 3}', "nothing", "{}", "[]", '{"width": 0}'])
def test_tensors_that_do_not_fit_the_configuration_are_refused_in_one_line(tmp_path: Path, config: str) -> None:
    tensors = TRANSLATOR.load(translator_file(tmp_path)).state_dict()
    save_file(tensors, tmp_path / "wrong.safetensors", {"kind": "deep to shallow translator", "config": config})
    with pytest.raises(DofkitError, match="does not fit its network") as refused:
        TRANSLATOR.load(tmp_path / "wrong.safetensors")
    assert "\n" not in str(refused.value)
