"""The depth networks of the transformers library, by their model type: what each gives, and the sizes that it takes.

Sources: the classes' own forward functions and image processors (transformers 5), and the papers' model cards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...runtime_ref.pipeline.aspects import Size
from ..networks.contract import Preprocessing
from .kinds import CANOPY, DepthKind

IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PLAIN = Preprocessing()


@dataclass(frozen=True)
class Family:
    """What is known of all networks of a model type.

    Attributes:
        name: for people.
        kind: (configuration) -> the name of what it gives.
        size: (configuration) -> of its training, (height, width).
        multiple: (configuration) -> of both sides.
        preprocessing: where the model's folder does not say.
        fixed: (configuration) -> it takes images of that size only.
    """

    name: str
    kind: Callable[[Any], str]
    size: Callable[[Any], Size]
    multiple: Callable[[Any], int]
    preprocessing: Preprocessing
    fixed: Callable[[Any], bool] = lambda _: False


def _of_patches(config: Any) -> int:
    """The side of a patch of the backbone, in pixels."""
    patch = backbone(config).patch_size
    return int(patch if isinstance(patch, int) else patch[0])


def backbone(config: Any) -> Any:
    """The configuration of the backbone, which some models hold inside theirs."""
    return getattr(config, "backbone_config", None) or config


def _of_backbone(config: Any) -> Size:
    side = backbone(config).image_size
    return (side, side) if isinstance(side, int) else (int(side[0]), int(side[1]))


def _of_dpt(config: Any) -> Size:
    """Of a hybrid the configuration's own: its backbone makes the patches of a transformer of its own."""
    if _is_plain_vit(config):
        return int(config.image_size), int(config.image_size)
    return _of_backbone(config)


def _of_anything(config: Any) -> str:
    relative = getattr(config, "depth_estimation_type", "relative") == "relative"
    return (DepthKind.DISPARITY if relative else DepthKind.METRIC).value


def _is_plain_vit(config: Any) -> bool:
    """DPT over a ViT of its own compares an image's size with its configuration's; over a backbone it does not."""
    return getattr(config, "backbone_config", None) is None or bool(getattr(config, "is_hybrid", False))


def _of_patch_grid(config: Any) -> Size:
    """Depth Pro tiles its image by patches, which fill the smallest of its scaled images."""
    side = round(config.patch_size / min(config.scaled_images_ratios))
    return side, side


def _inverse(_: Any) -> str:
    return DepthKind.DISPARITY.value


def _metric(_: Any) -> str:
    return DepthKind.METRIC.value


def _one(_: Any) -> int:
    return 1


def _stride(_: Any) -> int:
    return 32


def _always(_: Any) -> bool:
    return True


FAMILIES: Mapping[str, Family] = {
    "depth_anything": Family("Depth Anything", _of_anything, _of_backbone, _of_patches, IMAGENET),
    # Without its LiDAR prompt, which a portrait's photo does not have, it gives disparities.
    "prompt_depth_anything": Family("Prompt Depth Anything", _of_anything, _of_backbone, _of_patches, IMAGENET),
    "dpt": Family("DPT (MiDaS)", _inverse, _of_dpt, _stride, HALVES, _is_plain_vit),
    "glpn": Family("GLPN", _metric, lambda _: (480, 640), _stride, PLAIN),
    "zoedepth": Family("ZoeDepth", _metric, lambda _: (384, 512), _stride, HALVES),
    # Its `predicted_depth` is inverse depth: post-processing divides by it.
    "depth_pro": Family("Depth Pro", _inverse, _of_patch_grid, _one, HALVES, _always),
    "tipsv2_dpt": Family("TIPSv2-DPT", _metric, _of_backbone, _of_patches, PLAIN),
    "chmv2": Family("CHMv2", lambda _: CANOPY, _of_backbone, _of_patches, IMAGENET),
}
