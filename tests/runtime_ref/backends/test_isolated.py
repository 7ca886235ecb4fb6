"""Sessions in other processes compute the same, and whatever happens to such a process is an error and no more."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dofkit.runtime_ref.backends import open_session
from dofkit.runtime_ref.backends._wire import Reply, read_message, write_message
from dofkit.runtime_ref.backends.isolated import IsolatedSessions, SessionCrashError
from dofkit.runtime_ref.backends.opinions import Opinion
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.bundle.golden import read_golden
from dofkit.runtime_ref.errors import DofkitError, MissingExtraError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

FAKE_RUNTIME = """
import os, time
__version__ = "0"
class SessionOptions:
    pass
class InferenceSession:
    def __init__(self, *arguments, **options):
        {opening}
    def run(self, *arguments):
        time.sleep(1000)
"""


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.open(bundle_path)


@pytest.fixture
def sessions(bundle: Bundle) -> Iterator[IsolatedSessions]:
    with IsolatedSessions(bundle) as opened:
        yield opened


def _model(bundle: Bundle, target: Target = Target.ONNX, stage: Stage = Stage.LENS_BLUR) -> ModelEntry:
    return next(model for model in bundle.models(target, Precision.FP32) if model.stage is stage)


def _inputs(bundle: Bundle, stage: Stage = Stage.LENS_BLUR) -> dict[str, np.ndarray]:
    return dict(read_golden(bundle.path(bundle.manifest.golden[0].path)).inputs(stage))


def _gone(process: int | None, seconds: float = 10.0) -> bool:
    """Whether a process ends within that time."""
    assert process is not None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if (stat := Path(f"/proc/{process}/stat")).is_file() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True  # ended; whoever should ask for its end has not done so
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("target", Target)
def test_another_process_computes_the_same_bits(bundle: Bundle, sessions: IsolatedSessions, target: Target) -> None:
    for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING):
        model = _model(bundle, target, stage)
        here, there = open_session(bundle, model), sessions.session(model)
        output = there.run(_inputs(bundle, stage))
        np.testing.assert_array_equal(output, here.run(_inputs(bundle, stage)), strict=True)
        assert there.runtime == here.runtime


def test_models_of_a_variant_share_a_process_and_a_second_opinion_has_its_own(
    bundle: Bundle, sessions: IsolatedSessions
) -> None:
    blur, upsampling = (
        sessions.session(_model(bundle, stage=stage)) for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
    )
    other = sessions.session(_model(bundle), Opinion.ONNX_UNOPTIMISED)
    assert blur.process_id == upsampling.process_id
    assert other.process_id not in (blur.process_id, None)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_named_by_its_signal_and_the_next_call_computes(
    bundle: Bundle, sessions: IsolatedSessions, number: signal.Signals
) -> None:
    session, inputs = sessions.session(_model(bundle)), _inputs(bundle)
    expected = session.run(inputs)
    process = session.process_id
    assert process is not None
    os.kill(process, signal.SIGSTOP)  # so that it dies with the request in its hands, however fast it is
    crash = threading.Timer(0.2, lambda: (os.kill(process, number), os.kill(process, signal.SIGCONT)))
    crash.start()
    with pytest.raises(SessionCrashError, match=f"process died with {number.name} while computing lens_blur"):
        session.run(inputs)
    crash.join()
    np.testing.assert_array_equal(session.run(inputs), expected)
    assert session.process_id != process


def test_a_process_that_died_idle_is_started_again(bundle: Bundle, sessions: IsolatedSessions) -> None:
    session, inputs = sessions.session(_model(bundle)), _inputs(bundle)
    expected = session.run(inputs)
    process = session.process_id
    assert process is not None
    os.kill(process, signal.SIGKILL)
    end = time.monotonic() + 10
    while session.process_id is not None:  # its first thread is gone before the others are, and it with them
        assert time.monotonic() < end
        time.sleep(0.02)
    np.testing.assert_array_equal(session.run(inputs), expected)


def _fake_runtime(folder: Path, monkeypatch: pytest.MonkeyPatch, opening: str = "pass") -> None:
    """Have sessions compute ONNX files by a runtime that does so when it is opened, and never ends a run."""
    (folder / "onnxruntime.py").write_text(FAKE_RUNTIME.format(opening=opening))
    monkeypatch.syspath_prepend(folder)


def test_the_last_words_of_a_crash_are_told(
    bundle: Bundle, sessions: IsolatedSessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = r"os.write(2, b'INFO: fine\nterminate called: no memory\nINFO: bye\n'); os.abort()"
    _fake_runtime(tmp_path, monkeypatch, words)
    with pytest.raises(SessionCrashError) as caught:
        sessions.session(_model(bundle))
    assert str(caught.value) == (
        "the runtime's process died with SIGABRT while opening lens_blur (last words: terminate called: no memory)"
    )


def test_a_model_whose_opening_was_fatal_is_not_opened_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "openings"
    _fake_runtime(tmp_path, monkeypatch, f"open({str(count)!r}, 'a').write('x'); os.abort()")
    with IsolatedSessions(bundle) as sessions:
        texts = []
        for _ in range(3):
            with pytest.raises(SessionCrashError) as caught:
                sessions.session(_model(bundle))
            texts.append(str(caught.value))
        assert len(set(texts)) == 1
        assert count.read_text() == "x"
        sessions.stop()
        with pytest.raises(SessionCrashError):
            sessions.session(_model(bundle))
        assert count.read_text() == "xx"


def test_an_open_model_is_not_opened_again(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = tmp_path / "openings"
    _fake_runtime(tmp_path, monkeypatch, f"open({str(count)!r}, 'a').write('x')")
    with IsolatedSessions(bundle) as sessions:
        runtimes = [sessions.session(_model(bundle)).runtime for _ in range(3)]
    assert runtimes == ["ONNX Runtime 0"] * 3
    assert count.read_text() == "x"


def test_a_call_beyond_its_time_is_stopped(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_runtime(tmp_path, monkeypatch, "time.sleep(1000)")
    with IsolatedSessions(bundle, timeout=1.5) as sessions:
        begun = time.monotonic()
        with pytest.raises(SessionCrashError, match=r"opening lens_blur took more than 1\.5 s and was stopped"):
            sessions.session(_model(bundle))
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
    inputs = _inputs(bundle)
    expected = open_session(bundle, _model(bundle)).run(inputs)
    with IsolatedSessions(bundle, timeout=60) as sessions:
        session = sessions.session(_model(bundle))
        for _ in range(3):
            np.testing.assert_array_equal(session.run(inputs), expected)


def test_a_missing_runtime_is_told_as_in_this_process(
    bundle: Bundle, sessions: IsolatedSessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_start(tmp_path, monkeypatch, "import sys; sys.modules['onnxruntime'] = None")
    with pytest.raises(MissingExtraError, match=r"pip install 'dofkit\[onnx\]'"):
        sessions.session(_model(bundle))


def test_a_file_that_cannot_be_read_is_told_as_in_this_process(bundle: Bundle, tmp_path: Path) -> None:
    model = _model(bundle)
    copy = Bundle(tmp_path / "copy", bundle.manifest)
    shutil.copytree(bundle.root, copy.root)
    copy.path(model.path).write_bytes(b"no model")
    with pytest.raises(DofkitError) as here:
        open_session(copy, model)
    with IsolatedSessions(copy) as sessions, pytest.raises(DofkitError) as there:
        sessions.session(model)
    assert str(there.value) == str(here.value)


def test_what_the_runtime_refuses_is_an_error_of_one_line_and_costs_no_process(
    bundle: Bundle, sessions: IsolatedSessions
) -> None:
    session, inputs = sessions.session(_model(bundle)), _inputs(bundle)
    process = session.process_id
    with pytest.raises(DofkitError, match="image") as caught:
        session.run(inputs | {"image": inputs["image"][:, :, :50]})
    assert "\n" not in str(caught.value)
    assert "Traceback" in str(caught.value.__cause__)
    assert session.run(inputs).shape == inputs["image"].shape
    assert session.process_id == process


def test_nothing_in_the_current_folder_is_executed(
    bundle: Bundle, sessions: IsolatedSessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "was-here"
    for module in ("onnxruntime", "numpy", "dofkit", "struct"):
        (tmp_path / f"{module}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert sessions.session(_model(bundle)).run(_inputs(bundle)).any()
    assert not mark.exists()


def test_no_process_is_left_behind(bundle: Bundle) -> None:
    with IsolatedSessions(bundle) as sessions:
        ordinary = sessions.session(_model(bundle)).process_id
        tflite = sessions.session(_model(bundle, Target.TFLITE)).process_id
    assert _gone(ordinary, 0.1)
    assert _gone(tflite, 0.1)
    with pytest.raises(KeyboardInterrupt), IsolatedSessions(bundle) as sessions:  # noqa: PT012
        ordinary = sessions.session(_model(bundle)).process_id
        raise KeyboardInterrupt
    assert _gone(ordinary, 0.1)


def test_an_interrupted_call_answers_no_later_one(bundle: Bundle, sessions: IsolatedSessions) -> None:
    session, inputs = sessions.session(_model(bundle)), _inputs(bundle)
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
    assert _gone(process, 0.1)
    np.testing.assert_array_equal(session.run(mirrored), expected)


def test_a_process_ends_with_its_owner_even_while_it_computes(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_runtime(tmp_path, monkeypatch)
    program = f"""
import os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, {str(tmp_path)!r})
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.backends.isolated import IsolatedSessions
bundle = Bundle.open(Path({str(bundle.root)!r}))
session = IsolatedSessions(bundle).session(next(m for m in bundle.models() if m.target.value == "onnx"))
print(session.process_id, flush=True)
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
session.run({{}})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert _gone(int(done.stdout))


def test_peak_memory_is_that_of_the_other_process(bundle: Bundle, sessions: IsolatedSessions) -> None:
    block = bytearray(b"x") * (500 << 20)  # resident here when the process starts
    session = sessions.session(_model(bundle))
    session.run(_inputs(bundle))
    assert 30e6 < session.peak_memory < len(block)


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
