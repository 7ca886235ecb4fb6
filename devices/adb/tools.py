"""What every benchmark tool that runs on a device has: a job, the delegates it computes on, and what its words mean.

The tools themselves are in `litert_tools` and `onnx_tools`, the one that a file is in `known_tools`. A team builds them
from their runtimes' sources, or takes them from its vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.enums import TitledEnum
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.target import Target

RUNS, WARM_UP = 10, 3  # of one start of a tool, whose median is one sample


class Delegate(TitledEnum):
    """What computes on a phone."""

    CPU = "cpu", "CPU"
    GPU = "gpu", "GPU"
    NNAPI = "nnapi", "NNAPI"
    NPU = "npu", "NPU"


@dataclass(frozen=True)
class ToolTimes:
    """What a tool measured, in milliseconds.

    Attributes:
        first: the first inference.
        typical: the median of the steady ones; their mean where the tool tells no median.
        delegated: how many of how many operations the delegate took; None where the tool does not tell.
    """

    first: float
    typical: float
    delegated: tuple[int, int] | None = None


@dataclass(frozen=True)
class ToolJob:
    """One start of a tool; all paths are the device's.

    Attributes:
        tool, graph: the tool and the model's file.
        folder: of this start alone, see `input_path` and `output_path`.
        entry: the model.
        delegate: what computes.
        strict: refuse to compute anything elsewhere.
        threads: CPU threads.
        libraries: the folder of the shared libraries that were given with the tool; empty where there are none.
    """

    tool: str
    graph: str
    folder: str
    entry: ModelEntry
    delegate: Delegate
    strict: bool
    threads: int
    libraries: str = ""

    @property
    def input_folder(self) -> str:
        """Where the inputs lie, each as `NAME.raw`."""
        return f"{self.folder}/in"

    @property
    def output_folder(self) -> str:
        """Where the output goes, as `NAME.raw`."""
        return f"{self.folder}/out"

    def input_path(self, name: str) -> str:
        """The file of an input's numbers."""
        return f"{self.input_folder}/{name}.raw"

    @property
    def output_path(self) -> str:
        """The file of the output's numbers."""
        (tensor,) = self.entry.outputs
        return f"{self.output_folder}/{tensor.name}.raw"


class Tool(Protocol):
    """A benchmark tool."""

    @property
    def target(self) -> Target:
        """Whose files it runs."""
        ...

    @property
    def delegates(self) -> tuple[Delegate, ...]:
        """What it can compute on."""
        ...

    @property
    def gives_outputs(self) -> bool:
        """Whether it writes what it computes."""
        ...

    def command(self, job: ToolJob) -> list[str]:
        """Its arguments."""
        ...

    def times(self, text: str) -> ToolTimes:
        """What it measured.

        Raises:
            DofkitError: the text holds no times.
        """
        ...


def no_times(tool: str, text: str) -> DofkitError:
    """The error of a tool that told no times; quotes its last line."""
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it says nothing")
    return DofkitError(f"{tool} tells no times ({last}); try the tool there by hand")


def inputs_of(job: ToolJob) -> Mapping[str, str]:
    """Name -> file of every input."""
    return {tensor.name: job.input_path(tensor.name) for tensor in job.entry.inputs}
