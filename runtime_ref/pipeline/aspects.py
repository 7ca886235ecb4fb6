"""The depth network's input sizes: which there are as a rule, and which of them suits a photo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Size = tuple[int, int]
"""(height, width) in pixels."""

USUAL_SIDE = 384
STRIDE = 32
"""Of the coarsest map of a depth network: both sides of its input are multiples of it."""


def size_of_aspect(aspect: str, side: float = USUAL_SIDE, stride: int = STRIDE) -> Size:
    """The size of about side² pixels for an aspect width:height, "3:4" being upright; multiples of `stride`.

    Raises:
        ValueError: the aspect is none.
    """
    width, height = (float(part) for part in aspect.split(":"))
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise ValueError(f"{aspect} is no aspect")
    stretch = math.sqrt(height / width)
    tall, wide = (max(1, round(length / stride)) * stride for length in (side * stretch, side / stretch))
    return tall, wide


@dataclass(frozen=True)
class Aspect:
    """Width to height as one writes them, "3:4", where a size is wanted."""

    text: str

    def __post_init__(self) -> None:
        """Refuse a text that is none.

        Raises:
            ValueError: the aspect is none.
        """
        size_of_aspect(self.text)

    def size(self, side: float = USUAL_SIDE, stride: int = STRIDE) -> Size:
        """See `size_of_aspect`."""
        return size_of_aspect(self.text, side, stride)


USUAL_SIZES = tuple(size_of_aspect(aspect) for aspect in ("1:1", "3:4", "4:3"))
"""384×384, 448×320, 320×448: what photos are, upright and lying."""


def nearest_shape(size: Size, shapes: Sequence[Size]) -> Size:
    """The one of `shapes` whose aspect is nearest to that of `size`, the first of equals.

    Args:
        size, shapes: all (height, width), or all (width, height).
    """
    return min(shapes, key=lambda shape: abs(math.log(shape[0] * size[1] / (shape[1] * size[0]))))


def size_text(size: Size) -> str:
    """Height and width as `--depth-size` takes them: one number for a square."""
    height, width = size
    return str(height) if height == width else f"{height}x{width}"
