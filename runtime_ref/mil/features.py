"""A model's inputs, outputs and states as an app sees them, and their way into and out of the program.

These are tensors and images; a classifier also gives a label, and a dictionary of scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from PIL import Image

from ..errors import DofkitError
from .arrays import Array
from .elements import Element, Kind
from .fitting import checked_integers, remarks, remedy
from .proto import feature_proto


class ColorSpace(Enum):
    """The pixels of an image feature; the value is its number in FeatureTypes.proto, which Core AI's are not in."""

    GRAYSCALE = 10
    RGB = 20
    BGR = 30
    GRAYSCALE_FLOAT16 = 40
    BGRA = -1
    """A camera buffer of Core AI; given in the order R, G, B, alpha is opaque."""

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self in (ColorSpace.GRAYSCALE, ColorSpace.GRAYSCALE_FLOAT16) else 3

    @property
    def mode(self) -> str:
        """Pillow's mode of such pictures; it has no half precision, its floats are of single."""
        if self is ColorSpace.GRAYSCALE_FLOAT16:
            return "F"
        return "RGB" if self.channels == 3 else "L"


class FeatureKind(Enum):
    """What a feature is."""

    TENSOR = "tensor"
    IMAGE = "image"
    LABEL = "label"
    """A class: text or a number. Outputs only."""
    SCORES = "scores"
    """A dictionary: label -> probability. Outputs only."""


