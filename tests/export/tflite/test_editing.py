"""Names that an app finds tensors by, and what a file says of itself; the numbers stay what they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dofkit.export.labels import Labels, Stamp, refuse_contradiction, stamp
from dofkit.export.tflite.editing import METADATA, read_stamp, write_stamp
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Precision
from dofkit.runtime_ref.tflite_file import TFLiteFile
from dofkit.train.session import default_plan
from dofkit.train.weights import RESEARCH_ONLY, Terms

from .conftest import TFLiteStage

STAMP = Stamp("Für alle", "a team", "CC-BY-4.0", "1.2", {"com.dofkit.precision": "fp32"})


@pytest.fixture
def stamped(convolution: TFLiteStage, tmp_path: Path) -> Path:
    """A copy of a converted file with a stamp."""
    path = tmp_path / "stamped.tflite"
    path.write_bytes(convolution.float32.read_bytes())
    write_stamp(path, STAMP)
    return path


def test_the_graphs_tensors_are_called_as_the_signature_calls_them(convolution: TFLiteStage) -> None:
    file = TFLiteFile(convolution.float32)
    assert file.input_names == {"image": "image"}
    assert [file.name(tensor) for tensor in file.outputs] == ["disparity"]
    names = [file.name(tensor) for tensor in range(file.tensors)]
    assert len(set(names)) == len(names)


def test_a_stamp_is_read_back(stamped: Path) -> None:
    assert read_stamp(stamped) == {
        "description": "Für alle", "author": "a team", "license": "CC-BY-4.0", "version": "1.2",
        "com.dofkit.precision": "fp32",
    }  # fmt: skip
    assert METADATA.encode() in stamped.read_bytes()


def test_a_stamp_changes_no_number(convolution: TFLiteStage, stamped: Path) -> None:
    assert np.array_equal(convolution.run(stamped), convolution.run(convolution.float32))
    again = stamped.with_name("again.tflite")
    again.write_bytes(convolution.float32.read_bytes())
    write_stamp(again, STAMP)
    assert again.read_bytes() == stamped.read_bytes()


def test_stored_tensors_begin_at_multiples_of_16_bytes(stamped: Path) -> None:
    file = TFLiteFile(stamped)
    (convolution,) = (operation for operation in file.operations if operation.kind == "CONV_2D")
    weight = file.constant(convolution.inputs[1])
    assert weight is not None
    assert stamped.read_bytes().index(weight.tobytes()) % 16 == 0


def test_a_stamp_says_whose_the_weights_are_and_never_guesses_a_licence(convolution: TFLiteStage) -> None:
    functions, plan = {"main": convolution.graph}, default_plan()
    silent = stamp(functions, [Terms()], Labels(), Precision.FP32, plan)
    assert (silent.licence, silent.author) == ("", "")
    assert "license" not in silent.texts()
    shipped = stamp(functions, [RESEARCH_ONLY, RESEARCH_ONLY], Labels(author="a team"), Precision.FP32, plan)
    assert shipped.licence == RESEARCH_ONLY.licence
    assert shipped.author == "a team"
    assert json.loads(shipped.texts()["com.dofkit.plan"])["depth_height"] == 384
    both = stamp(functions, [Terms(), RESEARCH_ONLY], Labels(licence="MIT"), Precision.FP32, plan)
    assert both.licence == f"MIT; {RESEARCH_ONLY.licence}"


def test_a_licence_that_the_weights_contradict_is_refused_in_one_line() -> None:
    with pytest.raises(DofkitError, match="--licence MIT: the weights say 'research only") as refusal:
        refuse_contradiction(Labels(licence="MIT"), [RESEARCH_ONLY])
    assert "\n" not in str(refusal.value)
    refuse_contradiction(Labels(licence="MIT"), [Terms(), RESEARCH_ONLY])  # it is the silent one's
    refuse_contradiction(Labels(), [RESEARCH_ONLY])
