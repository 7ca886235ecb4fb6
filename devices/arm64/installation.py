"""What the emulation needs and where it lies: two QEMUs, a small ARM system with Python, the runtimes' ARM builds.

Two QEMUs because none does all: version 10 emulates every core faithfully but Debian builds it without plugins;
Debian 12's 7.2 takes plugins, and so counts instructions.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from pathlib import Path

from ...runtime_ref.backends.backend import NotRun
from ...runtime_ref.cache import cache_folder
from ...runtime_ref.errors import DofkitError
from ..installing import Part, Say, install, run_tool
from .debian import Release

COMMAND = "dofkit doctor --install arm64"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PLUGIN_SOURCE = Path(__file__).with_name("counting.c")
PYTHON = "python3.11"  # Debian 12's; the wheels are fetched for it

_QEMU = "usr/bin/qemu-aarch64"
_EMULATOR = Release("trixie", "amd64")
_COUNTER = Release("bookworm", "amd64")
_SYSTEM = Release("bookworm", "arm64")
# The tags of wheels that Debian 12's C library (2.36) takes.
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
# QEMU 7.2 shows programs the host's /proc/cpuinfo, on which ONNX Runtime's import fails; files below the root go first.
_CPUINFO = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\n"


def folder() -> Path:
    """Where all parts lie."""
    return cache_folder() / "arm64"


def emulator() -> Path:
    """QEMU 10."""
    return _folder_of("emulator") / _QEMU


def counter() -> Path:
    """The root of QEMU 7.2 and its libraries."""
    return _folder_of("counter")


def plugin() -> Path:
    """The compiled plugin that counts."""
    return _folder_of("plugin", PLUGIN_SOURCE) / "counting.so"


def system() -> Path:
    """The root of the ARM system."""
    return _folder_of("system")


def packages() -> Path:
    """The folder of ARM Python packages."""
    return _folder_of("packages", REQUIREMENTS)


def _folder_of(name: str, made_of: Path | None = None) -> Path:
    """A part's folder; of another name when what it is made of changes."""
    if made_of is not None:
        name = f"{name}-{hashlib.sha256(made_of.read_bytes()).hexdigest()[:8]}"
    return folder() / name


def parts() -> tuple[Part, ...]:
    """All that results need, in the order of installation; instructions need `counting_parts`, too."""
    return (
        Part("QEMU 10, the emulator (71 MB to fetch)", _folder_of("emulator"), _make_emulator),
        Part("an ARM system with Python (16 MB)", system(), _make_system),
        Part("LiteRT and ONNX Runtime for ARM (70 MB)", packages(), _make_packages),
    )


def counting_parts() -> tuple[Part, ...]:
    """What counts instructions."""
    return (
        Part("QEMU 7.2, which takes plugins (35 MB)", counter(), _make_counter),
        Part("the plugin that counts instructions", plugin().parent, _make_plugin),
    )


def missing() -> NotRun | None:
    """Why nothing can be emulated here; None where it can."""
    return _absent(parts(), "ARM is not emulated here yet")


def missing_counter() -> NotRun | None:
    """Why instructions cannot be counted here; None where they can."""
    return missing() or _absent(counting_parts(), "instructions cannot be counted here yet")


def _absent(wanted: tuple[Part, ...], what: str) -> NotRun | None:
    lacking = [part.title for part in wanted if not part.is_there]
    return NotRun(f"{what} ({', '.join(lacking)} missing)", f"run: {COMMAND}") if lacking else None


def install_arm64(say: Say) -> None:
    """Fetch and build everything that is missing.

    Raises:
        DofkitError: this machine is no Linux x86-64 with Debian's tools, or a part cannot be had.
    """
    _refuse_other_machines()
    install(parts(), say)
    if shutil.which("cc") is None:
        say("no C compiler (cc): results are there, instructions are not counted; install gcc and run this again")
        return
    install(counting_parts(), say)


def _refuse_other_machines() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise DofkitError("ARM is emulated on Linux x86-64 only; run this there (in a container, too)")
    absent = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if absent:
        raise DofkitError(f"setting ARM up needs {' and '.join(absent)}; run this on Debian (in a container, too)")


def _make_emulator(into: Path) -> None:
    _EMULATOR.unpack(["qemu-user"], into, only=(_QEMU,))


def _make_counter(into: Path) -> None:
    # With all its libraries, the C library too: whatever the machine's own are, these fit.
    _COUNTER.unpack(["qemu-user"], into)
    for other in (into / "usr" / "bin").glob("qemu-*"):
        if other.name != Path(_QEMU).name:
            other.unlink()


def _make_plugin(into: Path) -> None:
    goal = into / "counting.so"
    run_tool(["cc", "-O2", "-shared", "-fPIC", "-o", goal, PLUGIN_SOURCE], into, "compiling the plugin")


def _make_system(into: Path) -> None:
    _SYSTEM.unpack([PYTHON, "libstdc++6", "libgomp1"], into)
    (into / "proc").mkdir(exist_ok=True)
    (into / "proc" / "cpuinfo").write_text(_CPUINFO)


def _make_packages(into: Path) -> None:
    platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
    abis = [word for name in ("cp311", "abi3", "none") for word in ("--abi", name)]
    run_tool(
        [
            sys.executable, "-I", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--no-compile",
            "--python-version", "3.11", "--implementation", "cp", *abis, *platforms,
            "--target", into, "-r", REQUIREMENTS,
        ],
        into, "fetching the ARM packages", {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"},
    )  # fmt: skip
