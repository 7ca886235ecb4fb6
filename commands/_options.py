"""Options that several commands share, and how they turn into the project's own types."""

from __future__ import annotations

import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..runtime_ref.pipeline.aspects import Aspect, Size
from ..runtime_ref.target import Precision, Target
from ..train.shipped import PRODUCT_NAME, named_weights
from ._groups import GroupedOption
from ._hints import did_you_mean

if TYPE_CHECKING:
    from ..runtime_ref.backends import Backend

Kind = TypeVar("Kind", bound=Enum)
_MANIFEST = "manifest.json"
_MOST_MEGAPIXELS = 400


class HintedChoice(click.Choice):
    """A choice that says which of its values somebody may have meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            error.message += did_you_mean(str(value), map(str, self.choices))
            raise


class EnumChoice(HintedChoice):
    """A choice of an enum's values that returns its members."""

    def __init__(self, kind: type[Kind]) -> None:
        super().__init__([member.value for member in kind])
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, self._kind) else self._kind(super().convert(value, param, ctx))


class ParsedPair(click.ParamType, ABC):
    """Two values in one word."""

    @abstractmethod
    def parsed(self, text: str) -> Any:
        """The values.

        Raises:
            ValueError: the word does not say them; its text says what one that does looks like.
        """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):  # a default
            return value
        try:
            return self.parsed(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class InputSize(ParsedPair):
    """Height and width in pixels: "384", "288x384", or of an aspect width:height, "3:4"."""

    name = "size"

    def parsed(self, text: str) -> Size | Aspect:
        match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip(), re.IGNORECASE)
        if match is None:
            try:
                return Aspect(text)
            except ValueError:
                raise ValueError(
                    f"{text!r} is no size; give pixels, 384 for a square or 288x384 for height x width, or an aspect "
                    "as width:height, 3:4"
                ) from None
        height = int(match[1])
        return height, int(match[2] or height)


class FiniteFloat(click.FloatRange):
    """A number in a range. `nan` and `inf`, which every comparison lets through, are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Percentage(click.ParamType):
    """A share written in percent, with its sign: "5%" is 0.05."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value.removesuffix("%"))
        except ValueError:
            number = -1.0
        if not value.endswith("%") or not 0 <= number < float("inf"):
            self.fail(f"{value!r} is not a percentage; write it as 5%", param, ctx)
        return number / 100


class Duration(click.ParamType):
    """A time with its unit, "90s" or "10m", in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):  # a default
            return value
        unit = {"s": 1, "m": 60, "h": 3600}.get(value[-1:], 0)
        try:
            seconds = float(value[:-1]) * unit
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            self.fail(f"{value!r} is no time; write it as 90s or 10m", param, ctx)
        return seconds


class PhotoSize(ParsedPair):
    """Width and height of a photo: its long side at 4:3, its megapixels at 4:3, or both sides; (0, 0) is none."""

    name = "size"

    def parsed(self, text: str) -> tuple[int, int]:
        """See `ParsedPair.parsed`."""
        lower = text.lower()
        if lower.endswith("mp") and lower[:-2].isdecimal() and 0 < int(lower[:-2]) <= _MOST_MEGAPIXELS:
            side = round(math.sqrt(int(lower[:-2]) * 1e6 * 4 / 3))
            return side, side * 3 // 4
        sides = lower.replace("×", "x").split("x")
        if all(side.isdecimal() for side in sides) and len(sides) <= 2:
            width = int(sides[0])
            height = int(sides[1]) if len(sides) == 2 else width and max(1, width * 3 // 4)
            if width * height <= _MOST_MEGAPIXELS * 10**6 and (len(sides) == 1 or width * height > 0):
                return width, height
        raise ValueError(f"{text!r} is no photo's size; write 2048 (long side), 12mp or 1920x1080, 0 for none")


class BundlePath(click.Path):
    """The folder of a bundle; whoever names the manifest in it means the folder."""

    name = "bundle"

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        return path.parent if path.name == _MANIFEST and path.is_file() else path


FILE = click.Path(path_type=Path, dir_okay=False)


class WeightsPath(click.Path):
    """A folder of weights, or `product` for those that ship for products."""

    def __init__(self, **rules: Any) -> None:
        super().__init__(path_type=Path, **rules)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return named_weights(value) if value == PRODUCT_NAME else super().convert(value, param, ctx)


TARGET = EnumChoice(Target)
PRECISION = EnumChoice(Precision)
BUNDLE = BundlePath()
SIZE = InputSize()


def choice_option(flag: str, values: Sequence[str], help: str) -> Callable[[Any], Any]:
    """A choice of words, the first of which is the default."""
    return click.option(flag, type=HintedChoice(values), default=values[0], show_default=True, help=help)


def weights_option(help: str, **rules: Any) -> Callable[[Any], Any]:
    """`--weights`; `rules` are those of `click.Path`."""
    return click.option("--weights", type=WeightsPath(**rules), metavar="DIR|product", help=help)


json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


_DEVICES = "Devices"
_SETTINGS = ("device_binaries", "delegates", "allow_fallback")


def device_options(help: str) -> Callable[[Any], Any]:
    """`--device`, repeatable: names of `devices.registry`, and what devices behind a cable need beside.

    The command finds the devices' settings, which `computing` takes, in its context.
    """
    options = (
        click.option(
            "--device", "devices", multiple=True, metavar="NAME", help=help, cls=GroupedOption, group=_DEVICES
        ),
        click.option(
            "--device-binary", "device_binaries", multiple=True, type=FILE, expose_value=False, callback=_kept,
            help="A tool to run on adb:SERIAL: benchmark_model, run_model or onnxruntime_perf_test, built for Android; "
            "and the .so files that it needs there.",
            cls=GroupedOption, group=_DEVICES,
        ),
        click.option(
            "--delegate", "delegates", multiple=True, type=HintedChoice(["cpu", "gpu", "nnapi", "npu"]),
            expose_value=False, callback=_kept, help="What computes on adb:SERIAL.  [default: cpu]",
            cls=GroupedOption, group=_DEVICES,
        ),
        click.option(
            "--allow-fallback", is_flag=True, expose_value=False, callback=_kept,
            help="A delegate may leave operations to the CPU; else it FAILs.", cls=GroupedOption, group=_DEVICES,
        ),
    )  # fmt: skip

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _kept(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Keep a device's setting in the context, so that commands need not hand each on."""
    ctx.meta[f"{__name__}.{param.name}"] = value
    return value


def computing(backends: Sequence[str], devices: Sequence[str]) -> tuple[Backend, ...]:
    """The backends of those ids and of those devices, each once, in that order.

    Raises:
        DofkitError: there is no backend or no device of such a name, or a device lacks a setting.
    """
    from ..devices.registry import DeviceSettings, device
    from ..runtime_ref.backends.registry import backend

    binaries, delegates, fallback = (click.get_current_context().meta[f"{__name__}.{name}"] for name in _SETTINGS)
    settings = DeviceSettings(binaries, delegates, fallback)
    named = [backend(id) for id in backends]
    return tuple(dict.fromkeys(named + [one for name in devices for one in device(name, settings).backends]))
