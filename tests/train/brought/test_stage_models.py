"""Rendering networks of others take part by a contract that is measured: what it gets wrong is said in a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.brought.hub import ModelFacts
from dofkit.train.brought.kinds import DepthKind
from dofkit.train.brought.naming import NetworkNames, StageModelName
from dofkit.train.brought.opening import open_depth_model
from dofkit.train.brought.plugins import installed_names
from dofkit.train.brought.reach import Reach, ReachMeter, measured_reach
from dofkit.train.brought.remembering import remembered_reach
from dofkit.train.brought.stage_models import open_stage_model
from dofkit.train.networks import ARCHITECTURES
from dofkit.train.session import plan_of

from .acme import NAME, blocks, install


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path, whose modules are forgotten afterwards."""
    before = set(sys.modules)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(folder):
            del sys.modules[name]


def with_changed(old: str, new: str) -> str:
    module, _ = blocks()
    assert old in module
    return module.replace(old, new)


def test_the_example_is_short_and_takes_part(path: Path) -> None:
    module, project = blocks()
    assert len(module.splitlines()) + len(project.splitlines()) <= 40
    assert f'{NAME} = "acme_blur:AcmeBlur"' in project
    install(path)
    brought = NetworkNames.of(lens_blur=NAME).open()[Stage.LENS_BLUR]
    assert brought.contract.architecture == NAME
    assert brought.terms.licence == "Apache-2.0"
    assert brought.origin.format == "package acme-blur 1.0"
    assert brought.notes == ()
    usual = {stage: ARCHITECTURES.of_stage(stage)[0].contract for stage in (Stage.DEPTH, Stage.GUIDED_UPSAMPLING)}
    assert plan_of({**usual, Stage.LENS_BLUR: brought.contract}).lens_blur.tile == 156
    image, defocus = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert brought.network(image, defocus).shape == image.shape


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("halo=14", "halo=8", r"it sees 11 pixels around an output; say halo=12, not 8"),
        ("align=2", "align=1", "moved by 1 pixels it computes something else"),
        ("Stage.LENS_BLUR", "Stage.DEPTH", "computes depth, not lens_blur"),
        ('"acme_blur", Stage', '"lens_blur", Stage', "architecture 'lens_blur' is dofkit's own"),
        ("image: torch.Tensor, defocus: torch.Tensor", "rgb, defocus", "takes rgb, defocus; a network of lens_blur"),
        (".clamp(0, 1)", " + 1", r"gives values from .* end its forward with \.clamp"),
        (".clamp(0, 1)", "[:, :1]", r"gives \(1, 1, "),
        ("torch.relu(self", "torch.nonsense(self", "cannot compute"),
        (".clamp(0, 1)", ".add(torch.rand(1)).clamp(0, 1)", "gives two results for one input"),
        ("found = torch.relu(", "image.mul_(0.5)\n        found = torch.relu(", "writes into its inputs"),
        ("multiple=2", "multiple=0", "multiples of 0, 32 at least, are no sizes"),
        ("contract =", "promise =", "has no contract"),
        ("super().__init__()", "raise RuntimeError('no licence server\\nfound')", "RuntimeError: no licence server"),
        ("import torch\n", "import torch\nraise SystemExit('out')\n", "cannot be made"),
        ("import torch\n", "import torch, missing_altogether\n", "missing_altogether"),
        ("class AcmeBlur(nn.Module):", "class Other(nn.Module):", "cannot be made"),
        ("class AcmeBlur(nn.Module):", "AcmeBlur = dict\nclass Other(nn.Module):", "makes a dict, no torch.nn.Module"),
        (
            "found = torch.relu(self.down(", "found = torch.relu(self.down(image.mean() + ",
            "depends on the whole picture",
        ),
    ],
)  # fmt: skip
def test_a_contract_that_is_not_kept_is_one_line(path: Path, old: str, new: str, words: str) -> None:
    install(path, with_changed(old, new))
    with pytest.raises(DofkitError, match=words) as refusal:
        StageModelName(Stage.LENS_BLUR, NAME).open()
    assert str(refusal.value).startswith("--lens-blur-model acme_blur")
    assert "\n" not in str(refusal.value)


def test_two_packages_with_one_name_are_both_named(path: Path) -> None:
    install(path)
    install(path, package="acme-other")
    with pytest.raises(DofkitError, match=r"acme-\w+ 1.0 and acme-\w+ 1.0 both bring a network of this name"):
        open_stage_model(NAME, Stage.LENS_BLUR)


