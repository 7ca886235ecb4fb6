"""LiteRT's own GPU accelerator, asked beside the rules: what it does not take, it names itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ...runtime_ref.backends import BackendUnavailableError
from ...runtime_ref.backends.own_process import OwnProcess, SessionCrashError
from ...runtime_ref.backends.registry import backend
from ...runtime_ref.bundle import Bundle, ModelEntry
from ...runtime_ref.errors import DofkitError, MissingExtraError
from ...runtime_ref.target import Target
from ..profile import DeviceUnit
from ..software_vulkan import software_vulkan
from .finding import Problem

ID = "litert-gpu"
TITLE = "LiteRT's GPU accelerator"
REWRITE = "compute what it names from operations that it takes, or leave the whole stage to the CPU"
UNIT, TARGET = DeviceUnit.GPU, Target.TFLITE
_BACKEND = "litert-gpu-fp32"
_PATIENCE = 300.0  # seconds; software compiles the shaders of 300 operations in some 10


class GpuAccelerator:
    """The accelerator in a process of its own, which it may crash: on this machine's GPU, else on one in software.

    Args:
        start: makes the transport; takes the arguments of `OwnProcess`.

    Attributes:
        absent: why it was not asked; empty where it was, or nothing was to be asked.
    """

    def __init__(self, start: Callable[..., OwnProcess] = OwnProcess) -> None:
        self.absent = ""
        self._start = partial(start, timeout=_PATIENCE)
        self._process = self._start()
        self._in_software = False

    def stop(self) -> None:
        """End its process."""
        self._process.stop()

    def problems(self, bundle: Bundle, model: ModelEntry) -> Iterator[Problem]:
        """What it says of a TFLite file; nothing where it takes it whole, or cannot be asked (see `absent`)."""
        if self.absent:
            return
        try:
            self._open(bundle, model)
        except (BackendUnavailableError, MissingExtraError) as error:
            self.absent = str(error)
        except SessionCrashError as error:
            yield Problem(None, f"{TITLE} does not survive the file ({error})")
        except DofkitError as error:
            yield Problem(None, str(error).replace(f" {bundle.path(model.path)}", " the file"))

    def _open(self, bundle: Bundle, model: ModelEntry) -> None:
        try:
            self._process.open(backend(_BACKEND), bundle, model)
        except BackendUnavailableError:
            variables = software_vulkan()
            if self._in_software or variables is None:
                raise
            self._process.stop()
            self._process, self._in_software = self._start(environment=variables), True
            self._process.open(backend(_BACKEND), bundle, model)
