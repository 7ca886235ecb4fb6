"""What the depth network learns from: samples, the folders they come from, and what is held out.

Pictures are read once and kept small in memory. How they are cropped and disturbed lives in `depth_augment`, pasted
and drawn scenes in `depth_composites`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
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
from .pictures import opened, read_grey, read_rgb

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
Shape = tuple[int, int]
"""(width, height) in pixels."""
NEAREST_DEPTH_M = 0.1  # nearer readings of a depth camera are noise


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


def read_rgbd(folder: Path, side: int) -> tuple[Folder, Folder]:
    """Image + depth: (training, held out) of a folder in one of three layouts.

    `rgb/` + `depth/` 8-bit PNG + `scale.csv` (index, depth_max_m): metres = depth_max_m · (v + 0.5) / 255.
    `rgb/` or `images/` + `disparity/` PNG of 8 or 16 bits: white is nearest, 0 is unknown in 16 bits.
    `index.csv` (name, image, depth, kind, scale, offset): kind `disparity8`, disparity = offset + scale · v; kind
    `depth16`, metres = scale · v, 0 is unknown. Of these every third is held out: such sets are small and mixed.

    Pictures are kept with their longer side at most `side` pixels.

    Raises:
        DofkitError: when the folder is missing, has none of these layouts or no pairs.
    """
    if (folder / "index.csv").is_file():
        return _read_indexed(folder, side)
    images = _subfolder(folder, "rgb", "images")
    if (folder / "disparity").is_dir():
        maps, scales = folder / "disparity", None
    else:
        maps, scales = _subfolder(folder, "depth"), _read_scales(folder / "scale.csv")
    pairs = _pairs(folder, images, maps)

    def load(name: str) -> Scene:
        photo, values = _read_image(pairs[name][0], side), _read_map(pairs[name][1])
        disparity = _plain_disparity(values) if scales is None else _scaled_depth(values, scales, name, folder)
        return Scene(photo, Image.fromarray(disparity).resize(photo.size, Image.Resampling.NEAREST))

    return _split(pairs, load)


def read_masks(folder: Path, side: int, stands: bool = False) -> tuple[Folder, Folder]:
    """Image + mask of the subject: (training, held out) of a folder with `images/` and `masks/`,
    kept with their longer side at most `side` pixels.

    Args:
        stands: whether the subjects stand on a ground, as people in the street do.

    Raises:
        DofkitError: when the folder is missing, lacks one of the two or has no pairs.
    """
    pairs = _pairs(folder, _subfolder(folder, "images", "rgb"), _subfolder(folder, "masks"))

    def load(name: str) -> Scene:
        photo = _read_image(pairs[name][0], side)
        mask = read_grey(pairs[name][1]).resize(photo.size, Image.Resampling.BILINEAR)
        return Scene(photo, subject=mask, stands=stands)

    return _split(pairs, load)


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


def inverse_depth(metres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Depth [H, W] in metres -> disparity in [0,1]: 1 at the picture's nearest point, 0 at infinity, NaN where there
    is no reading. Kept proportional to 1/depth: that is what lens blur needs."""
    valid = np.isfinite(metres) & (metres >= NEAREST_DEPTH_M)
    if not valid.any():
        return np.full_like(metres, np.nan)
    return np.where(valid, metres[valid].min() / np.where(valid, metres, 1), np.nan).astype(np.float32)


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


def _split(pairs: dict[str, tuple[Path, Path]], load: Callable[[str], Scene]) -> tuple[Folder, Folder]:
    training, held = hold_out(list(pairs))
    return Folder([load(name) for name in training]), Folder([load(name) for name in held])


def _subfolder(folder: Path, *names: str) -> Path:
    if not folder.is_dir():
        raise DofkitError(f"{folder} is not a folder; give the folder that holds {names[0]}/")
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise DofkitError(f"{folder} has no {' or '.join(f'{name}/' for name in names)}; see `dofkit train depth --help`")


def _pairs(folder: Path, images: Path, maps: Path) -> dict[str, tuple[Path, Path]]:
    """Files of the two folders with the same stem."""
    found = {path.stem: path for path in maps.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    photos = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    pairs = {path.stem: (path, found[path.stem]) for path in photos if path.stem in found}
    if not pairs:
        raise DofkitError(f"{folder} has no file in {images.name}/ with a namesake in {maps.name}/; name pairs alike")
    return pairs


def _read_image(path: Path, side: int) -> Image.Image:
    photo = read_rgb(path)
    photo.thumbnail((side, side), Image.Resampling.BICUBIC)
    return photo


def _read_map(path: Path) -> NDArray[np.float32]:
    with opened(path) as file:
        values = np.asarray(file)
    if values.ndim != 2:
        raise DofkitError(f"{path} has {values.shape[-1]} channels; depth and disparity are grey PNG files")
    # the full scale of the file: 16-bit files carry "no reading" as 0
    return values.astype(np.float32) if values.dtype == np.uint8 else np.where(values > 0, values / 257.0, np.nan)


def _plain_disparity(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return (values / 255).astype(np.float32)


def _scaled_depth(
    values: NDArray[np.float32], scales: dict[int, float], name: str, folder: Path
) -> NDArray[np.float32]:
    if not name.isdigit() or int(name) not in scales:
        raise DofkitError(f"{folder / 'scale.csv'} has no line for {name}; add its greatest depth in metres")
    return inverse_depth((scales[int(name)] * (values + 0.5) / 255).astype(np.float32))


def _read_scales(path: Path) -> dict[int, float]:
    try:
        with path.open(newline="") as file:
            return {int(row["index"]): float(row["depth_max_m"]) for row in csv.DictReader(file)}
    except FileNotFoundError:
        raise DofkitError(f"{path} is missing; it gives each depth file its greatest depth in metres") from None
    except (KeyError, ValueError) as error:
        raise DofkitError(f"{path} is no table of index, depth_max_m ({error})") from error


def _read_indexed(folder: Path, side: int) -> tuple[Folder, Folder]:
    """The layout with `index.csv`, see `read_rgbd`."""
    try:
        with (folder / "index.csv").open(newline="") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["name"])
        scenes = [_indexed_scene(folder, row, side) for row in rows]
    except (KeyError, ValueError) as error:
        raise DofkitError(
            f"{folder / 'index.csv'} is no table of name, image, depth, kind, scale, offset ({error})"
        ) from error
    return Folder([s for i, s in enumerate(scenes) if i % 3 != 1]), Folder(scenes[1::3])


def _indexed_scene(folder: Path, row: dict[str, str], side: int) -> Scene:
    photo = _read_image(folder / row["image"], side)
    with opened(folder / row["depth"]) as file:
        values = np.asarray(file).astype(np.float32)
    scale, offset = float(row["scale"]), float(row["offset"])
    if row["kind"] == "depth16":
        disparity = inverse_depth(np.where(values > 0, scale * values, np.nan).astype(np.float32))
    elif row["kind"] == "disparity8":
        plain = offset + scale * values
        disparity = (plain / plain.max()).astype(np.float32)
    else:
        raise ValueError(f"kind '{row['kind']}' of {row['name']}")
    return Scene(photo, Image.fromarray(disparity).resize(photo.size, Image.Resampling.NEAREST))
