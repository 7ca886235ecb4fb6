"""PyTorch as one more backend: it computes a stage from the weights that its file was exported from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..runtime_ref.backends import Backend, BackendFacts, BackendUnavailableError, Session
from ..runtime_ref.backends.backend import Origin
from ..runtime_ref.bundle import Bundle, ModelEntry
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.pipeline.aspects import size_text
from ..runtime_ref.pipeline.stage import TILED
from ..runtime_ref.target import Target
from .brought.naming import DepthModelName, NetworkNames

FACTS = BackendFacts(
    id="pytorch",
    title="PyTorch",
    library="torch",
    targets=tuple(Target),
    device="cpu",
    shows="what every exported file is compared with",
    needs="torch",
    install="pip install 'dofkit[train]'",
    row="{scope}, PyTorch",
)


@dataclass(frozen=True)
class PyTorch(Backend):
    """PyTorch fp32 on the CPU. It computes a model's stage, whatever the model's own file holds.

    Attributes:
        weights: the folder of weights; None: those that ship.
        brought: networks that take the place of stages' weights.
    """

    weights: Path | None = None
    brought: NetworkNames = field(default_factory=NetworkNames)

    @property
    def origin(self) -> Origin:
        """How another process makes it."""
        settings = {} if self.weights is None else {"weights": str(self.weights.resolve())}
        settings |= {name: value for name, value in _texts(self.brought).items() if value}
        return Origin(module=__name__, id=self.facts.id, settings=settings)

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> Session:
        """Load a model's stage; see `Backend.open`. The threads are those of the whole process."""
        del bundle
        if (absent := self.available()) is not None:
            raise BackendUnavailableError(str(absent))
        import torch

        from .session import TorchSession
        from .weights import SHIPPED, load_weights

        torch.set_num_threads(threads)
        if (brought := self.brought.of_stage(model.stage)) is not None:
            return TorchSession(model.stage, brought.open().network)
        return TorchSession(model.stage, load_weights(model.stage, self.weights or SHIPPED))


def _texts(brought: NetworkNames) -> dict[str, str | None]:
    """The names of networks as arguments of `backend`."""
    depth, (blur, upsampling) = brought.depth, map(brought.of_stage, TILED)
    return {
        "depth_model": depth and _anywhere(depth.model),
        "depth_kind": depth and depth.kind,
        "depth_normalisation": depth and depth.normalisation,
        "depth_size": depth and depth.size and size_text(depth.size),
        "lens_blur_model": blur and _anywhere(blur.model),
        "upsampling_model": upsampling and _anywhere(upsampling.model),
    }


def _anywhere(model: str) -> str:
    """A name that holds in every working folder."""
    return str(Path(model).resolve()) if Path(model).exists() else model


def pytorch(weights: Path | None = None, brought: NetworkNames | None = None) -> PyTorch:
    """PyTorch with a folder of weights (None: those that ship), and networks that were brought."""
    return PyTorch(FACTS, weights, brought or NetworkNames())


def backend(
    id: str,
    weights: str | None = None,
    depth_model: str | None = None,
    depth_kind: str | None = None,
    depth_normalisation: str | None = None,
    depth_size: str | None = None,
    lens_blur_model: str | None = None,
    upsampling_model: str | None = None,
) -> PyTorch:
    """The backend of that id, for a process of its own.

    Raises:
        DofkitError: this module has no such backend.
    """
    if id != FACTS.id:
        raise DofkitError(f"no backend is called {id!r}; there is {FACTS.id}")
    height, width = map(int, depth_size.split("x")) if depth_size else (0, 0)
    size = (height, width) if depth_size else None
    depth = DepthModelName(depth_model, depth_kind, depth_normalisation, size) if depth_model else None
    return pytorch(Path(weights) if weights else None, NetworkNames.of(depth, lens_blur_model, upsampling_model))
