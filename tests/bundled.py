"""The targets of the suite's bundle: Core AI's tests convert networks of their own."""

from dofkit.runtime_ref.target import Target

BUNDLED = tuple(target for target in Target if target is not Target.COREAI)
