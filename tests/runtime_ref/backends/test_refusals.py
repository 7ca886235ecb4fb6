"""A file that wants other inputs than the stage has is refused in one line, not with a runtime's traceback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.backends.onnx import OnnxSession
from dofkit.runtime_ref.backends.tflite import InterpreterSession
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage

INPUTS = {"image": np.zeros((1, 3, 8, 8), np.float32), "defocus": np.zeros((1, 1, 8, 8), np.float32)}


def test_onnx_runtime_says_that_it_wants_another_shape(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shapes = {"image": [1, 3, 9, 8], "defocus": [1, 1, 9, 8], "blurred": [1, 3, 9, 8]}
    values = {name: helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()}
    node = helper.make_node("Mul", ["image", "defocus"], ["blurred"])
    graph = helper.make_graph([node], "blur", [values["image"], values["defocus"]], [values["blurred"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "blur.onnx").write_bytes(model.SerializeToString())
    session = OnnxSession(Stage.LENS_BLUR, tmp_path / "blur.onnx", threads=1)
    with pytest.raises(
        DofkitError, match=r"blur.onnx \(.*invalid dimensions for input: image.*export the bundle again"
    ):
        session.run(INPUTS)


class _Runner:
    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        raise ValueError("Cannot set tensor: Dimension mismatch. Got 8 but expected 1000000\nfor dimension 1")


class _Interpreter:
    def allocate_tensors(self) -> None:
        pass

    def get_signature_runner(self, name: str) -> _Runner:
        assert name == "lens_blur"
        return _Runner()


def test_an_interpreter_says_that_it_wants_another_shape() -> None:
    session = InterpreterSession(Stage.LENS_BLUR, _Interpreter(), "LiteRT 1")
    with pytest.raises(DofkitError, match=r"LiteRT 1 cannot compute blurred \(Cannot set tensor.*1000000\); export"):
        session.run(INPUTS)
