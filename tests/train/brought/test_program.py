"""Exported programs come back as they were, and nothing that could run code is read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.brought.hub import ModelFacts
from dofkit.train.brought.kinds import DepthKind
from dofkit.train.brought.opening import open_depth_model

SIZE = (24, 40)


class _Depth(torch.nn.Module):
    """Some depth, positive, at half the resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 1, 3, stride=2, padding=1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.layer(image).abs().squeeze(1) + 1,)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    torch.manual_seed(3)
    network = _Depth().eval()
    path = tmp_path_factory.mktemp("program") / "mine.pt2"
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, *SIZE),)), path)
    return path, network


def changed(source: Path, goal: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    """The archive with other members; None leaves one out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(goal, "w") as new:
        for name in old.namelist():
            member = change(name, old.read(name))
            if member is not None:
                new.writestr(*member)
    return goal


def test_a_program_gives_the_disparity_of_its_depth_in_the_images_size(
    written: tuple[Path, torch.nn.Module],
) -> None:
    path, network = written
    brought = open_depth_model(str(path), ModelFacts(kind=DepthKind.METRIC))
    assert brought.contract.size.usual == (SIZE,)
    image = torch.rand(1, 3, *SIZE)
    with torch.inference_mode():
        found, depth = brought.network(image), network(image)[0]
    assert found.shape == (1, 1, *SIZE)
    full = torch.nn.functional.interpolate(depth[None], SIZE, mode="bilinear").numpy()
    inverse = 1 / full
    expected = (inverse - inverse.min()) / np.ptp(inverse)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_another_size_is_resized_inside(written: tuple[Path, torch.nn.Module]) -> None:
    brought = open_depth_model(str(written[0]), ModelFacts(kind=DepthKind.METRIC))
    with torch.inference_mode():
        assert brought.network(torch.rand(1, 3, 48, 40)).shape == (1, 1, 48, 40)


def test_what_a_program_gives_must_be_said(written: tuple[Path, torch.nn.Module]) -> None:
    with pytest.raises(DofkitError, match="does not say what it gives; say it with --depth-kind"):
        open_depth_model(str(written[0]))


def test_torchscript_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Conv2d(3, 1, 3), torch.zeros(1, 3, 8, 8)), path)
    with pytest.raises(DofkitError, match=r"TorchScript.*export the network with torch\.export"):
        open_depth_model(str(path), ModelFacts(kind=DepthKind.METRIC))


def test_a_pickle_of_weights_is_no_network(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "mine.pt")
    with pytest.raises(DofkitError, match="a pickle of weights is no network"):
        open_depth_model(str(tmp_path / "mine.pt"), ModelFacts(kind=DepthKind.METRIC))
    (tmp_path / "mine.pth").write_bytes(b"x")
    with pytest.raises(DofkitError, match="is a pickle of weights, no network"):
        open_depth_model(str(tmp_path / "mine.pth"))


def _with_field(name: str, content: bytes, key: str, value: Any) -> bytes:
    """The first such field of a JSON member, changed."""
    document = json.loads(content)
    left = [document]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if key in each:
                each[key] = value
                return json.dumps(document).encode()
            left += each.values()
        elif isinstance(each, list):
            left += each
    raise AssertionError(f"{name} has no {key}")


@pytest.mark.parametrize(
    ("member", "key", "value", "words"),
    [
        ("model.json", "target", "torch.hub.load", "calls 'torch.hub.load', which is no operator"),
        ("model.json", "target", "torch.ops.mine.run.default", "no operator of PyTorch's own"),
        ("model_weights_config.json", "use_pickle", True, "pickled tensors"),
        ("model.json", "as_int", {"expr_str": "__import__('os').abort()"}, "sizes that change"),
    ],
)
def test_a_graph_that_could_run_code_is_refused_before_it_is_read(
    written: tuple[Path, torch.nn.Module], tmp_path: Path, member: str, key: str, value: Any, words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def change(name: str, content: bytes) -> tuple[str, bytes]:
        return name, _with_field(name, content, key, value) if name.endswith(f"/{member}") else content

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("it was read")

    path = changed(written[0], tmp_path / "bad.pt2", change)
    monkeypatch.setattr(torch.export, "load", refuse)
    with pytest.raises(DofkitError, match=words):
        open_depth_model(str(path), ModelFacts(kind=DepthKind.METRIC))


@pytest.mark.parametrize("extra", ["mine/data/aotinductor/model/run.so", "mine/data/constants/custom_obj_0"])
def test_members_beyond_tensors_are_refused(written: tuple[Path, torch.nn.Module], tmp_path: Path, extra: str) -> None:
    path = changed(written[0], tmp_path / "bad.pt2", lambda name, content: (name, content))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(extra, b"anything")
    with pytest.raises(DofkitError, match="which a reader would have to trust"):
        open_depth_model(str(path), ModelFacts(kind=DepthKind.METRIC))


def test_a_pickle_among_sample_inputs_runs_nothing(written: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (ran,))

    torch.save((Bomb(),), tmp_path / "inputs.pt")
    bomb = (tmp_path / "inputs.pt").read_bytes()

    def change(name: str, content: bytes) -> tuple[str, bytes]:
        return name, bomb if "/sample_inputs/" in name else content

    path = changed(written[0], tmp_path / "bad.pt2", change)
    with pytest.raises(DofkitError, match="cannot be read"):
        open_depth_model(str(path), ModelFacts(kind=DepthKind.METRIC))
    assert not ran.exists()


def test_an_archive_that_swells_when_it_is_read_is_refused_unread(
    written: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    path = tmp_path / "bomb.pt2"
    with zipfile.ZipFile(written[0]) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.writestr("mine/models/large.json", b"[" * 50_000_000)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DofkitError, match="which no exported program does"):
        open_depth_model(str(path), ModelFacts(kind=DepthKind.METRIC))


def test_a_member_that_stands_twice_is_refused(written: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    path = changed(written[0], tmp_path / "bad.pt2", lambda name, content: (name, content))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(next(name for name in archive.namelist() if name.endswith(".json")), b"{}")
    with pytest.raises(DofkitError, match="twice, which no exported program does"):
        open_depth_model(str(path), ModelFacts(kind=DepthKind.METRIC))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.pt2").write_bytes(content)
    with pytest.raises(DofkitError, match="is no exported program"):
        open_depth_model(str(tmp_path / "mine.pt2"), ModelFacts(kind=DepthKind.METRIC))


def test_half_a_program_and_deep_json_are_one_line(written: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    half = tmp_path / "half.pt2"
    half.write_bytes(written[0].read_bytes()[: written[0].stat().st_size // 2])

    def deep(name: str, content: bytes) -> tuple[str, bytes]:
        return name, b"[" * 100_000 if name.endswith("/model.json") else content

    for path in (half, changed(written[0], tmp_path / "deep.pt2", deep)):
        with pytest.raises(DofkitError, match="is no exported program") as refusal:
            open_depth_model(str(path), ModelFacts(kind=DepthKind.METRIC))
        assert "\n" not in str(refusal.value)


def test_an_image_of_gigapixels_is_refused_before_one_is_made(
    written: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    def wide(name: str, content: bytes) -> tuple[str, bytes]:
        if not name.endswith("/model.json"):
            return name, content
        found = content.replace(b'"as_int": 40', b'"as_int": 4000000')
        assert found != content
        return name, found

    path = changed(written[0], tmp_path / "wide.pt2", wide)
    with pytest.raises(DofkitError, match=r"24×4000000 is more than 16 megapixels"):
        open_depth_model(str(path), ModelFacts(kind=DepthKind.METRIC))


def test_several_inputs_are_refused_with_their_shapes(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a + b

    path = tmp_path / "two.pt2"
    torch.export.save(torch.export.export(Two(), (torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))), path)
    with pytest.raises(DofkitError, match="not one image"):
        open_depth_model(str(path), ModelFacts(kind=DepthKind.DISPARITY))
