"""A thin lens in metres, and pictures through it: every pixel spreads by its own circle of confusion.

`optics` of the pipeline knows disparities of a photo; here a camera's numbers say how much a distance blurs. Blur is
scattered and computed as a gather with the neighbours' radii, as Si et al. 2023 (CVPR, "Fully Self-Supervised Depth
Estimation from Defocus Clue") do: out(q) = Σ_p w(p, q)·I(p) / Σ_p w(p, q), w(p, q) = psf(|p − q|; c(p)). Nothing hides
anything; `layered` does that, which is why it judges what was trained with these. All is plain PyTorch and has
gradients with respect to the picture and, but for the bank of discs, the radii.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ...runtime_ref.enums import TextEnum
from ...runtime_ref.errors import DofkitError
from .lens import disc_spectrum

LEAST_VARIANCE = 1e-2
"""Pixels²; a narrower Gaussian is a single pixel to 1e-21."""
DEVIATIONS = (0.1, 0.4, 0.75, 1.1, 1.5, 2.0, 2.7, 3.6, 4.8, 6.4, 8.5)
"""Of the Gaussians in a bank, in pixels: between two of them a mixture of the same variance differs by less than what
eight bits resolve in photos (45 dB, see the tests)."""


@dataclass(frozen=True)
class ThinLensCamera:
    """A thin lens before a sensor.

    Attributes:
        focal_length: in metres.
        f_number: focal length over the aperture's diameter.
        pixel: pitch of the picture's pixels in metres: of the sensor's, times by how much the picture was reduced.
    """

    focal_length: float
    f_number: float
    pixel: float

    def __post_init__(self) -> None:
        for name in ("focal_length", "f_number", "pixel"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise DofkitError(f"a camera's {name.replace('_', ' ')} is {value:g}; give a number above 0")

    def confusion(self, depth: torch.Tensor, focus: torch.Tensor | float) -> torch.Tensor:
        """Signed diameter in metres on the sensor, > 0 nearer than the focus; the shapes broadcast.

        With v the image's distance, 1/f = 1/v + 1/focus: f/N · v · (1/depth − 1/focus) (Si et al. 2023, Eq. 1 and 2).

        Args:
            depth, focus: distances from the lens in metres, the focus beyond the focal length; depth may be infinite.

        Raises:
            DofkitError: something nearer than the focal length is to be in focus.
        """
        focus = torch.as_tensor(focus, dtype=depth.dtype, device=depth.device)
        if not bool((focus > self.focal_length).all()):
            raise DofkitError(
                f"a lens of {1000 * self.focal_length:g} mm cannot focus at {float(focus.min()):g} m; "
                "give focus distances in metres, beyond the focal length"
            )
        image = focus * self.focal_length / (focus - self.focal_length)
        return self.focal_length / self.f_number * image * (1 / depth - 1 / focus)

    def radius(self, depth: torch.Tensor, focus: torch.Tensor | float) -> torch.Tensor:
        """The circle of confusion's signed radius in pixels; see `confusion`."""
        return self.confusion(depth, focus) / (2 * self.pixel)

    def reduced(self, factor: float) -> ThinLensCamera:
        """The camera of a picture reduced to 1 / `factor` of its size."""
        return ThinLensCamera(self.focal_length, self.f_number, self.pixel * factor)


class Psf(TextEnum):
    """How a point out of focus looks."""

    GAUSSIAN = "gaussian"
    """exp(−2r²/c²): of deviation c / 2 along each axis, which is a disc's too."""
    DISC = "disc"
    """Uniform within c, its edge anti-aliased over one pixel."""

    def reach(self, radius: float) -> int:
        """Pixels beyond which less than 1e-5 of the middle's weight is left."""
        return math.ceil(2.4 * radius) if self is Psf.GAUSSIAN else math.ceil(radius + 0.5)

    def weight(self, distance: float, radius: torch.Tensor) -> torch.Tensor:
        """Not normalised, at `distance` pixels from points of `radius` pixels."""
        if self is Psf.GAUSSIAN:
            return torch.exp(-(distance**2) / (2 * (radius**2 / 4).clamp(min=LEAST_VARIANCE)))
        return (radius.abs() + 0.5 - distance).clamp(0, 1).clamp(min=1.0 if distance == 0 else 0.0)


