"""The command lines that start dofkit's worker in an emulated Python, and the cores that are emulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import installation

# The guest sees the host's files. dofkit is found by its folder alone: what lies beside it is built for this machine.
_START = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
packages, home = sys.argv[1:]
sys.path.insert(0, packages)
spec = spec_from_file_location("dofkit", home + "/__init__.py", submodule_search_locations=[home])
sys.modules["dofkit"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["dofkit"])
from dofkit.runtime_ref.backends._worker import main
main()
"""
_HOME = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Core:
    """A processor core as QEMU emulates it.

    Attributes:
        qemu: QEMU's name for it, with features.
        title: for people.
    """

    qemu: str
    title: str


CORTEX_A76 = Core("cortex-a76", "emulated Cortex-A76")  # ARMv8.2: fp16 arithmetic and int8 dot products
# Everything QEMU knows, int8 matrix multiplication among it. Without SME, whose kernels no phone here is known to run.
MATRIX = Core("max,sme=off", "emulated ARMv9")


def emulated(core: Core) -> list[str]:
    """The command that runs dofkit's worker on a core."""
    return [str(installation.emulator()), *_program(core)]


def counted(core: Core, marks: Path) -> list[str]:
    """The same where instructions are counted; every `os.getppid()` there appends the count so far to `marks`."""
    root = installation.counter()
    loader = str(root / "lib64" / "ld-linux-x86-64.so.2")
    libraries = ":".join(str(root / part / "x86_64-linux-gnu") for part in ("lib", "usr/lib"))
    plugin = f"{installation.plugin()},out={marks}"
    # By its own loader: QEMU 7.2 is dynamic, and the machine's C library may be older or newer.
    qemu = [loader, "--library-path", libraries, str(root / "usr" / "bin" / "qemu-aarch64"), "-plugin", plugin]
    return [*qemu, *_program(core)]


def _program(core: Core) -> Sequence[str]:
    system = installation.system()
    variables = {
        "PYTHONHASHSEED": "0",  # the same instructions every time
        "PYTHONPYCACHEPREFIX": str(installation.folder() / "pycache"),
        "OMP_NUM_THREADS": "1",
    }
    settings = [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHOME"):
        settings += ["-U", name]
    python = [str(system / "usr" / "bin" / installation.PYTHON), "-s", "-c", _START]
    return ["-cpu", core.qemu, "-L", str(system), *settings, *python, str(installation.packages()), str(_HOME)]
