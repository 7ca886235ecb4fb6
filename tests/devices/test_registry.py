"""A device is found by its name, and a name that is none gets the nearest."""

from __future__ import annotations

import pytest

from dofkit.devices.registry import device
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Target


def test_this_machine_computes_what_apps_compute_here_and_no_reference_evaluation() -> None:
    host = device("host")
    assert {"onnx", "tflite"} <= {target.value for one in host.backends for target in one.facts.targets}
    assert not any(one.facts.is_reference for one in host.backends)
    assert host.backends_for(Target.ONNX)[0].facts.targets == (Target.ONNX,)


def test_a_device_that_is_none_gets_the_nearest_name() -> None:
    with pytest.raises(DofkitError, match=r"no device is called 'hots'; did you mean host\?"):
        device("hots")


def test_this_machine_has_one_name() -> None:
    with pytest.raises(DofkitError, match="called host, not host:x"):
        device("host:x")
