"""ONNX Runtime's own checker for mobile execution providers, asked beside the rules."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from ...runtime_ref.errors import require
from ..profile import DeviceUnit
from .finding import Problem

ID = "onnx-mobile-checker"
REWRITE = "replace the operations that are named, so that one partition is left"


def nnapi_problems(path: Path) -> Iterator[Problem]:
    """What `onnxruntime.tools.mobile_helpers` says of a file on NNAPI: how it would be cut into partitions.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    onnx = require("onnx", "onnx", "checking an ONNX model for phones")
    checker = require("onnxruntime.tools.mobile_helpers.usability_checker", "onnx", "checking an ONNX model for phones")
    logging.getLogger("usability_checker").setLevel(logging.ERROR)
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    found = checker.check_nnapi_partitions(model, True)
    if found.suitability() is found.TryWithEP.YES:
        return
    share = f"{found.num_supported_nodes} of {found.num_nodes} operations in {found.num_partitions} partitions"
    lacking = f"; not taken: {', '.join(sorted(found.unsupported_ops))}" if found.unsupported_ops else ""
    verdict = found.suitability().name.lower()
    yield Problem(None, f"ONNX Runtime's checker: NNAPI would compute {share} (worth trying: {verdict}){lacking}")


UNIT = DeviceUnit.NNAPI