def spread(image: torch.Tensor, radius: torch.Tensor, psf: Psf = Psf.GAUSSIAN) -> torch.Tensor:
    """The picture with every pixel spread by its own point spread function, exactly: the window is as large as the
    largest radius needs, and so is what the gradients keep. `spread_by_bank` is the fast way.

    What lies beyond the border is unknown and left out of the mean.

    Args:
        image: [N, C, H, W].
        radius: [N, 1, H, W], in pixels of either sign.
        psf: of a point.

    Returns:
        [N, C, H, W].
    """
    _check(image, radius)
    reach = psf.reach(float(radius.detach().abs().max()))
    total = _weights_of_points(radius, psf, reach)
    light = torch.cat([image, torch.ones_like(radius)], 1) / total
    gathered = torch.zeros_like(light)
    for row in range(-reach, reach + 1):
        gathered = gathered + _gathered_row(light, radius, psf, reach, row)
    return gathered[:, :-1] / gathered[:, -1:]


def _weights_of_points(radius: torch.Tensor, psf: Psf, reach: int) -> torch.Tensor:
    """What each pixel's point spread function sums to over the pixels of an unbounded picture: [N, 1, H, W]."""
    counts: dict[int, int] = {}
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            counts[y * y + x * x] = counts.get(y * y + x * x, 0) + 1
    total = torch.zeros_like(radius)
    for squared, count in counts.items():
        total = total + count * psf.weight(math.sqrt(squared), radius)
    return total


def _gathered_row(light: torch.Tensor, radius: torch.Tensor, psf: Psf, reach: int, row: int) -> torch.Tensor:
    """What comes from the pixels `row` rows below: [N, C + 1, H, W]."""
    height, width = radius.shape[-2:]
    # Beyond the border there is neither light nor weight.
    light, radius = F.pad(light, [reach] * 4), F.pad(radius, [reach] * 4)
    total = torch.zeros_like(light[..., :height, :width])
    for column in range(-reach, reach + 1):
        rows, columns = slice(reach + row, reach + row + height), slice(reach + column, reach + column + width)
        total = total + psf.weight(math.hypot(row, column), radius[..., rows, columns]) * light[..., rows, columns]
    return total


def spread_by_bank(
    image: torch.Tensor, radius: torch.Tensor, deviations: tuple[float, ...] = DEVIATIONS
) -> torch.Tensor:
    """`spread` by Gaussians, of which a bank is at hand: a pixel spreads by the two nearest, mixed to its variance.

    Blurring along an axis is a product with a banded matrix, which PyTorch multiplies at the processor's full speed
    whatever the deviation; and borders need no padding.

    Args:
        image: [N, C, H, W].
        radius: [N, 1, H, W], in pixels of either sign; deviations beyond the bank's largest are that one.
        deviations: of the bank, in pixels, ascending.
    """
    _check(image, radius)
    variances = torch.tensor(deviations, dtype=image.dtype, device=image.device) ** 2
    share = shares_of_bank(radius**2 / 4, variances)  # [N, L, H, W]
    light = torch.cat([image, torch.ones_like(radius)], 1)
    total = torch.zeros_like(light)
    for level, deviation in enumerate(deviations):
        part = share[:, level : level + 1]
        if bool((part.detach() > 0).any()):
            total = total + gaussian_blur(light * part, deviation)
    return total[:, :-1] / total[:, -1:].clamp(min=1e-6)


