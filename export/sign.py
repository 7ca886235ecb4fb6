"""Whether a brought depth network's near is near, asked of the public-domain photos that scikit-image brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..runtime_ref.pipeline.aspects import USUAL_SIZES, Size, nearest_shape
from ..runtime_ref.pipeline.portrait import depth_input
from ..runtime_ref.pipeline.stage import Stage
from ..train.brought.networks import Brought
from ..train.brought.sign import check_sign
from ..train.weights import load_weights
from .calibration import CalibrationSet


def sign_on_photos(brought: Brought) -> str:
    """A warning where photos do not tell whether near is near; empty where they agree that it is.

    Raises:
        DofkitError: they agree on the contrary; scikit-image is not installed.
    """
    pixels = (picture.pixels for picture in CalibrationSet.shipped().pictures())
    ours = load_weights(Stage.DEPTH)
    sizes = brought.contract.size.usual[:1] or USUAL_SIZES
    return check_sign(pixels, _asked(brought.network, sizes), _asked(ours, USUAL_SIZES), brought.origin.source)


def _asked(network: torch.nn.Module, sizes: tuple[Size, ...]) -> Callable[[NDArray[np.uint8]], NDArray[Any]]:
    """A network as a function of a photo, whose input is of the nearest of some aspects."""

    def disparity(photo: NDArray[np.uint8]) -> NDArray[Any]:
        size = nearest_shape((photo.shape[0], photo.shape[1]), sizes)
        with torch.inference_mode():
            return network(torch.from_numpy(depth_input(photo, size)))[0, 0].numpy()

    return disparity
