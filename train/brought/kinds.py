"""What a brought depth network's numbers can mean, and what no disparity can be made of."""

from __future__ import annotations

from ...runtime_ref.enums import TitledEnum
from ...runtime_ref.errors import DofkitError
from ..networks.contract import Meaning

# Files are read by Python programs of others, too: a depth network that turns out to be one of these has no 1/d.
AFFINE = "affine-invariant"
CANOPY = "canopy-height"


class DepthKind(TitledEnum):
    """What a network gives for each pixel; the value is its name on the command line."""

    DISPARITY = "disparity", "inverse depth, larger is nearer, of any scale and offset (MiDaS, Depth Anything)"
    METRIC = "metric", "depth in metres, larger is farther (ZoeDepth, GLPN, Depth Anything metric)"
    SCALE_INVARIANT = "scale-invariant", "depth of unknown scale, but with a true zero (Depth Anything 3)"

    @property
    def meaning(self) -> Meaning:
        """For the contract: what is to be done to make a disparity of it."""
        return Meaning.INVERSE_DEPTH if self is DepthKind.DISPARITY else Meaning.DEPTH


_REFUSED = {
    AFFINE: "affine-invariant depth (known up to scale and offset) has no zero to invert at: whatever offset one "
    "assumed would bend every distance; bring a network of disparity, or of depth with a true zero",
    CANOPY: "canopy heights say how tall trees are, not how far anything is; no portrait can be made of them",
}


def depth_kind(text: str) -> DepthKind:
    """The kind of a name.

    Raises:
        DofkitError: nothing can be made of this kind, or there is none of this name.
    """
    if text in _REFUSED:
        raise DofkitError(f"--depth-kind {text}: {_REFUSED[text]}")
    try:
        return DepthKind(text)
    except ValueError:
        raise DofkitError(f"--depth-kind {text}: no such kind; there are {', '.join(DepthKind)}") from None


def refusal(text: str) -> str:
    """Why no disparity can be made of a kind; empty where one can."""
    return _REFUSED.get(text, "")
