"""An evaluator for Core AI's programs: it reads a saved `.aimodel` and computes in numpy what it says.

It is a reference evaluation, never Apple's runtime (which runs on Linux, too: `backends.coreai`), and takes the
machinery of `runtime_ref.mil`: what an operation computes is Core AI's own, order, rounding and checks are the same.
Reading the bytecode needs the package coreai-core.

>>> from dofkit.runtime_ref.coreai import open_program
>>> program = open_program("portrait.aimodel")                   # doctest: +SKIP
>>> outputs = program.predict({"image": picture})                # doctest: +SKIP
"""

from .asset import Asset
from .model import open_program

__all__ = ["Asset", "open_program"]
