"""What is refused with a line, what folders say of themselves, and what their maps become."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train import shipped
from dofkit.train.brought.families import FAMILIES
from dofkit.train.brought.kinds import DepthKind, depth_kind
from dofkit.train.brought.networks import one_map
from dofkit.train.brought.opening import open_depth_model
from dofkit.train.brought.terms import card_licence, warnings_of
from dofkit.train.networks.adapted import AdaptedDepth, _missing
from dofkit.train.networks.contract import Meaning, Preprocessing
from dofkit.train.weights.terms import Terms


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("affine-invariant", "no zero to invert at"),
        ("canopy-height", "canopy heights say how tall trees are"),
        ("depth", "no such kind; there are disparity, metric, scale-invariant"),
    ],
)
def test_what_has_no_disparity_is_refused_with_the_reason(kind: str, words: str) -> None:
    with pytest.raises(DofkitError, match=words):
        depth_kind(kind)


def test_canopy_heights_are_known_by_their_class() -> None:
    assert FAMILIES["chmv2"].kind(None) == "canopy-height"


def test_metric_depth_anything_is_told_from_the_relative_one() -> None:
    kind = FAMILIES["depth_anything"].kind
    assert kind(SimpleNamespace(depth_estimation_type="relative")) == DepthKind.DISPARITY.value
    assert kind(SimpleNamespace(depth_estimation_type="metric")) == DepthKind.METRIC.value


@pytest.mark.parametrize(
    ("front", "licence"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ('license: "cc-by-nc-4.0"', "cc-by-nc-4.0"),
        ("license: other\nlicense_name: apple-amlr\nlicense_link: LICENSE", "apple-amlr"),
        ("tags:\n- depth", ""),
    ],
)
def test_the_licence_is_what_a_folders_card_names(tmp_path: Path, front: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# Model\nlicense: not this\n")
    assert card_licence(tmp_path) == licence


@pytest.mark.parametrize("licence", ["cc-by-nc-4.0", "apple-amlr", "for research only", "non-commercial"])
def test_terms_that_keep_products_out_warn(licence: str) -> None:
    (line,) = warnings_of(Terms(licence=licence))
    assert "does not let a product use it" in line


def test_no_licence_warns_and_a_free_one_does_not() -> None:
    assert "names no licence" in warnings_of(Terms())[0]
    assert warnings_of(Terms(licence="apache-2.0")) == ()
    assert warnings_of(Terms(licence="once-ncurses")) == ()


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e4])
@pytest.mark.parametrize("meaning", [Meaning.INVERSE_DEPTH, Meaning.DEPTH])
def test_a_disparity_does_not_depend_on_the_networks_scale(meaning: Meaning, scale: float) -> None:
    map_ = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1)) + 0.2

    class Given(torch.nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image[:, :1] * self.factor

    maps = [AdaptedDepth(Given(factor), Preprocessing(), meaning)(map_.expand(1, 3, 8, 8)) for factor in (1.0, scale)]
    np.testing.assert_allclose(maps[1].numpy(), maps[0].numpy(), atol=1e-4)
    assert maps[1].min() == 0
    assert float(maps[1].max()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("meaning", [Meaning.INVERSE_DEPTH, Meaning.DEPTH])
@pytest.mark.parametrize("value", [0.0, 3.0, 20000.0])
def test_a_flat_prediction_stays_flat_and_finite(meaning: Meaning, value: float) -> None:
    class Flat(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image[:, :1] * 0 + value + 1e-6 * value * image[:, :1]  # rounding noise

    found = AdaptedDepth(Flat(), Preprocessing(), meaning)(torch.rand(1, 3, 8, 8)).numpy()
    assert np.isfinite(found).all()
    assert np.ptp(found) < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_only_a_divisor_that_is_gone_is_replaced(dtype: torch.dtype) -> None:
    there = torch.tensor([1e-6, 6.2e-5, 0.3, 1.0, 7.0, 60000.0], dtype=dtype)
    assert not _missing(there).any()
    assert _missing(torch.zeros(2, dtype=dtype)).tolist() == [1, 1]


def test_a_map_is_found_in_what_networks_give() -> None:
    map_ = torch.rand(1, 4, 6)
    assert one_map(map_).shape == (1, 1, 4, 6)
    assert one_map({"confidence": torch.zeros(2), "depth": map_}).shape == (1, 1, 4, 6)
    assert one_map((map_, None)).shape == (1, 1, 4, 6)
    with pytest.raises(DofkitError, match=r"gives \[1, 2, 4, 6\], not one map"):
        one_map(torch.rand(1, 2, 4, 6))


def test_a_weights_file_of_ours_takes_part_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(shipped.weights_file(Stage.DEPTH, shipped.SHIPPED).read_bytes())
    brought = open_depth_model(str(path))
    assert brought.stage is Stage.DEPTH
    assert brought.contract.architecture == "efficientnet_lite_depth"
    assert "research only" in brought.terms.licence


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.pt2", "there is no such file or folder"),
        ("nowhere/at/all", "there is no such file or folder"),
        ("mine.txt", "its suffix is of no known kind"),
    ],
)
def test_what_is_not_there_or_unknown_is_named(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(DofkitError, match=words):
        open_depth_model(str(tmp_path / name))


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match=r"has no config\.json; give a folder that save_pretrained"):
        open_depth_model(str(tmp_path))
