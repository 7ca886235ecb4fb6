"""One concept for everything that can run a stage's file: a backend states its facts and opens models as sessions.

Which there are stands in `registry`; where they compute (in this process, in one of their own) in `transport`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ..bundle import Bundle, ModelEntry
from ..enums import TitledEnum
from ..errors import MissingExtraError
from ..pipeline.session import Session
from ..target import Target


class Arithmetic(TitledEnum):
    """In what floats a backend computes what a file stores as floats."""

    STORED = "as stored", "the types that the file's tensors have"
    FP16 = "fp16", "16-bit floats, whatever the file says"
    DECLARED = "as declared", "every result rounded to the type that the program declares"
    IDEAL = "ideal", "by the definition of each operator"


@dataclass(frozen=True)
class NotRun:
    """Why a backend cannot run on this machine, and the way out."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


class BackendUnavailableError(MissingExtraError):
    """A backend cannot run on this machine; the text says what is missing and how to get it."""


@dataclass(frozen=True)
class BackendFacts:
    """What is known of a backend before anything is opened.

    Attributes:
        id: its name on the command line and in reports.
        title: what it is, for people.
        library: the Python package that must be importable; the distribution's name where that differs is `package`.
        targets: whose files it opens.
        device: what computes: "cpu", "gpu", "neural engine".
        shows: what its agreement shows.
        needs: what must be there for it to run.
        install: the command that brings its library.
        remedy: how to get what it needs beside the library; empty where it needs no more.
        arithmetic: in what floats it computes what is stored as floats.
        half_sums: sums of 16-bit floats are kept in 16 bits, too, as ARM cores do and x86 ones do not.
        delegate: the part of the library that computes; empty where there is one only.
        row: the name of a row of it, from the scope's.
        package: the distribution that brings the library; empty where it has the library's name.
        is_reference: it evaluates a file by definition; apps use another runtime.
        is_routine: every check asks it where it is available, and not only those that ask for it.
        on_one_core: a run keeps one core busy, whatever number of threads it is given.
    """

    id: str
    title: str
    library: str
    targets: tuple[Target, ...]
    device: str
    shows: str
    needs: str
    install: str
    remedy: str = ""
    arithmetic: Arithmetic = Arithmetic.STORED
    half_sums: bool = False
    delegate: str = ""
    row: str = "{scope}"
    package: str = ""
    is_reference: bool = False
    is_routine: bool = False
    on_one_core: bool = False


class Origin(BaseModel):
    """How another process makes the same backend: `MODULE.backend(ID, **SETTINGS)`, a module of dofkit's own."""

    model_config = ConfigDict(frozen=True)

    module: str
    id: str
    settings: dict[str, str] = {}


@dataclass(frozen=True)
class Backend(ABC):
    """Something that runs files of one or several targets.

    Attributes:
        facts: what is known of it before anything is opened.
    """

    facts: BackendFacts

    @property
    def origin(self) -> Origin:
        """How another process makes it."""
        return Origin(module=f"{__package__}.registry", id=self.facts.id)

    def version(self) -> str:
        """The library's version, read from what is installed; empty where it is not. Imports nothing."""
        return installed_version(self.facts.package or self.facts.library)

    def available(self) -> NotRun | None:
        """Why it cannot run here, as far as can be told without opening a file; None where it can."""
        if _importable(self.facts.library):
            return None
        package = self.facts.package or self.facts.library
        return NotRun(f"the package {package} is not installed", f"run: {self.facts.install}")

    @abstractmethod
    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> Session:
        """Open a model of a bundle, in this process; some backends can crash it, see `own_process`.

        Args:
            bundle: that the model belongs to.
            model: of one of the backend's targets.
            threads: CPU threads, where the runtime takes a number.

        Raises:
            BackendUnavailableError: it cannot run on this machine; says what is missing and how to get it.
            MissingExtraError: its library is not installed.
            DofkitError: the runtime does not take the file.
        """

    def _path(self, bundle: Bundle, model: ModelEntry) -> Path:
        """Path of a model's file.

        Raises:
            ValueError: it is of a target that this backend does not open.
        """
        if model.target not in self.facts.targets:
            opened = " and ".join(target.value for target in self.facts.targets)
            raise ValueError(f"{self.facts.id} computes {opened} files, not {model.target} ones")
        return bundle.path(model.path)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # an import hook that forbids it
        return False


def installed_version(package: str) -> str:
    """The version of an installed distribution; empty where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
