"""BokehMe's classical renderer: our scatter against its formula pixel by pixel, and against its published picture."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.train.rendering.baselines.scatter import Scatter, soft_disc
from dofkit.train.rendering.layered import SceneLens


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(((first - second) ** 2).mean()))


def scattered(image: np.ndarray, radius: np.ndarray, gamma: float) -> np.ndarray:
    """Peng et al. 2022, one pixel after another; beyond the border there is nothing."""
    height, width = radius.shape
    total, weights = np.zeros((height, width, 3)), np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            r = float(radius[row, column])
            for y in range(max(row - int(r) - 1, 0), min(row + int(r) + 2, height)):
                for x in range(max(column - int(r) - 1, 0), min(column + int(r) + 2, width)):
                    weight = (0.5 + 0.5 * np.tanh(4 * (r - np.hypot(y - row, x - column)))) / (r**2 + 0.2)
                    total[y, x] += weight * image[row, column].astype(float) ** gamma
                    weights[y, x] += weight
    return (total / weights[..., None]) ** (1 / gamma)


@pytest.mark.parametrize("gamma", [2.2, 4.0])
def test_scatter_is_the_papers_sum_over_pixels(gamma: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((28, 30, 3)).astype(np.float32)
    disparity = (np.arange(30) // 6 / 5 * np.ones((28, 1))).astype(np.float32)  # radii 0 to 4 in steps of 1
    result = Scatter(gamma=gamma).render(image, disparity, SceneLens(0.0, 1.0, 200))
    inner = np.s_[6:-6, 6:-6]  # our border goes on mirrored
    assert psnr(result[inner], scattered(image, disparity * 5, gamma)[inner]) > 80


def test_radii_between_the_banks_are_close_to_the_papers_sum() -> None:
    rng = np.random.default_rng(1)
    image = rng.random((28, 30, 3)).astype(np.float32)
    disparity = np.linspace(0, 1, 30, dtype=np.float32) * np.ones((28, 1), np.float32)
    result = Scatter().render(image, disparity, SceneLens(0.0, 1.0, 200))
    inner = np.s_[6:-6, 6:-6]
    assert psnr(result[inner], scattered(image, disparity * 5, 2.2)[inner]) > 45


def test_the_soft_disc_is_even_inside_and_falls_off_within_a_pixel() -> None:
    disc = soft_disc(10.0)
    assert disc.shape == (23, 23)
    assert disc[11, 11 + 8] == pytest.approx(disc[11, 11], rel=1e-3)
    assert disc[11, 11 + 10] == pytest.approx(disc[11, 11] / 2, rel=1e-3)
    assert disc[11, 0] < 1e-3 * disc[11, 11]


def test_highlights_out_of_focus_are_brightened_and_nothing_else() -> None:
    image = np.full((40, 40, 3), 0.5, np.float32)
    image[18:23, 18:23] = 1.0
    lens, far, near = SceneLens(0.5, 1.0, 200), np.zeros((40, 40), np.float32), np.full((40, 40), 0.5, np.float32)
    plain, lit = Scatter(), Scatter(highlight=True)
    assert lit.render(image, far, lens)[20, 20, 0] >= plain.render(image, far, lens)[20, 20, 0]
    assert lit.render(image, far, lens)[20, 16, 0] > plain.render(image, far, lens)[20, 16, 0] + 0.01
    assert np.array_equal(lit.render(image, near, lens), plain.render(image, near, lens))


@pytest.mark.skipif("DOFKIT_BOKEHME" not in os.environ, reason="DOFKIT_BOKEHME names no folder of BokehMe's pictures")
def test_scatter_reproduces_the_published_picture() -> None:
    """No. 21 with K = 60, focus at 90 / 255 and γ = 4; its radius reaches 39 px. JPEG noise limits the agreement."""
    folder = Path(os.environ["DOFKIT_BOKEHME"])
    around, inner = np.s_[58:602, 458:1002], np.s_[42:-42, 42:-42]
    disparity = np.asarray(Image.open(folder / "inputs" / "21.png")).astype(np.int64) // 256  # as the program reads it
    disparity = ((disparity - disparity.min()) / np.ptp(disparity)).astype(np.float32)[around]
    photo, published = (
        (np.asarray(Image.open(folder / file).convert("RGB"))[around] / 255).astype(np.float32)
        for file in ("inputs/21.jpg", "outputs/21/bokeh_classical.jpg")
    )
    lens = SceneLens(90 / 255, 1.0, 60 * 40)  # K is the radius at a disparity difference of 1
    result = Scatter(gamma=4).render(photo, disparity, lens)
    assert psnr(photo[inner], published[inner]) < 20
    assert psnr(result[inner], published[inner]) > 44
