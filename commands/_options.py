"""Options that several commands share, and how they turn into the project's own types."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..runtime_ref.target import Precision, Target
from ..train.shipped import PRODUCT_NAME, named_weights
from ._hints import did_you_mean

if TYPE_CHECKING:
    from ..runtime_ref.backends import Backend

Kind = TypeVar("Kind", bound=Enum)
_MANIFEST = "manifest.json"


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


class FiniteFloat(click.FloatRange):
    """A number in a range. `nan` and `inf`, which every comparison lets through, are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


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


def choice_option(flag: str, values: Sequence[str], help: str) -> Callable[[Any], Any]:
    """A choice of words, the first of which is the default."""
    return click.option(flag, type=HintedChoice(values), default=values[0], show_default=True, help=help)


def weights_option(help: str, **rules: Any) -> Callable[[Any], Any]:
    """`--weights`; `rules` are those of `click.Path`."""
    return click.option("--weights", type=WeightsPath(**rules), metavar="DIR|product", help=help)


json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def device_option(help: str) -> Callable[[Any], Any]:
    """`--device`, repeatable: names of `devices.registry`."""
    return click.option("--device", "devices", multiple=True, metavar="NAME", help=help)


def computing(backends: Sequence[str], devices: Sequence[str]) -> tuple[Backend, ...]:
    """The backends of those ids and of those devices, each once, in that order.

    Raises:
        DofkitError: there is no backend or no device of such a name.
    """
    from ..devices.registry import device
    from ..runtime_ref.backends.registry import backend

    named = [backend(id) for id in backends]
    return tuple(dict.fromkeys(named + [one for name in devices for one in device(name).backends]))
