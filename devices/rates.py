"""What a unit can do at most, and this machine's measured: products of matrices and copies, by NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..runtime_ref.backends._process import module_path
from ..runtime_ref.errors import DofkitError
from .profile import DeviceUnit

_REPEATS = 5
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_START = (  # the working folder is not on the path: no code from there is ever run
    "import sys; side = int(sys.argv[1]); sys.path[:] = sys.argv[2:]; "
    f"from {__name__} import print_rates; print_rates(side)"
)


@dataclass(frozen=True)
class Rates:
    """What a unit can do at most.

    Attributes:
        gflops: multiplications and additions in floats, 10^9 a second.
        bandwidth: of the memory, 10^9 bytes a second.
        unit: what computes.
    """

    gflops: float
    bandwidth: float
    unit: DeviceUnit = DeviceUnit.CPU


def rates_here(threads: int, side: int = 768) -> Rates:
    """This machine's rates, measured: the best of several products of matrices and copies, by NumPy in a process of its
    own, since NumPy takes its number of threads from the environment when it starts.

    Raises:
        DofkitError: the process failed.
    """
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
    arguments = [sys.executable, "-c", _START, str(side), *module_path()]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise DofkitError(f"this machine's rates cannot be measured ({done.stderr[-200:].strip()}); --no-validation")
    gflops, bandwidth = map(float, done.stdout.split())
    return Rates(gflops, bandwidth)


def print_rates(side: int) -> None:
    """Measure, and print both rates; called in the process that `rates_here` starts."""
    matrix, block = np.ones((side, side), np.float32), np.ones(1 << 24, np.float32)
    target = np.empty_like(block)
    products = _fastest(lambda: np.matmul(matrix, matrix))
    copies = _fastest(lambda: np.copyto(target, block))
    print(2 * side**3 / products / 1e9, 2 * block.nbytes / copies / 1e9)


def _fastest(call: Callable[[], object]) -> float:
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)
