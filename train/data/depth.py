"""What the depth network learns from: samples, the folders they come from, and what is held out.

Pictures are read once and kept small in memory. How they are cropped and disturbed lives in `depth_augment`, pasted
and drawn scenes in `depth_composites`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.aspects import nearest_shape
from .generated_set import GeneratedSet
from .picture_set import picture_file
from .pictures import read_rgb

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
Shape = tuple[int, int]
"""(width, height) in pixels."""


class DepthSample(NamedTuple):
    """One training sample; batched, each tensor gains a leading N.

    Attributes:
        image: [3, H, W] in [0,1], sRGB-encoded.
        disparity: [1, H, W] in [0,1], 1 is nearest; 0 where unknown.
        known: [1, H, W], 1 where the disparity is known, else 0.
        subject: [1, H, W] in [0,1], the subject's coverage; 0 where unknown.
        has_subject: [] 1 where `subject` is known, else 0.
        exact: [] 1 where the disparity is true up to its edges, 0 where a depth camera measured it.
        stands: [] 1 where the subject stands on a ground, which may be out of view; 0 where that is not known.
    """

    image: torch.Tensor
    disparity: torch.Tensor
    known: torch.Tensor
    subject: torch.Tensor
    has_subject: torch.Tensor
    exact: torch.Tensor
    stands: torch.Tensor


@dataclass(frozen=True)
class Scene:
    """A picture in memory with what is known of it.

    Attributes:
        image: RGB, sRGB-encoded, as read.
        disparity: mode F, in [0,1], 1 is nearest, NaN where unknown; None without depth.
        subject: mode L, 0 to 255; None without a mask.
        exact, stands: see `DepthSample`.
    """

    image: Image.Image
    disparity: Image.Image | None = None
    subject: Image.Image | None = None
    exact: bool = False
    stands: bool = False


class SceneSource(Protocol):
    """Whatever can make up a training scene from random numbers: a folder, a compositor, a drawing."""

    def scene(self, rng: np.random.Generator) -> Scene:
        """A scene, its content drawn with `rng` alone."""
        ...


@dataclass(frozen=True)
class Folder:
    """Scenes read from a folder; the training part and the held-out part are two Folders."""

    scenes: Sequence[Scene]

    def scene(self, rng: np.random.Generator) -> Scene:
        """One of the scenes."""
        return self.scenes[int(rng.integers(len(self.scenes)))]


class HeldOut(Dataset[DepthSample]):
    """Whole pictures, each resized to the one of `shapes` (width, height) whose aspect is nearest to its own, in order
    and undisturbed. Shapes differ: batches are of one."""

    def __init__(self, scenes: Sequence[Scene], shapes: Sequence[Shape]) -> None:
        self.scenes = scenes
        self.shapes = shapes

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> DepthSample:
        scene = self.scenes[index]
        return to_sample(scene, (0, 0, *scene.image.size), nearest_shape(scene.image.size, self.shapes))


def hold_out(names: Sequence[str], block: int = 25, every: int = 8, guard: int = 3) -> tuple[list[str], list[str]]:
    """Split sorted names by place: (training, held out), nearly one part in `every` held out.

    Neighbouring names often show the same room or person, so whole blocks of neighbours are held out, and the `guard`
    names at both sides of a block go to neither part. Fewer than two blocks hold nothing out.
    """
    ordered = sorted(names)
    held = {i for i in range(len(ordered)) if i // block % every == 1}
    guarded = {i + step for i in held for step in range(-guard, guard + 1)}
    return [ordered[i] for i in range(len(ordered)) if i not in guarded], [ordered[i] for i in sorted(held)]


def read_generated(folder: Path, side: int) -> tuple[Folder, Folder]:
    """Generated photos: (training, held out) of a set of `dofkit generate argan`. Each is there twice, all in focus and
    through the lens, with the same disparity and in the same part.

    Pictures are kept with their longer side at most `side` pixels.

    Raises:
        DofkitError: when the folder holds no such set, or one of its files cannot be read.
    """
    found = GeneratedSet.open(folder)
    numbers = {f"{number:06d}": number for number in found.numbers}

    def load(name: str) -> list[Scene]:
        disparity = Image.fromarray(found.disparity(numbers[name]))
        photos = [_read_image(picture_file(folder, plane, numbers[name]), side) for plane in ("images", "shallow")]
        return [Scene(photo, disparity.resize(photo.size, Image.Resampling.NEAREST)) for photo in photos]

    training, held = ([scene for name in part for scene in load(name)] for part in hold_out(list(numbers)))
    return Folder(training), Folder(held)


def read_photos(folder: Path, side: int) -> Folder:
    """The photos of a folder and all below it, nothing known of them; what surfaces of composites are made of."""
    if not folder.is_dir():
        raise DofkitError(f"{folder} is not a folder; give one that holds photos")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DofkitError(f"{folder} holds no photos ({', '.join(IMAGE_SUFFIXES)}); give one that does")
    return Folder([Scene(_read_image(path, side)) for path in files])


def to_sample(scene: Scene, box: tuple[float, float, float, float], shape: Shape, mirror: bool = False) -> DepthSample:
    """Cut `box` (left, top, right, bottom in pixels) out of a scene, resize it to `shape`, perhaps mirrored."""
    blank = np.zeros((1, shape[1], shape[0]), np.float32)
    image = scene.image.resize(shape, Image.Resampling.BILINEAR, box)
    disparity, known, subject = blank, blank, blank
    if scene.disparity is not None:
        # nearest: a mean across an edge would be a depth that exists nowhere
        values = np.asarray(scene.disparity.resize(shape, Image.Resampling.NEAREST, box))[None]
        known = np.isfinite(values).astype(np.float32)
        disparity = np.nan_to_num(values)
    if scene.subject is not None:
        subject = np.asarray(scene.subject.resize(shape, Image.Resampling.BILINEAR, box), np.float32)[None] / 255
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1) / 255

    def tensor(array: NDArray[np.floating]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array[..., ::-1] if mirror else array))

    flags = (torch.tensor(float(flag)) for flag in (scene.subject is not None, scene.exact, scene.stands))
    return DepthSample(tensor(pixels), tensor(disparity), tensor(known), tensor(subject), *flags)


def _read_image(path: Path, side: int) -> Image.Image:
    photo = read_rgb(path)
    photo.thumbnail((side, side), Image.Resampling.BICUBIC)
    return photo
