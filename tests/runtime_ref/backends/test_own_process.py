"""Backends in other processes compute the same, and whatever happens to such a process is an error and no more."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dofkit.runtime_ref.backends import default_backend, open_session
from dofkit.runtime_ref.backends._wire import Reply, read_message, write_message
from dofkit.runtime_ref.backends.own_process import OwnProcess, SessionCrashError, SessionTimeoutError
from dofkit.runtime_ref.backends.patience import VARIABLE
from dofkit.runtime_ref.backends.registry import backend
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.errors import DofkitError, MissingExtraError
from dofkit.runtime_ref.pipeline.session import run_each
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target

from ...bundled import BUNDLED
from .there import assert_same, fake_runtime, golden_inputs, gone, model_of, open_there

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.mark.parametrize("target", BUNDLED)
def test_another_process_computes_the_same(bundle: Bundle, transport: OwnProcess, target: Target) -> None:
    for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING):
        model = model_of(bundle, target, stage)
        here, there = open_session(bundle, model), open_there(transport, bundle, model)
        output = there.run(golden_inputs(bundle, stage))
        assert_same(output, here.run(golden_inputs(bundle, stage)))
        assert there.runtime == here.runtime


def test_models_of_a_variant_share_a_process_and_another_backend_has_its_own(
    bundle: Bundle, transport: OwnProcess
) -> None:
    blur, upsampling = (
        open_there(transport, bundle, model_of(bundle, stage=stage))
        for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
    )
    other = transport.open(backend("onnxruntime-unoptimised"), bundle, model_of(bundle))
    assert blur.process_id == upsampling.process_id
    assert other.process_id not in (blur.process_id, None)


def test_a_backend_that_keeps_one_core_busy_computes_side_by_side_in_a_process_for_each_thread(bundle: Bundle) -> None:
    usual = default_backend(Target.ONNX)
    on_one_core = replace(usual, facts=replace(usual.facts, on_one_core=True))
    inputs = golden_inputs(bundle)
    several = [{**inputs, "image": inputs["image"] * part} for part in (1.0, 0.5, 0.25)]
    with OwnProcess(threads=2) as transport:
        session = transport.open(on_one_core, bundle, model_of(bundle))
        beside, at_once = session.side_by_side()
        for output, each in zip(run_each(session, several), several, strict=True):
            assert_same(output, session.run(each))
    assert (at_once, beside is session) == (2, False)


def test_its_processes_have_the_variables_that_they_were_given(bundle: Bundle) -> None:
    with OwnProcess(environment={"DOFKIT_TEST_VARIABLE": "given"}) as transport:
        session = open_there(transport, bundle, model_of(bundle))
        variables = Path(f"/proc/{session.process_id}/environ").read_bytes().split(b"\0")
    assert b"DOFKIT_TEST_VARIABLE=given" in variables
    assert any(one.startswith(b"PATH=") for one in variables), "and those of this process"


def test_a_backend_that_takes_all_threads_computes_one_after_the_other(bundle: Bundle, transport: OwnProcess) -> None:
    session = open_there(transport, bundle, model_of(bundle))
    assert session.side_by_side() == (session, 1)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_named_by_its_signal_and_the_next_call_computes(
    bundle: Bundle, transport: OwnProcess, number: signal.Signals
) -> None:
    session, inputs = open_there(transport, bundle, model_of(bundle)), golden_inputs(bundle)
    expected = session.run(inputs)
    process = session.process_id
    assert process is not None
    os.kill(process, signal.SIGSTOP)  # so that it dies with the request in its hands, however fast it is
    crash = threading.Timer(0.2, lambda: (os.kill(process, number), os.kill(process, signal.SIGCONT)))
    crash.start()
    with pytest.raises(SessionCrashError, match=f"process died with {number.name} while computing lens_blur"):
        session.run(inputs)
    crash.join()
    assert_same(session.run(inputs), expected)
    assert session.process_id != process


def test_a_process_that_died_idle_is_started_again(bundle: Bundle, transport: OwnProcess) -> None:
    session, inputs = open_there(transport, bundle, model_of(bundle)), golden_inputs(bundle)
    expected = session.run(inputs)
    process = session.process_id
    assert process is not None
    os.kill(process, signal.SIGKILL)
    end = time.monotonic() + 10
    while session.process_id is not None:  # its first thread is gone before the others are, and it with them
        assert time.monotonic() < end
        time.sleep(0.02)
    assert_same(session.run(inputs), expected)


def test_the_last_words_of_a_crash_are_told(
    bundle: Bundle, transport: OwnProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = r"os.write(2, b'INFO: fine\nterminate called: no memory\nINFO: bye\n'); os.abort()"
    fake_runtime(tmp_path, monkeypatch, words)
    with pytest.raises(SessionCrashError) as caught:
        open_there(transport, bundle, model_of(bundle))
    assert str(caught.value) == (
        "the runtime's process died with SIGABRT while opening lens_blur (last words: terminate called: no memory)"
    )


def test_a_model_whose_opening_was_fatal_is_not_opened_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "openings"
    fake_runtime(tmp_path, monkeypatch, f"open({str(count)!r}, 'a').write('x'); os.abort()")
    with OwnProcess() as transport:
        texts = []
        for _ in range(3):
            with pytest.raises(SessionCrashError) as caught:
                open_there(transport, bundle, model_of(bundle))
            texts.append(str(caught.value))
        assert len(set(texts)) == 1
        assert count.read_text() == "x"
        transport.stop()
        with pytest.raises(SessionCrashError):
            open_there(transport, bundle, model_of(bundle))
        assert count.read_text() == "xx"


def test_an_open_model_is_not_opened_again(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = tmp_path / "openings"
    fake_runtime(tmp_path, monkeypatch, f"open({str(count)!r}, 'a').write('x')")
    with OwnProcess() as transport:
        runtimes = [open_there(transport, bundle, model_of(bundle)).runtime for _ in range(3)]
    assert runtimes == ["ONNX Runtime 0"] * 3
    assert count.read_text() == "x"


def test_a_call_beyond_its_time_is_stopped_and_a_runtime_that_is_slow_by_nature_has_a_quarter_of_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime(tmp_path, monkeypatch, "time.sleep(1000)")
    monkeypatch.setenv(VARIABLE, "0.4")
    usual = default_backend(Target.ONNX)
    for one, seconds in ((usual, "0.4"), (replace(usual, facts=replace(usual.facts, on_one_core=True)), "0.1")):
        begun, words = time.monotonic(), f"opening lens_blur took more than {seconds} s and was stopped"
        with OwnProcess() as transport, pytest.raises(SessionTimeoutError, match=words):
            transport.open(one, bundle, model_of(bundle))
        assert time.monotonic() - begun < 60


def _at_start(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have every process that starts from now on run a program first."""
    (folder / "sitecustomize.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_noise_on_stdout_does_not_reach_the_protocol(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = """
import os, threading, time
os.write(1, b"welcome\\nwithout an end of line")
def talk():
    while True:
        os.write(1, b"INFO: noise\\n")
        time.sleep(0.0005)
def soon():
    while "dofkit.runtime_ref.backends.onnx" not in __import__("sys").modules:  # the protocol has begun
        time.sleep(0.001)
    talk()
threading.Thread(target=soon, daemon=True).start()
"""
    _at_start(tmp_path, monkeypatch, program)
    inputs = golden_inputs(bundle)
    expected = open_session(bundle, model_of(bundle)).run(inputs)
    with OwnProcess(timeout=60) as transport:
        session = open_there(transport, bundle, model_of(bundle))
        for _ in range(3):
            assert_same(session.run(inputs), expected)


def test_a_missing_runtime_is_told_as_in_this_process(
    bundle: Bundle, transport: OwnProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_start(tmp_path, monkeypatch, "import sys; sys.modules['onnxruntime'] = None")
    with pytest.raises(MissingExtraError, match=r"pip install 'dofkit\[onnx\]'"):
        open_there(transport, bundle, model_of(bundle))


def test_a_file_that_cannot_be_read_is_told_as_in_this_process(bundle: Bundle, tmp_path: Path) -> None:
    model = model_of(bundle)
    copy = Bundle(tmp_path / "copy", bundle.manifest)
    shutil.copytree(bundle.root, copy.root)
    copy.path(model.path).write_bytes(b"no model")
    with pytest.raises(DofkitError) as here:
        open_session(copy, model)
    with OwnProcess() as transport, pytest.raises(DofkitError) as there:
        open_there(transport, copy, model)
    assert str(there.value) == str(here.value)


def test_what_the_runtime_refuses_is_an_error_of_one_line_and_costs_no_process(
    bundle: Bundle, transport: OwnProcess
) -> None:
    session, inputs = open_there(transport, bundle, model_of(bundle)), golden_inputs(bundle)
    process = session.process_id
    with pytest.raises(DofkitError, match="image") as caught:
        session.run(inputs | {"image": inputs["image"][:, :, :50]})
    assert "\n" not in str(caught.value)
    assert "Traceback" in str(caught.value.__cause__)
    assert session.run(inputs).shape == inputs["image"].shape
    assert session.process_id == process


@pytest.mark.e2e
def test_pytorch_computes_in_a_process_of_its_own_from_its_own_weights(
    bundle: Bundle, weights: Path, transport: OwnProcess
) -> None:
    from dofkit.train.backend import pytorch

    session = transport.open(pytorch(weights), bundle, model_of(bundle))
    inputs = golden_inputs(bundle)
    assert session.runtime.startswith("PyTorch ")
    expected = open_session(bundle, model_of(bundle)).run(inputs)
    np.testing.assert_allclose(session.run(inputs), expected, rtol=0, atol=1e-4)  # the table's limit for fp32


def test_no_process_is_left_behind(bundle: Bundle) -> None:
    with OwnProcess() as transport:
        ordinary = open_there(transport, bundle, model_of(bundle)).process_id
        tflite = open_there(transport, bundle, model_of(bundle, Target.TFLITE)).process_id
    assert gone(ordinary, 0.1)
    assert gone(tflite, 0.1)
    with pytest.raises(KeyboardInterrupt), OwnProcess() as transport:  # noqa: PT012
        ordinary = open_there(transport, bundle, model_of(bundle)).process_id
        raise KeyboardInterrupt
    assert gone(ordinary, 0.1)


def test_an_interrupted_call_answers_no_later_one(bundle: Bundle, transport: OwnProcess) -> None:
    session, inputs = open_there(transport, bundle, model_of(bundle)), golden_inputs(bundle)
    mirrored = {name: values[..., ::-1].copy() for name, values in inputs.items()}
    expected = session.run(mirrored)
    process = session.process_id
    assert process is not None
    os.kill(process, signal.SIGSTOP)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background a shell has it ignored
    try:
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            session.run(inputs)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert gone(process, 0.1)
    assert_same(session.run(mirrored), expected)


def test_a_process_ends_with_its_owner_even_while_it_computes(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime(tmp_path, monkeypatch)
    program = f"""
import os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, {str(tmp_path)!r})
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.backends import default_backend
from dofkit.runtime_ref.backends.own_process import OwnProcess
bundle = Bundle.open(Path({str(bundle.root)!r}))
model = next(m for m in bundle.models() if m.target.value == "onnx")
session = OwnProcess().open(default_backend(model.target), bundle, model)
print(session.process_id, flush=True)
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
session.run({{}})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert gone(int(done.stdout))


@given(
    arrays.arrays(np.float32, arrays.array_shapes(min_dims=1, max_dims=4)),
    st.text(max_size=20).map("x".__add__),
    st.text(),
)
def test_messages_arrive_as_they_were_sent(values: np.ndarray, name: str, error: str) -> None:
    stream = BytesIO()
    write_message(stream, Reply(error=error), {name: values, "turned": values.T})
    stream.seek(0)
    reply, received = read_message(stream, Reply)
    assert reply == Reply(error=error)
    np.testing.assert_array_equal(received[name], values, strict=True)
    np.testing.assert_array_equal(received["turned"], values.T, strict=True)
    stream.truncate(len(stream.getvalue()) - 1)
    stream.seek(0)
    with pytest.raises(EOFError):
        read_message(stream, Reply)
