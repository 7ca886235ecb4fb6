"""Every device by its name. A family of devices is a module that makes one from what stands behind the colon."""

from __future__ import annotations

from difflib import get_close_matches

from ..runtime_ref.backends import default_backend
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.target import Target
from .device import Device


def device(text: str) -> Device:
    """The device of that name.

    Args:
        text: "host", or FAMILY:NAME for a family that has several.

    Raises:
        DofkitError: there is none; names the nearest.
    """
    family, _, name = text.partition(":")
    if family not in _FAMILIES:
        likely = get_close_matches(family, _FAMILIES, 1)
        remedy = f"did you mean {likely[0]}?" if likely else f"there are {', '.join(_FAMILIES)}"
        raise DofkitError(f"no device is called {text!r}; {remedy}")
    return _FAMILIES[family](name)


def _host(name: str) -> Device:
    if name:
        raise DofkitError(f"this machine is called host, not host:{name}")
    usual = dict.fromkeys(map(default_backend, Target))
    return Device("host", "this machine", tuple(one for one in usual if not one.facts.is_reference))


_FAMILIES = {"host": _host}
