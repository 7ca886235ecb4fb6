"""A tile of another size is compared where its size changes nothing: apart from the halo at two of its borders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.devices.first_case import first_case
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.bundle.golden import GoldenArrays
from dofkit.runtime_ref.pipeline.stage import Stage

from ..runtime_ref.bundle.small_bundle import model, write_bundle

TILE, HALO = 96, 20  # of the small bundle's plan


def network(image: np.ndarray) -> np.ndarray:
    """The mean over 41 pixels down and across, zeros beyond the border: it sees as far as the halo."""
    padded = np.pad(image, [(0, 0), (0, 0), (HALO, HALO), (HALO, HALO)])
    for axis in (2, 3):
        padded = np.lib.stride_tricks.sliding_window_view(padded, 2 * HALO + 1, axis=axis).mean(-1)
    return padded


def case(scale: int) -> GoldenArrays:
    """Of a stage whose output is the network's of its first image; that is `scale` times as large as the others."""
    values = np.random.default_rng(0)
    large, small = (values.random((1, 3, TILE * size, TILE * size)) for size in (scale, 1))
    stage = Stage.LENS_BLUR if scale == 1 else Stage.GUIDED_UPSAMPLING
    names = {
        1: {"image": large, "defocus": small, "blurred": network(large)},
        2: {"image_high": large, "image_low": small, "blurred_low": small, "defocus_low": small, "blurred_high": large},
    }
    return GoldenArrays({f"{stage}.{name}": value for name, value in names[scale].items()})


def bundle_of(folder: Path, stage: Stage, tile: int) -> Bundle:
    return write_bundle(folder / "b.dofbundle", [model(stage.value, tile=tile)], [])


@pytest.mark.parametrize("tile", [64, 128])
def test_the_compared_part_is_what_the_plans_tile_gives_and_the_rest_is_not(tmp_path: Path, tile: int) -> None:
    bundle = bundle_of(tmp_path, Stage.LENS_BLUR, tile)
    (entry,) = bundle.other_tiles()
    golden = case(1)
    found = first_case(bundle, entry, golden)
    output = network(found.inputs["image"])
    assert output.shape[2:] == (tile, tile)
    kept = min(tile, TILE) - HALO
    assert found.wanted.shape[2:] == (kept, kept)
    np.testing.assert_allclose(found.comparable(output), found.wanted, rtol=0, atol=1e-12)
    row = golden.output(Stage.LENS_BLUR)[0, 0, kept, :kept]
    assert np.abs(output[0, 0, kept, :kept] - row).max() > 1e-4, "the halo is needed to the pixel"


def test_the_high_side_has_twice_the_pixels(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, Stage.GUIDED_UPSAMPLING, 64)
    found = first_case(bundle, bundle.other_tiles()[0], case(2))
    assert found.inputs["image_high"].shape == (1, 3, 128, 128)
    assert found.inputs["defocus_low"].shape[2:] == (64, 64)
    assert found.wanted.shape[2:] == (2 * (64 - HALO),) * 2