def test_the_working_folder_is_not_looked_in(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = install(tmp_path / "downloads", "raise AssertionError('it ran')\n", name="evil")
    monkeypatch.chdir(evil)
    for entry in ("", str(evil)):  # as `python -c` and `python -m` put it
        monkeypatch.setattr(sys, "path", [entry, *sys.path])
        assert "evil" not in installed_names()
        with pytest.raises(DofkitError, match="no installed package brings a network called 'evil'"):
            open_stage_model("evil", Stage.LENS_BLUR)
    # A module of that folder does not stand in for one of the package's either.
    install(path)
    assert open_stage_model(NAME, Stage.LENS_BLUR).contract.architecture == NAME


class _Seeing(nn.Module):
    """A mean over a square of 2·radius + 1 pixels, on a grid of a stride."""

    def __init__(self, radius: int, stride: int = 1) -> None:
        super().__init__()
        self.radius, self.stride = radius, stride

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        side = 2 * self.radius + 1
        mean = nn.functional.avg_pool2d(image + 0 * defocus, side, 1, self.radius)
        small = nn.functional.avg_pool2d(mean, self.stride)
        return nn.functional.interpolate(small, scale_factor=float(self.stride), mode="nearest").clamp(0, 1)


@pytest.mark.parametrize(("radius", "stride"), [(0, 1), (3, 1), (5, 2), (2, 4)])
def test_reach_and_alignment_are_measured(radius: int, stride: int) -> None:
    reach = measured_reach(ReachMeter(_Seeing(radius, stride), Stage.LENS_BLUR, 64), 64)
    assert reach is not None
    assert reach.align == stride
    # Aligned borders lie between the blocks of the grid: only the mean looks across.
    assert reach.halo == -(-radius // stride) * stride


@pytest.mark.parametrize(
    "network",
    [
        lambda image, defocus: (image - image.mean()).clamp(0, 1),
        lambda image, defocus: image * torch.linspace(0, 1, image.shape[-1]),
        lambda image, defocus: image * torch.linspace(0, 1, image.shape[-2])[:, None],
        lambda image, defocus: image.flip(-2),
    ],
)
def test_what_looks_over_the_whole_picture_has_no_halo(network: nn.Module) -> None:
    assert measured_reach(ReachMeter(network, Stage.LENS_BLUR, 32), 32) is None


def saved(network: nn.Module, example: tuple[torch.Tensor, ...], goal: Path) -> Path:
    torch.export.save(torch.export.export(network.eval(), example), goal)
    return goal


class _Up(nn.Module):
    """Twice the size of what was blurred, its arguments in an order of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(7, 12, 3, padding=1)

    def forward(
        self, defocus_low: torch.Tensor, image_low: torch.Tensor, blurred_low: torch.Tensor, image_high: torch.Tensor
    ) -> torch.Tensor:
        found = nn.functional.pixel_shuffle(self.layer(torch.cat([image_low, blurred_low, defocus_low], 1)), 2)
        return (image_high + 0.1 * found).clamp(0, 1)


def low_and_high(side: int) -> tuple[torch.Tensor, ...]:
    low = torch.rand(1, 3, side, side)
    return torch.rand(1, 1, side, side), low, 1 - low, torch.rand(1, 3, 2 * side, 2 * side)


def test_a_program_says_its_tile_and_its_arguments_are_found_by_their_names(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network, inputs = _Up(), low_and_high(32)
    brought = open_stage_model(str(saved(network, inputs, tmp_path / "up.pt2")), Stage.GUIDED_UPSAMPLING)
    assert (brought.contract.halo, brought.contract.align) == (1, 1)
    assert brought.contract.size.problem(32, 32) == ""
    assert "takes 32×32 only" in brought.contract.size.problem(64, 64)
    assert "names no licence" in brought.notes[0]
    defocus, low, blurred, high = inputs
    with torch.inference_mode():
        assert torch.equal(brought.network(high, low, blurred, defocus), network(*inputs))


def test_a_program_is_measured_once_and_again_where_what_was_remembered_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(tmp_path / "cache"))
    runs: list[int] = []

    def measure() -> Reach:
        runs.append(1)
        return Reach(12, 2)

    for digest, expected in (("a", 1), ("a", 1), ("b", 2)):
        assert remembered_reach(Stage.LENS_BLUR, digest, measure) == Reach(12, 2)
        assert len(runs) == expected
    assert remembered_reach(Stage.GUIDED_UPSAMPLING, "a", measure) == Reach(12, 2)
    assert len(runs) == 3, "another stage has other inputs"
    for path in (tmp_path / "cache" / "reach").iterdir():
        path.write_text('{"halo": -1, "align": 2}')
    assert remembered_reach(Stage.LENS_BLUR, "a", measure) == Reach(12, 2)
    assert len(runs) == 4


def test_what_was_refused_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(tmp_path / "cache"))

    def refuse() -> Reach:
        raise DofkitError("no picture")

    for _ in range(2):
        with pytest.raises(DofkitError, match="no picture"):
            remembered_reach(Stage.LENS_BLUR, "a", refuse)
    monkeypatch.setenv("DOFKIT_CACHE", "/dev/null/nowhere")
    assert remembered_reach(Stage.LENS_BLUR, "a", lambda: Reach(4, 1)) == Reach(4, 1), (
        "nowhere to write costs time only"
    )


@pytest.mark.parametrize(
    ("stage", "inputs", "words"),
    [
        (Stage.LENS_BLUR, low_and_high(16), "a network of lens_blur takes image, defocus"),
        (Stage.GUIDED_UPSAMPLING, (*low_and_high(16)[:3], torch.rand(1, 3, 32, 34)), r"image_high is \(1, 3, 32, 34\)"),
    ],
)
def test_a_program_of_other_inputs_is_refused(
    tmp_path: Path, stage: Stage, inputs: tuple[torch.Tensor, ...], words: str
) -> None:
    class Network(_Up):
        def forward(
            self,
            defocus_low: torch.Tensor,
            image_low: torch.Tensor,
            blurred_low: torch.Tensor,
            image_high: torch.Tensor,
        ) -> torch.Tensor:
            return image_high.clamp(0, 1) + 0 * (defocus_low.mean() + image_low.mean() + blurred_low.mean())

    with pytest.raises(DofkitError, match=words):
        open_stage_model(str(saved(Network(), inputs, tmp_path / "up.pt2")), stage)


def test_torchscript_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "up.pt"
    torch.jit.save(torch.jit.trace(nn.Conv2d(3, 3, 3), torch.zeros(1, 3, 8, 8)), path)
    with pytest.raises(DofkitError, match="is TorchScript"):
        open_stage_model(str(path), Stage.GUIDED_UPSAMPLING)


def test_a_depth_network_of_a_package_says_what_its_map_means(path: Path) -> None:
    depth = """
import torch
from torch import nn
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.networks.contract import Meaning, NetworkContract, Preprocessing, SizeRule

class AcmeBlur(nn.Module):
    contract = NetworkContract(
        "acme_depth", Stage.DEPTH, SizeRule(multiple=8, least=8, usual=((16, 24),)), meaning=Meaning.DEPTH,
        preprocessing=Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    )

    def forward(self, image):
        return image.mean(dim=1, keepdim=True) + 3
"""
    install(path, depth, name="acme_depth")
    brought = open_depth_model("acme_depth")
    image = torch.rand(1, 3, 16, 24)
    inverse = 1 / ((image.double() - 0.5) / 0.5).mean(dim=1, keepdim=True).add(3)
    wanted = (inverse - inverse.min()) / (inverse.max() - inverse.min())
    assert (brought.network(image) - wanted).abs().max() < 1e-5
    assert brought.origin.kind == "depth"
    with pytest.raises(DofkitError, match="leave --depth-kind and -normalisation out"):
        open_depth_model("acme_depth", ModelFacts(kind=DepthKind.METRIC))
    module = path / "acme_blur.py"
    module.write_text(depth.replace("meaning=Meaning.DEPTH,", ""))
    del sys.modules["acme_blur"]
    with pytest.raises(DofkitError, match="does not say what its map means"):
        open_depth_model("acme_depth")


@pytest.mark.parametrize("text", ["nowhere.pt2", "a/b", "acme_nowhere", "."])
def test_what_is_not_there_is_named(text: str) -> None:
    with pytest.raises(DofkitError, match=r"torch\.export or the name of a network|no installed package brings"):
        open_stage_model(text, Stage.LENS_BLUR)