def shares_of_bank(variance: torch.Tensor, bank: torch.Tensor) -> torch.Tensor:
    """How much each of a bank's Gaussians takes of a pixel, so that the mixture has the pixel's variance.

    Args:
        variance: [N, 1, …], in pixels².
        bank: [L], ascending.

    Returns:
        [N, L, …], summing to 1 over L, two of them above 0.
    """
    shape = [1, -1] + [1] * (variance.ndim - 2)
    value = variance.clamp(min=float(bank[0]), max=float(bank[-1]))
    lower, upper = bank[:-1].reshape(shape), bank[1:].reshape(shape)
    reached = ((value - lower) / (upper - lower)).clamp(0, 1)  # of each step of the bank, the share that is passed
    return torch.cat([1 - reached[:, :1], reached[:, :-1] - reached[:, 1:], reached[:, -1:]], 1)


def gaussian_blur(maps: torch.Tensor, deviation: float) -> torch.Tensor:
    """[…, H, W] blurred by a Gaussian of `deviation` pixels, zeros beyond the border."""
    rows, columns = (gaussian_matrix(side, deviation).to(maps) for side in maps.shape[-2:])
    return torch.matmul(torch.matmul(rows, maps), columns)


def gaussian_matrix(side: int, deviation: float) -> torch.Tensor:
    """[side, side], symmetric: row i holds the Gaussian around i, whose sum over all integers is 1."""
    place = torch.arange(side, dtype=torch.float64)
    reach = torch.arange(-math.ceil(6 * deviation) - 1, math.ceil(6 * deviation) + 2, dtype=torch.float64)
    scale = 2 * max(deviation**2, LEAST_VARIANCE)
    total = torch.exp(-(reach**2) / scale).sum()
    return torch.exp(-((place[:, None] - place) ** 2) / scale) / total


def spread_by_discs(image: torch.Tensor, radius: torch.Tensor, spacing: float = 0.75) -> torch.Tensor:
    """`spread` by discs, of which a bank is at hand, through the FFT. Radii get no gradients of use: data is made so.

    Args:
        image: [N, C, H, W].
        radius: [N, 1, H, W], in pixels of either sign.
        spacing: of the bank's radii in pixels.
    """
    _check(image, radius)
    size = radius.abs()
    least, most = float(size.min()), float(size.max())
    margin = math.ceil(most) + 1
    shape = (image.shape[2] + margin, image.shape[3] + margin)  # what wraps around lands in the margin
    light = torch.cat([image, torch.ones_like(radius)], 1)
    total = light.new_zeros(()).to(torch.complex64)
    radii = torch.linspace(least, most, 2 + math.floor((most - least) / spacing)).tolist()
    step = max((most - least) / (len(radii) - 1), 1e-6)
    for one in radii:
        share = (1 - (size - one).abs() / step).clamp(min=0)
        kernel = torch.from_numpy(disc_spectrum(one, shape)).to(light.device)
        total = total + torch.fft.rfft2(light * share, s=shape) * kernel
    spread_out = torch.fft.irfft2(total, s=shape)[..., : image.shape[2], : image.shape[3]]
    return spread_out[:, :-1] / spread_out[:, -1:].clamp(min=1e-6)


def through_lens(
    image: torch.Tensor, depth: torch.Tensor, focus: torch.Tensor, camera: ThinLensCamera, blur: Blur = spread_by_bank
) -> torch.Tensor:
    """A focal stack of a picture whose depth is known.

    Args:
        image: [N, C, H, W], all in focus.
        depth: [N, 1, H, W], in metres.
        focus: [S], distances in metres.
        camera: whose lens.
        blur: spreads [N, C, H, W] by radii [N, 1, H, W].

    Returns:
        [N, S, C, H, W].
    """
    return torch.stack([blur(image, camera.radius(depth, distance)) for distance in focus], 1)


def _check(image: torch.Tensor, radius: torch.Tensor) -> None:
    if image.ndim != 4 or radius.shape != (image.shape[0], 1, *image.shape[2:]):
        raise DofkitError(
            f"a picture {list(image.shape)} and radii {list(radius.shape)} do not fit; "
            "give [N, C, H, W] and [N, 1, H, W]"
        )


Blur = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
