"""What the numbers of a bundle mean, in the words that go into manifests and packages."""

from __future__ import annotations

CONVENTIONS = {
    "image": "RGB, sRGB-encoded, in [0, 1]; apply the EXIF orientation first",
    "disparity": "normalised inverse depth in [0, 1]; 1 is nearest, 0 farthest; it is not depth",
    "focus": "the disparity in focus; from a touched point: the median of the disparity over the thing that is there",
    "focus range": "a predicted disparity may be brought closer to the focus first, to hold the whole subject sharp: "
    "d' = focus + sign(d - focus) * max(|d - focus| - plan.focus_range, 0). The golden vectors do without",
    "aperture": "0 (everything sharp) to 1 (largest blur)",
    "defocus": "c = aperture * (disparity - focus) * long_side / 40: signed radius of the circle of confusion in "
    "pixels of the map's own level, > 0 nearer than the focus; long_side: the unpadded photo's at that level. "
    "The networks get c / 8 clipped to [-1, 1]",
    "levels": "pad the photo at its right and bottom (repeat the edge) to a multiple of 2^n, n the least with "
    "long_side / 2^n <= 320, or one less where n > 0 and then, too, no |c| exceeds 8 pixels at "
    "level 0 (a weak blur); a level is the root of the 2x2 mean of squares of "
    "the one above; blur at level 0, then upsample n times. A disparity map at least twice as fine as a level gives it "
    "the mean of the values in each of the level's pixels, but for thin things. A pixel is thin where its largest "
    "(nearest) value exceeds the largest of the 3x3 means around by more than a tenth of what it exceeds the least of "
    "them by. For the upsampling every thin pixel gets its largest value; for the blur only if its mean is the largest "
    "of the 3x3 around, or if that is true of no thin pixel of these 3x3",
    "tiles": "input size = core + 2 * halo; cut tiles every core pixels from the corner, repeat the picture's edge "
    "beyond its border, keep the core of each output; copy tiles whose |c| is below plan.copy_below pixels",
}
