"""Stacks to learn from: drawn by their index alone; real ones freed of breathing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.focal_stacks import DeepPicture, StackSettings, TrainingStacks, render_stack
from dofkit.train.data.real_stacks import Similarity, breathing, read_stack, without_breathing
from dofkit.train.rendering.focus_sweep import SWEEPS


def deep(side: int = 48) -> DeepPicture:
    coarse = np.random.default_rng(0).integers(0, 255, (side // 4, side // 4, 3)).astype(np.uint8)
    photo = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    depth = np.linspace(1, 6, side, dtype=np.float32)[:, None].repeat(side, 1)
    return DeepPicture("drawn", photo, depth, np.ones((side, side), bool))


SETTINGS = StackSettings(crop=32, batch=2, depths=8, reuse=2, pool=2)


def test_a_sample_depends_on_its_index_alone() -> None:
    first, second = (TrainingStacks([deep()], SETTINGS, 5) for _ in range(2))
    list(map(first.__getitem__, range(3)))  # what was drawn before does not matter
    for ours, theirs in zip(first[7], second[7], strict=True):
        assert torch.equal(ours.nan_to_num(), theirs.nan_to_num())


def test_samples_of_a_batch_have_one_number_of_slices() -> None:
    stacks = TrainingStacks([deep()], StackSettings(crop=32, batch=2, depths=8, usual=0, reuse=2, pool=2), 1)
    counts = [len(stacks[number].stack) for number in range(12)]
    assert counts[::2] == counts[1::2]
    assert len(set(counts)) > 1
    assert all(3 <= count <= 8 for count in counts)


@pytest.mark.parametrize("discs", [True, False])
def test_what_lies_in_a_slices_focus_stays_sharp_there(discs: bool) -> None:
    source = deep()
    source = DeepPicture("plane", source.photo, np.full_like(source.depth, 2.5), source.known)
    stack = render_stack(source, SWEEPS["nyu"], discs, linear=True).astype(int)
    errors = np.abs(stack - source.photo).mean((1, 2, 3))
    assert int(errors.argmin()) == 2
    assert errors[2] < 0.6
    assert errors.max() > 5


def photo(side: int = 240) -> Image.Image:
    coarse = np.random.default_rng(2).integers(0, 255, (side // 8, side // 8, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def zoomed(image: Image.Image, zoom: float) -> Image.Image:
    offset = -zoom * image.width / 2
    matrix = (1 + zoom, 0, offset, 0, 1 + zoom, offset)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def test_breathing_of_known_magnification_is_found_and_undone() -> None:
    middle = photo()
    slices = [zoomed(middle, 0.02), middle, zoomed(middle, -0.03)]
    found = breathing(slices)
    assert found[1] == Similarity()
    # the middle's points lie in the first at 1 / (1 + zoom) of their distance from the centre
    assert found[0].zoom == pytest.approx(1 / 1.02 - 1, abs=1e-3)
    assert found[2].zoom == pytest.approx(1 / 0.97 - 1, abs=1e-3)
    moved, _ = without_breathing(slices)
    inside = np.s_[24:-24, 24:-24]
    errors = [np.abs(np.asarray(one, int) - np.asarray(middle, int))[inside].mean() for one in (slices[2], moved[2])]
    assert errors[1] < errors[0] / 3


def test_stacks_of_one_slice_or_of_two_sizes_are_refused(tmp_path: Path) -> None:
    for name, size in (("a.png", 32), ("b.png", 40)):
        Image.new("RGB", (size, 32)).save(tmp_path / name)
    with pytest.raises(DofkitError, match="two slices at least"):
        read_stack([tmp_path / "a.png"])
    with pytest.raises(DofkitError, match="give slices of one size"):
        read_stack([tmp_path / "a.png", tmp_path / "b.png"])
