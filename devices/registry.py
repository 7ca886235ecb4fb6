"""Every device by its name. A family of devices is a module that makes one from what stands behind the colon."""

from __future__ import annotations

from difflib import get_close_matches

from ..runtime_ref.backends import default_backend
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.target import Target
from .device import Device
from .installing import Say


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


def _browser(name: str) -> Device:
    from .browser.backend import browser

    return browser(name)


def _arm64(name: str) -> Device:
    from .arm64.backend import arm64

    return arm64(name)


def devices_here() -> tuple[Device, ...]:
    """The devices beside this machine that need no further name."""
    return tuple(device(name) for name in INSTALLABLE)


def install(name: str, say: Say) -> None:
    """Fetch what a device needs beside Python packages.

    Args:
        name: one of `INSTALLABLE`.
        say: called with a line before each part, and with what is left out.

    Raises:
        DofkitError: it cannot be had on this machine.
    """
    if name == "arm64":
        from .arm64.installation import install_arm64

        install_arm64(say)
    else:
        from .browser.installation import install_browser

        install_browser(say)


INSTALLABLE = ("arm64", "browser")
_FAMILIES = {"host": _host, "arm64": _arm64, "browser": _browser}