@dataclass(frozen=True)
class Feature:
    """An input, output or state.

    Attributes:
        name: its name.
        shape: its shape, the default one where the model takes several; for images `(1, channels, height, width)`;
            empty when the model declares none.
        element: the type at the model's border; for images the program's values are 0 … 255; for scores the labels'.
        kind: tensor, image, label or scores.
        color: the pixels of an image; None for anything else.
        shapes: the shapes it takes, where the model lists several; empty otherwise.
        low, high: least and greatest size of every axis, where the model takes a range (high None: no limit).
        optional, default: whether it may be left out, and the value that it has then.
        description: the author's words.
    """

    name: str
    shape: tuple[int, ...]
    element: Element
    kind: FeatureKind = FeatureKind.TENSOR
    color: ColorSpace | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    low: tuple[int, ...] = ()
    high: tuple[int | None, ...] = ()
    optional: bool = False
    default: float = 0.0
    description: str = ""

    def __str__(self) -> str:
        if self.kind is FeatureKind.LABEL:
            return f"{self.name}: {self.element} label"
        if self.kind is FeatureKind.SCORES:
            return f"{self.name}: scores of {self.element} labels"
        kind = f"{self.color.name} image" if self.color else str(self.element)
        return f"{self.name}: {kind} {self.sizes}"

    @property
    def is_flexible(self) -> bool:
        """Whether the model takes several shapes."""
        return bool(self.shapes or self.low)

    @property
    def sizes(self) -> str:
        """The shapes that the model takes: "[1, 3, 64, 64]", "[1, 8] or [1, 16]", "[1, 3, 32…256, 32…]"."""
        if self.shapes:
            return " or ".join(str(list(shape)) for shape in self.shapes)
        if self.low:
            return f"[{', '.join(map(span_words, self.low, self.high))}]"
        return str(list(self.shape))

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether the model takes a value of this shape."""
        if self.shapes:
            return shape in self.shapes
        if self.low:
            return len(shape) == len(self.low) and all(
                low <= size and (high is None or size <= high)
                for size, low, high in zip(shape, self.low, self.high, strict=True)
            )
        return shape == self.shape or not self.shape

    def to_program(self, value: Any) -> Array:
        """A value from outside as the program takes it.

        Args:
            value: for a tensor an array of its shape. For an image a PIL image, or an array `[H, W, 3]` (RGB, also
                where the model wants BGR), `[H, W]` (grey); uint8, or float16 for GRAYSCALE_FLOAT16. An image may also
                be given as the program's own `[1, channels, H, W]` floats, 0 … 255.

        Raises:
            DofkitError: naming the shape or type that was expected, and how the value is made to fit.
        """
        array = self._planes(value) if self.color is not None else np.asarray(value)
        if not self.admits(array.shape):
            mend = remedy(array.shape, self.shape, self.admits)
            raise DofkitError(f"input {self} cannot take the shape {list(array.shape)}; {mend}")
        if array.dtype.kind not in "fiub":
            raise DofkitError(f"input {self} cannot take values of type {array.dtype}; give numbers")
        if self.color is None and self.element.kind is Kind.INTEGER:
            return checked_integers(array, self.element, f"input {self}")
        return array

    def remarks(self, value: Any) -> list[str]:
        """What a user should know of a value for this input, a line each: numbers that are not finite, for example."""
        if isinstance(value, Image.Image):
            return []
        element = self.element if self.color is None else Element.FLOAT32  # pixels may be given as the program's floats
        return [f"input {self.name}: {words}" for words in remarks(np.asarray(value), element)]

    def from_program(self, value: Any) -> Any:
        """A value of the program as an app gets it.

        Returns:
            For a tensor, an array in the declared type. For an image `[H, W, 3]` RGB or `[H, W]`: uint8, rounded and
            clipped; float16 for GRAYSCALE_FLOAT16. For a label a str or int, for scores a dictionary of floats.
        """
        match self.kind:
            case FeatureKind.TENSOR:
                return np.asarray(value).astype(self.element.storage, copy=False)
            case FeatureKind.IMAGE:
                return self._pixels(value)
            case FeatureKind.LABEL:
                return np.asarray(value).item()
            case FeatureKind.SCORES:
                return dict(value)

    def _pixels(self, value: Array) -> Array:
        planes = value[0]
        if self.color is ColorSpace.GRAYSCALE_FLOAT16:
            return planes[0].astype(np.float16)
        pixels = np.clip(np.rint(planes), 0, 255).astype(np.uint8)
        if self.color is ColorSpace.GRAYSCALE:
            return pixels[0]
        return np.ascontiguousarray((pixels if self.color is ColorSpace.RGB else pixels[::-1]).transpose(1, 2, 0))

    def _planes(self, value: Any) -> Array:
        assert self.color is not None
        if isinstance(value, Image.Image):
            value = np.asarray(value.convert(self.color.mode))
        array = np.asarray(value)
        if array.ndim == 4:
            return array
        if array.ndim != (3 if self.color.channels == 3 else 2) or (array.ndim == 3 and array.shape[2] != 3):
            wanted = "[H, W, 3]" if self.color.channels == 3 else "[H, W]"
            turned = array.ndim == 3 and array.shape[0] == self.color.channels == 3
            mend = "its channels stand first: transpose it with array.transpose(1, 2, 0)" if turned else "give one"
            raise DofkitError(f"input {self} wants a picture {wanted}, not {list(array.shape)}; {mend}")
        planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        return (planes[::-1] if self.color is ColorSpace.BGR else planes)[None]


def span_words(low: int, high: int | None) -> str:
    """A range of sizes: "64", "32…256", or "32…" without a limit."""
    return str(low) if low == high else f"{low}…{'' if high is None else high}"


def read_features(descriptions: Any, where: str) -> tuple[Feature, ...]:
    """Features from their protobuf descriptions.

    Raises:
        DofkitError: a feature is of another kind, a sequence for example.
    """
    return tuple(_feature(description, where) for description in descriptions)


def _feature(description: Any, where: str) -> Feature:
    declared = description.type
    match declared.WhichOneof("Type"):
        case "multiArrayType":
            return _tensor(description, declared.multiArrayType)
        case "stateType":
            return _tensor(description, declared.stateType.arrayType)
        case "imageType":
            return _image(description, declared.imageType)
        case "stringType":
            return _label(description, FeatureKind.LABEL, Element.STRING)
        case "int64Type":
            return _label(description, FeatureKind.LABEL, Element.INT64)
        case "dictionaryType":
            text = declared.dictionaryType.WhichOneof("KeyType") == "stringKeyType"
            return _label(description, FeatureKind.SCORES, Element.STRING if text else Element.INT64)
        case kind:
            raise DofkitError(
                f"{where}: {description.name} is a {kind}; only tensors, images, states and class labels are read"
            )


def _label(description: Any, kind: FeatureKind, element: Element) -> Feature:
    return Feature(description.name, (), element, kind, description=description.shortDescription)


def _tensor(description: Any, array: Any) -> Feature:
    types = feature_proto().ArrayFeatureType
    element = {
        types.FLOAT32: Element.FLOAT32,
        types.FLOAT16: Element.FLOAT16,
        types.DOUBLE: Element.FLOAT64,
        types.INT32: Element.INT32,
        types.INT8: Element.INT8,
    }.get(array.dataType)
    if element is None:
        raise DofkitError(f"{description.name} has an unknown type of values; update dofkit")
    ranges = list(array.shapeRange.sizeRanges)
    return Feature(
        name=description.name,
        shape=tuple(array.shape),
        element=element,
        shapes=tuple(tuple(shape.shape) for shape in array.enumeratedShapes.shapes),
        low=tuple(r.lowerBound for r in ranges),
        high=tuple(None if r.upperBound < 0 else r.upperBound for r in ranges),
        optional=description.type.isOptional,
        default=next(_defaults(array), 0.0),
        description=description.shortDescription,
    )


def _defaults(array: Any) -> Iterator[float]:
    kind = array.WhichOneof("defaultOptionalValue")
    if kind is not None:
        yield float(getattr(array, kind))


def _image(description: Any, image: Any) -> Feature:
    try:
        color = ColorSpace(image.colorSpace)
    except ValueError:
        raise DofkitError(f"{description.name} is an image of an unknown colour space; update dofkit") from None
    sizes = [(size.height, size.width) for size in image.enumeratedSizes.sizes]
    spans = [image.imageSizeRange.heightRange, image.imageSizeRange.widthRange]
    ranged = image.WhichOneof("SizeFlexibility") == "imageSizeRange"
    front = (1, color.channels)
    return Feature(
        name=description.name,
        shape=(*front, image.height, image.width),
        element=Element.FLOAT16 if color is ColorSpace.GRAYSCALE_FLOAT16 else Element.UINT8,
        kind=FeatureKind.IMAGE,
        color=color,
        shapes=tuple((*front, *size) for size in sizes),
        low=(*front, *(span.lowerBound for span in spans)) if ranged else (),
        high=(*front, *(None if span.upperBound < 0 else span.upperBound for span in spans)) if ranged else (),
        optional=description.type.isOptional,
        description=description.shortDescription,
    )
