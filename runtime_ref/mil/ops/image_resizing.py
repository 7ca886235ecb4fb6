"""Resizing, cropping and resampling of pictures (their last two axes)."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..registry import Ints, op


def sampling_grid(mode: str, size: int, count: int) -> Array:
    """Where, among `size` pixels, the `count` samples of a sampling mode lie. `[count]` float64, in [0, size − 1].

    STRICT_ALIGN_CORNERS: first and last meet the first and last pixel (one sample alone: the first pixel).
    ALIGN_CORNERS: the same, but one sample alone lies in the middle.
    DEFAULT: i · size / count. UNALIGN_CORNERS: half-pixel centres, (i + ½) · size / count − ½.
    OFFSET_CORNERS: (i + ½) · max(1, size − 1) / count.
    """
    return np.clip(_unclipped_grid(mode, 0.0, size - 1.0, count), 0, size - 1)


def _unclipped_grid(mode: str, first: float, last: float, count: int) -> Array:
    """The samples of a mode between two pixels, which may be fractional (a box) and are both inside."""
    index = np.arange(count, dtype=np.float64)
    extent = last - first
    match mode:
        case "STRICT_ALIGN_CORNERS" | "ALIGN_CORNERS" if count > 1:
            return first + index * (extent / (count - 1))
        case "STRICT_ALIGN_CORNERS":
            return np.full(1, first)
        case "ALIGN_CORNERS":
            return np.full(1, (first + last) / 2)
        case "DEFAULT":
            return first + index * ((extent + 1) / count)
        case "UNALIGN_CORNERS":
            return first + (index + 0.5) * ((extent + 1) / count) - 0.5
        case "OFFSET_CORNERS":
            return first + (index + 0.5) * (max(1.0, extent) / count)
        case _:
            raise ValueError(f"sampling_mode {mode!r} is not known")


def linear_along(x: Array, grid: Array, axis: int) -> Array:
    """Linear interpolation along an axis at positions inside the picture."""
    low = np.floor(grid).astype(np.intp)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    weight = (grid - low).astype(x.dtype)
    weight = weight.reshape([-1 if a == axis % x.ndim else 1 for a in range(x.ndim)])
    below = np.take(x, low, axis)
    slope = np.take(x, high, axis)
    slope -= below
    slope *= weight
    slope += below
    return slope


def _bilinear(x: Array, rows: Array, columns: Array) -> Array:
    # The narrower axis first would save more when shrinking; pictures here mostly grow, and rows are quick to copy.
    return linear_along(linear_along(x, columns, -1), rows, -2)


def _scaled(size: int, factor: float) -> int:
    """floor(size · factor), with the factor as it was meant: 1/3 is stored in float32 and would lose a pixel."""
    return int(np.floor(np.float32(size) * np.float32(factor)))


@op("upsample_nearest_neighbor")
def upsample_nearest_neighbor(x: Array, scale_factor_height: float = 1.0, scale_factor_width: float = 1.0) -> Array:
    """y[i] = x[floor(i · size / count)] with count = floor(size · factor)."""
    height, width = _scaled(x.shape[-2], scale_factor_height), _scaled(x.shape[-1], scale_factor_width)
    rows, columns = np.arange(height) * x.shape[-2] // height, np.arange(width) * x.shape[-1] // width
    return np.take(np.take(x, columns, -1), rows, -2)


@op("resize_nearest_neighbor")
def resize_nearest_neighbor(x: Array, target_size_height: int, target_size_width: int) -> Array:
    """y[i] = x[floor((i + ½) · size / count)]: the pixel under the sample's centre.

    The documentation leaves the sample open; coremltools converts TensorFlow's ResizeNearestNeighbor with
    half_pixel_centers to this operation, and without them to `upsample_nearest_neighbor`.
    """
    rows, columns = _under_centres(x.shape[-2], target_size_height), _under_centres(x.shape[-1], target_size_width)
    return np.take(np.take(x, columns, -1), rows, -2)


def _under_centres(size: int, count: int) -> Array:
    return (2 * np.arange(count) + 1) * size // (2 * count)


@op("upsample_bilinear")
def upsample_bilinear(
    x: Array,
    scale_factor_height: float = 1.0,
    scale_factor_width: float = 1.0,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Array:
    """Bilinear; samples at STRICT_ALIGN_CORNERS, else UNALIGN_CORNERS (half-pixel centres) or DEFAULT (without).

    The step is size / count of the rounded count, PyTorch's `recompute_scale_factor=True`.
    """
    free = "DEFAULT" if half_pixel_centers is False else "UNALIGN_CORNERS"
    mode = "STRICT_ALIGN_CORNERS" if align_corners else free
    counts = _scaled(x.shape[-2], scale_factor_height), _scaled(x.shape[-1], scale_factor_width)
    return resize_bilinear(x, *counts, sampling_mode=mode)


@op("resize_bilinear")
def resize_bilinear(
    x: Array, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Array:
    """Bilinear at the positions of `sampling_grid`."""
    rows = sampling_grid(sampling_mode, x.shape[-2], target_size_height)
    return _bilinear(x, rows, sampling_grid(sampling_mode, x.shape[-1], target_size_width))


@op("resize", since=7)
def resize(
    x: Array, shape: Ints, resized_dims: int, interpolation_mode: str = "LINEAR", sampling_mode: str = "DEFAULT"
) -> Array:
    """The last `resized_dims` axes get the last sizes of `shape`; 0 keeps an axis.

    Nearest neighbour takes the pixel at the sample rounded half up; in DEFAULT mode, as `resize_nearest_neighbor`.
    """
    for axis in range(-resized_dims, 0):
        count = shape[axis] or x.shape[axis]
        grid = sampling_grid(sampling_mode, x.shape[axis], count)
        if interpolation_mode == "NEAREST_NEIGHBOR":
            rounded = np.minimum(np.floor(grid + 0.5).astype(np.intp), x.shape[axis] - 1)
            x = np.take(x, _under_centres(x.shape[axis], count) if sampling_mode == "DEFAULT" else rounded, axis)
        else:
            x = linear_along(x, grid, axis)
    return x


@op("crop")
def crop(x: Array, crop_height: Ints, crop_width: Ints) -> Array:
    """Without the given numbers of rows (top, bottom) and columns (left, right)."""
    height, width = x.shape[-2:]
    return x[..., crop_height[0] : height - crop_height[1], crop_width[0] : width - crop_width[1]]


@op("crop_resize")
def crop_resize_ios15(
    x: Array,
    roi: Array,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Array:
    """Boxes cut out and resized bilinearly, `[N, B, C, h, w]`.

    roi `[N, 1, 4, 1, 1]`, or `[N, 1, 5, 1, 1]` whose first value is the picture to cut from.
    """
    boxes = roi.reshape(roi.shape[0], -1)
    if boxes.shape[1] == 5:
        pictures = [x[[int(index)]] for index in boxes[:, 0]]
        boxes = boxes[:, 1:]
    else:
        pictures = [x] * len(boxes)
    options = normalized_coordinates, spatial_scale, box_coordinate_mode, sampling_mode, pad_value
    size = target_height, target_width
    return np.stack([_box(picture, box, size, *options) for picture, box in zip(pictures, boxes, strict=True)])


@op("crop_resize", since=7)
def crop_resize(
    x: Array,
    boxes: Array,
    box_indices: Ints = (),
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Array:
    """Boxes `[N, 4]` cut out of the pictures `box_indices` (0, 1, …) and resized bilinearly. `[N, C, h, w]`."""
    indices = box_indices or tuple(range(len(boxes)))
    options = normalized_coordinates, spatial_scale, box_coordinate_mode, sampling_mode, pad_value
    size = target_height, target_width
    return np.concatenate([_box(x[[index]], box, size, *options) for index, box in zip(indices, boxes, strict=True)])


def _box(
    x: Array,
    box: Array,
    size: tuple[int, int],
    normalized: bool,
    spatial_scale: float,
    coordinates: str,
    sampling: str,
    pad_value: float,
) -> Array:
    """One box of all given pictures; samples outside the picture are `pad_value`. `[B, C, h, w]`."""
    first, second, third, fourth = (float(value) for value in box)
    if coordinates.endswith("WIDTH_FIRST"):
        first, second, third, fourth = second, first, fourth, third
    if coordinates.startswith("CENTER_SIZE"):
        first, third = first - third / 2, first + third / 2
        second, fourth = second - fourth / 2, second + fourth / 2
    result, outside = x, []
    for axis, begin, end, count in ((-1, second, fourth, size[1]), (-2, first, third, size[0])):
        pixels = x.shape[axis]
        scale = spatial_scale * (pixels - 1 if normalized else 1)
        grid = _unclipped_grid(sampling, begin * scale, end * scale, count)
        outside.append((grid < 0) | (grid > pixels - 1))
        result = linear_along(result, np.clip(grid, 0, pixels - 1), axis)
    return np.where(outside[1][:, None] | outside[0], np.asarray(pad_value, x.dtype), result)


@op("affine")
def affine(
    x: Array,
    transform_matrix: Array,
    output_height: int,
    output_width: int,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Array:
    """y(u, v) = x(a0 u + a1 v + a2, b0 u + b1 v + b2), with u and v from −1 to 1. Matrices `[B or 1, 6]`."""
    column, row = np.meshgrid(_unit(output_width, align_corners), _unit(output_height, align_corners))
    homogeneous = np.stack([column, row, np.ones_like(row)], axis=-1)
    matrices = np.broadcast_to(transform_matrix, (x.shape[0], 6)).reshape(-1, 2, 3).astype(np.float64)
    coordinates = np.einsum("hwk,bjk->bhwj", homogeneous, matrices)
    return resample(x, coordinates, sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners)


def _unit(count: int, align_corners: bool) -> Array:
    """Pixel centres on [−1, 1]."""
    if align_corners:
        return np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    return (2 * np.arange(count) + 1) / count - 1


@op("resample")
def resample(
    x: Array,
    coordinates: Array,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Array:
    """y[b, :, i, j] = x[b] at coordinates[b, i, j] = (column, row), bilinear or nearest; as grid_sample of PyTorch."""
    height, width = x.shape[-2:]
    column = _pixels(coordinates[..., 0].astype(np.float64), width, coordinates_mode, align_corners)
    row = _pixels(coordinates[..., 1].astype(np.float64), height, coordinates_mode, align_corners)
    column, row = _folded(column, width, padding_mode), _folded(row, height, padding_mode)
    if sampling_mode == "nearest":
        return _at(x, np.rint(row), np.rint(column), padding_mode, padding_value)
    top, left = np.floor(row), np.floor(column)
    down, right = (row - top)[:, None].astype(x.dtype), (column - left)[:, None].astype(x.dtype)
    corner = [[_at(x, top + i, left + j, padding_mode, padding_value) for j in (0, 1)] for i in (0, 1)]
    upper = corner[0][0] * (1 - right) + corner[0][1] * right
    lower = corner[1][0] * (1 - right) + corner[1][1] * right
    return upper * (1 - down) + lower * down


def _pixels(values: Array, size: int, mode: str, align_corners: bool) -> Array:
    """Coordinates in pixels, 0 the first pixel's centre."""
    if mode == "unnormalized":
        return values
    unit = (values + 1) / 2 if mode == "normalized_minus_one_to_one" else values
    return unit * (size - 1) if align_corners else unit * size - 0.5


def _folded(position: Array, size: int, padding: str) -> Array:
    """Positions outside the picture brought inside by the padding; "constant" leaves them."""
    if padding == "constant":
        return position
    if padding == "border":
        return np.clip(position, 0, size - 1)
    low, span = (0.0, size - 1.0) if padding == "reflection" else (-0.5, float(size))
    if span == 0:
        return np.zeros_like(position)
    phase = np.abs(position - low) % (2 * span)
    return np.clip(np.minimum(phase, 2 * span - phase) + low, 0, size - 1)


def _at(x: Array, row: Array, column: Array, padding: str, value: float) -> Array:
    """Pixels `[B, C, *]` at whole positions; outside they are `value` ("constant") or the nearest pixel."""
    height, width = x.shape[-2:]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    batch = np.arange(len(x)).reshape(-1, *(1,) * (row.ndim - 1))
    rows = np.clip(row, 0, height - 1).astype(np.intp)
    columns = np.clip(column, 0, width - 1).astype(np.intp)
    found = np.moveaxis(x[batch, :, rows, columns], -1, 1)
    return np.where(inside[:, None], found, np.asarray(value, x.dtype)) if padding == "constant" else found
