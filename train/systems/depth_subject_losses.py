"""What photos teach of which only the subject's mask is known: it is nearer than what is behind it, nearly flat, its
edge is the disparity's, and the ground that it stands on meets its feet. All of it is ours.

Every loss takes [N, 1, H, W] maps and gives the batch's mean, 0 at best; `flags` [N] says which samples count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .depth_losses import MAPS, mean_of_flagged, mean_within

FEET = 0.05  # of the subject's height: rows that are its feet, and rows below it that are the ground at its feet
RISE = 0.35  # of the subject's height above its feet, from where on what is beside it must be the whole margin farther


@dataclass(frozen=True)
class Stance:
    """Where subjects begin and end; all [N, 1, 1, 1] in rows but `above`.

    Attributes:
        top, bottom: the first and the last row with subject in it.
        above: [N, 1, H, 1], how far a row is above the feet, in heights of the subject.
        cut_off: 1 where the frame cuts the subject off at the bottom, so that its feet are not in view.
    """

    top: torch.Tensor
    bottom: torch.Tensor
    above: torch.Tensor
    cut_off: torch.Tensor

    @classmethod
    def of(cls, subject: torch.Tensor) -> Stance:
        """Of masks; without a subject everything is 0."""
        height = subject.shape[2]
        rows = torch.arange(height, device=subject.device, dtype=subject.dtype).view(1, 1, -1, 1)
        filled = subject.amax(dim=3, keepdim=True) > 0.5
        some = filled.any(dim=2, keepdim=True)
        top = torch.where(filled, rows, height).amin(dim=2, keepdim=True) * some
        bottom = torch.where(filled, rows, -1).amax(dim=2, keepdim=True) * some
        above = (bottom - rows) / (bottom - top + 1)
        return cls(top, bottom, above, (bottom >= height - 3).to(subject.dtype))


def in_front(disparity: torch.Tensor, subject: torch.Tensor, flags: torch.Tensor, margin: float = 0.3) -> torch.Tensor:
    """The subject before its background: two L1 hinges, of background pixels that come nearer to the subject's mean
    than they may, and of subject pixels that come nearer to the background's than `margin`.

    What is beside the subject at its feet may be as near as the feet; `RISE` higher it must be farther by all of
    `margin`. Where the frame cuts the subject off, no ground is in view: the margin holds in all rows.
    """
    stance, background = Stance.of(subject), 1 - subject
    required = margin * torch.maximum((stance.above / RISE).clamp(0, 1), stance.cut_off)
    behind = background * torch.maximum((stance.above > 0).to(subject.dtype), stance.cut_off)
    front, back = mean_within(disparity, subject), mean_within(disparity, behind)
    too_near = mean_within(F.relu(disparity - front + required), behind)
    too_far = mean_within(F.relu(back - disparity + margin), subject)
    # a crop that is all subject or all background says nothing about order
    both = flags * ((subject.mean(MAPS) > 0.01) & (behind.mean(MAPS) > 0.01))
    return mean_of_flagged((too_near + too_far).flatten(), both)


def flat_subject(
    disparity: torch.Tensor, subject: torch.Tensor, flags: torch.Tensor, tolerance: float = 0.06
) -> torch.Tensor:
    """L1 hinge of subject pixels that are off the subject's mean by more than `tolerance`: an arm may reach out."""
    off = (disparity - mean_within(disparity, subject)).abs()
    return mean_of_flagged(mean_within(F.relu(off - tolerance), subject).flatten(), flags)


def ground_contact(
    disparity: torch.Tensor, subject: torch.Tensor, flags: torch.Tensor, tolerance: float = 0.02
) -> torch.Tensor:
    """The ground just below a standing subject's feet is as near as the feet, and from there on never farther.

    Counted where the feet are in view: L1 beyond `tolerance` between the feet's mean and the ground below each foot,
    plus the hinge of all pixels below the feet that are farther than they.
    """
    stance = Stance.of(subject)
    feet = subject * (stance.above < FEET)
    columns = F.max_pool2d(feet.amax(dim=2, keepdim=True), (1, 5), 1, (0, 2))
    below = (1 - subject) * (stance.above < 0)
    at_feet = below * columns * (stance.above > -FEET - 0.02)
    level = mean_within(disparity, feet)
    apart = mean_within(F.relu((disparity - level).abs() - tolerance), at_feet)
    farther = mean_within(F.relu(level - disparity), below)
    seen = flags * (1 - stance.cut_off.flatten()) * (at_feet.sum(MAPS) > 0)
    return mean_of_flagged((apart + farther).flatten(), seen)


def edge_on_mask(
    disparity: torch.Tensor, subject: torch.Tensor, flags: torch.Tensor, reach: int = 4, step: float = 0.2
) -> torch.Tensor:
    """Disparity jumps where the mask ends: at half the resolution, pixels within `reach` of the outline are like the
    subject's (or the background's) others around, and the two differ by at least `step`.

    The lower fifth of a subject whose feet are in view is left out: there the ground meets it.
    """
    stance = Stance.of(subject)
    high = torch.maximum((stance.above > 0.2).to(subject.dtype), stance.cut_off).expand_as(subject)
    x, mask, counted = (F.avg_pool2d(maps, 2) for maps in (disparity, subject, high))
    inside, outside = (mask > 0.75).to(x.dtype), (mask < 0.25).to(x.dtype)
    ours, here = _around(x, inside, reach)
    theirs, there = _around(x, outside, reach)
    band = here * there * (counted > 0.5)
    spread = (x - ours).abs() * inside + (x - theirs).abs() * outside
    loss = mean_within(spread + F.relu(step - (ours - theirs)), band)
    return mean_of_flagged(loss.flatten(), flags * (band.sum(MAPS) > 0))


def _around(x: torch.Tensor, part: torch.Tensor, reach: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean over `part` of what lies within `reach` of each pixel, and whether anything of it does."""
    size = 2 * reach + 1
    sums = F.avg_pool2d(x * part, size, 1, reach)
    shares = F.avg_pool2d(part, size, 1, reach)
    return sums / shares.clamp(min=1e-6), (shares > 1e-6).to(x.dtype)
