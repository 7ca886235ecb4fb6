"""An evaluator for Core ML's ML Programs that runs anywhere: it reads a saved package and computes what it says.

It is a reference evaluation, never the Core ML runtime: it follows the definitions of the operations (MIL, as Apple
documents them in coremltools) and says nothing of the kernels of a phone's Neural Engine or GPU.

>>> from dofkit.runtime_ref.mil import MLProgram
>>> program = MLProgram.open("portrait.mlpackage")               # doctest: +SKIP
>>> outputs = program.predict({"image": picture})                # doctest: +SKIP
"""

from .elements import Element
from .evaluator import NonFinite, Numerics
from .features import ColorSpace, Feature
from .model import Evaluation, MLProgram, NonFiniteWarning, ProgramPackage
from .package import Package

__all__ = [
    "ColorSpace",
    "Element",
    "Evaluation",
    "Feature",
    "MLProgram",
    "NonFinite",
    "NonFiniteWarning",
    "Numerics",
    "Package",
    "ProgramPackage",
]
