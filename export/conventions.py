"""What the numbers of a bundle mean, in the words that go into manifests and packages."""

from __future__ import annotations

CONVENTIONS = {
    "image": "RGB as the photo encodes it (sRGB, or Display P3 unchanged), in [0, 1]; apply the EXIF orientation first",
    "disparity": "normalised inverse depth in [0, 1]; 1 is nearest, 0 farthest; it is not depth",
    "focus": "the disparity in focus; from a touched point: the median of the disparity over the thing that is there",
    "focus range": "a predicted disparity is brought closer to the focus first, to hold the whole subject sharp: "
    "d' = focus + sign(d - focus) * max(|d - focus| - plan.focus_range, 0)",
    "aperture": "0 (everything sharp) to 1 (largest blur)",
    "defocus": "c = aperture * (disparity - focus) * long_side / 40: signed radius of the circle of confusion in "
    "pixels of the map's own level, > 0 nearer than the focus; long_side: the unpadded photo's at that level. "
    "The networks get c / 8 clipped to [-1, 1]",
    "levels": "level n is the photo, each level below has half its sides, level 0 is at most 320 pixels long; blur at "
    "level 0, then upsample n times",
    "tiles": "input size = core + 2 * halo; cut tiles every core pixels from the corner, repeat the picture's edge "
    "beyond its border, keep the core of each output; copy tiles whose |c| is below plan.copy_below pixels",
    "steps": "all of it step by step, with every edge rule, stands in the bundle's README.md; the constants in rules",
}
