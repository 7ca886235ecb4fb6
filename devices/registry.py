"""Every device by its name. A family of devices is a module that makes one from what stands behind the colon."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..runtime_ref.backends import default_backend
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.target import Target
from .device import Device
from .installing import Say


@dataclass(frozen=True)
class DeviceSettings:
    """What devices behind a cable need beside their name.

    Attributes:
        binaries: tools that run there, and shared libraries that they need, by path here.
        delegates: what computes there; empty: the CPU.
        allow_fallback: a delegate may leave operations to the CPU.
    """

    binaries: tuple[Path, ...] = ()
    delegates: tuple[str, ...] = ()
    allow_fallback: bool = False


def device(text: str, settings: DeviceSettings = DeviceSettings()) -> Device:
    """The device of that name.

    Args:
        text: "host", or FAMILY:NAME for a family that has several.
        settings: for devices that take some.

    Raises:
        DofkitError: there is none; names the nearest.
    """
    family, _, name = text.partition(":")
    if family == "adb":
        return _adb(name, settings)
    if family not in _FAMILIES:
        families = [*_FAMILIES, "adb"]
        likely = get_close_matches(family, families, 1)
        remedy = f"did you mean {likely[0]}?" if likely else f"there are {', '.join(families)}"
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


def _adb(serial: str, settings: DeviceSettings) -> Device:
    from .adb.backend import Delegate
    from .adb.backend import device as phone

    delegates = tuple(map(Delegate, settings.delegates))
    return phone(serial, settings.binaries, delegates, strict=not settings.allow_fallback)


def _mac(name: str) -> Device:
    from .apple.backend import mac

    return mac(name)


def _iphone(name: str) -> Device:
    from .apple.backend import iphone

    return iphone(name)


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
_FAMILIES = {"host": _host, "browser": _browser, "arm64": _arm64, "mac": _mac, "iphone": _iphone}
