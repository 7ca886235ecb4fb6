"""The process that `dofkit bench` starts for each runtime: a request as JSON on stdin, the figures on stdout."""

from __future__ import annotations

import sys

from ..devices.host import BenchRequest, measure_bundle
from ..runtime_ref.backends import Session, open_session
from ..runtime_ref.bundle import Bundle
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.pipeline.stage import Stage


def _open(request: BenchRequest, bundle: Bundle, stage: Stage) -> Session:
    if request.target is None:
        import torch

        from ..train.session import TorchSession
        from ..train.weights import SHIPPED, load_weights

        torch.set_num_threads(request.threads)
        return TorchSession(stage, load_weights(stage, request.weights or SHIPPED))
    model = next(m for m in bundle.models(request.target, request.precision) if m.stage is stage)
    return open_session(bundle, model, request.threads)


def main() -> None:
    """Measure one request."""
    request = BenchRequest.model_validate_json(sys.stdin.read())
    try:
        figures = measure_bundle(request, lambda bundle, stage: _open(request, bundle, stage))
    except DofkitError as error:
        sys.exit(str(error))
    print(figures.model_dump_json())


if __name__ == "__main__":
    main()
