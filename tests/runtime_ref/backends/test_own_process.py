"""Backends in other processes compute the same, and whatever happens to such a process is an error and no more."""

from __future__ import annotations

import ast
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

from dofkit.runtime_ref.backends import default_backend, open_session
from dofkit.runtime_ref.backends._process import module_path
from dofkit.runtime_ref.backends._wire import Reply, read_message, write_message
from dofkit.runtime_ref.backends._worker import _made
from dofkit.runtime_ref.backends.backend import Origin
from dofkit.runtime_ref.backends.latency import MIN_RUNS, TimeBudget
from dofkit.runtime_ref.backends.own_process import OwnProcess, ProcessSession, SessionCrashError
from dofkit.runtime_ref.backends.registry import backend
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.bundle.golden import read_golden
from dofkit.runtime_ref.errors import DofkitError, MissingExtraError
from dofkit.runtime_ref.pipeline.portrait import Lens
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target

BUNDLED = [target for target in Target if target is not Target.COREAI]  # of the suite's bundle

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

FAKE_RUNTIME = """
import os, time
__version__ = "0"
class SessionOptions:
    pass
class InferenceSession:
    def __init__(self, *arguments, **options):
        {opening}
    def get_inputs(self):
        return []
    get_outputs = get_inputs
    def run(self, *arguments):
        time.sleep(1000)
"""


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.open(bundle_path)


@pytest.fixture
def transport() -> Iterator[OwnProcess]:
    with OwnProcess() as opened:
        yield opened


def _open(transport: OwnProcess, bundle: Bundle, model: ModelEntry) -> ProcessSession:
    return transport.open(default_backend(model.target), bundle, model)


def _assert_same(output: np.ndarray, expected: np.ndarray) -> None:
    """What is promised of two processes: threads and kernels may sum in another order, four units in the last place of
    values up to 1.
    """
    np.testing.assert_allclose(output, expected, rtol=0, atol=4 * float(np.finfo(np.float32).eps))
    assert output.dtype == expected.dtype


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


@pytest.mark.parametrize("target", BUNDLED)
def test_another_process_computes_the_same(bundle: Bundle, transport: OwnProcess, target: Target) -> None:
    for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING):
        model = _model(bundle, target, stage)
        here, there = open_session(bundle, model), _open(transport, bundle, model)
        output = there.run(_inputs(bundle, stage))
        _assert_same(output, here.run(_inputs(bundle, stage)))
        assert there.runtime == here.runtime


def test_models_of_a_variant_share_a_process_and_another_backend_has_its_own(
    bundle: Bundle, transport: OwnProcess
) -> None:
    blur, upsampling = (
        _open(transport, bundle, _model(bundle, stage=stage)) for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
    )
    other = transport.open(backend("onnxruntime-unoptimised"), bundle, _model(bundle))
    assert blur.process_id == upsampling.process_id
    assert other.process_id not in (blur.process_id, None)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_named_by_its_signal_and_the_next_call_computes(
    bundle: Bundle, transport: OwnProcess, number: signal.Signals
) -> None:
    session, inputs = _open(transport, bundle, _model(bundle)), _inputs(bundle)
    expected = session.run(inputs)
    process = session.process_id
    assert process is not None
    os.kill(process, signal.SIGSTOP)  # so that it dies with the request in its hands, however fast it is
    crash = threading.Timer(0.2, lambda: (os.kill(process, number), os.kill(process, signal.SIGCONT)))
    crash.start()
    with pytest.raises(SessionCrashError, match=f"process died with {number.name} while computing lens_blur"):
        session.run(inputs)
    crash.join()
    _assert_same(session.run(inputs), expected)
    assert session.process_id != process


def test_a_process_that_died_idle_is_started_again(bundle: Bundle, transport: OwnProcess) -> None:
    session, inputs = _open(transport, bundle, _model(bundle)), _inputs(bundle)
    expected = session.run(inputs)
    process = session.process_id
    assert process is not None
    os.kill(process, signal.SIGKILL)
    end = time.monotonic() + 10
    while session.process_id is not None:  # its first thread is gone before the others are, and it with them
        assert time.monotonic() < end
        time.sleep(0.02)
    _assert_same(session.run(inputs), expected)


def _fake_runtime(folder: Path, monkeypatch: pytest.MonkeyPatch, opening: str = "pass") -> None:
    """Have sessions compute ONNX files by a runtime that does so when it is opened, and never ends a run."""
    (folder / "onnxruntime.py").write_text(FAKE_RUNTIME.format(opening=opening))
    monkeypatch.syspath_prepend(folder)


def test_the_last_words_of_a_crash_are_told(
    bundle: Bundle, transport: OwnProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = r"os.write(2, b'INFO: fine\nterminate called: no memory\nINFO: bye\n'); os.abort()"
    _fake_runtime(tmp_path, monkeypatch, words)
    with pytest.raises(SessionCrashError) as caught:
        _open(transport, bundle, _model(bundle))
    assert str(caught.value) == (
        "the runtime's process died with SIGABRT while opening lens_blur (last words: terminate called: no memory)"
    )


def test_a_model_whose_opening_was_fatal_is_not_opened_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "openings"
    _fake_runtime(tmp_path, monkeypatch, f"open({str(count)!r}, 'a').write('x'); os.abort()")
    with OwnProcess() as transport:
        texts = []
        for _ in range(3):
            with pytest.raises(SessionCrashError) as caught:
                _open(transport, bundle, _model(bundle))
            texts.append(str(caught.value))
        assert len(set(texts)) == 1
        assert count.read_text() == "x"
        transport.stop()
        with pytest.raises(SessionCrashError):
            _open(transport, bundle, _model(bundle))
        assert count.read_text() == "xx"


def test_an_open_model_is_not_opened_again(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = tmp_path / "openings"
    _fake_runtime(tmp_path, monkeypatch, f"open({str(count)!r}, 'a').write('x')")
    with OwnProcess() as transport:
        runtimes = [_open(transport, bundle, _model(bundle)).runtime for _ in range(3)]
    assert runtimes == ["ONNX Runtime 0"] * 3
    assert count.read_text() == "x"


def test_a_call_beyond_its_time_is_stopped(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_runtime(tmp_path, monkeypatch, "time.sleep(1000)")
    with OwnProcess(timeout=1.5) as transport:
        begun = time.monotonic()
        with pytest.raises(SessionCrashError, match=r"opening lens_blur took more than 1\.5 s and was stopped"):
            _open(transport, bundle, _model(bundle))
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
    with OwnProcess(timeout=60) as transport:
        session = _open(transport, bundle, _model(bundle))
        for _ in range(3):
            _assert_same(session.run(inputs), expected)


def test_a_missing_runtime_is_told_as_in_this_process(
    bundle: Bundle, transport: OwnProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_start(tmp_path, monkeypatch, "import sys; sys.modules['onnxruntime'] = None")
    with pytest.raises(MissingExtraError, match=r"pip install 'dofkit\[onnx\]'"):
        _open(transport, bundle, _model(bundle))


def test_a_file_that_cannot_be_read_is_told_as_in_this_process(bundle: Bundle, tmp_path: Path) -> None:
    model = _model(bundle)
    copy = Bundle(tmp_path / "copy", bundle.manifest)
    shutil.copytree(bundle.root, copy.root)
    copy.path(model.path).write_bytes(b"no model")
    with pytest.raises(DofkitError) as here:
        open_session(copy, model)
    with OwnProcess() as transport, pytest.raises(DofkitError) as there:
        _open(transport, copy, model)
    assert str(there.value) == str(here.value)


def test_what_the_runtime_refuses_is_an_error_of_one_line_and_costs_no_process(
    bundle: Bundle, transport: OwnProcess
) -> None:
    session, inputs = _open(transport, bundle, _model(bundle)), _inputs(bundle)
    process = session.process_id
    with pytest.raises(DofkitError, match="image") as caught:
        session.run(inputs | {"image": inputs["image"][:, :, :50]})
    assert "\n" not in str(caught.value)
    assert "Traceback" in str(caught.value.__cause__)
    assert session.run(inputs).shape == inputs["image"].shape
    assert session.process_id == process


def test_nothing_in_the_current_folder_is_executed(
    bundle: Bundle, transport: OwnProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "was-here"
    for module in ("onnxruntime", "numpy", "dofkit", "struct", "json"):
        (tmp_path / f"{module}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert _open(transport, bundle, _model(bundle)).run(_inputs(bundle)).any()
    assert not mark.exists()


def test_the_current_folder_is_no_place_for_modules_however_this_process_got_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `python -c` and an interactive Python put "" first, `python -m` the folder's name.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), ".", *sys.path])
    assert str(tmp_path.resolve()) not in module_path()
    assert {str(Path(entry).resolve()) for entry in sys.path} - {str(tmp_path.resolve())} == set(module_path())


def test_one_module_of_the_package_starts_processes_and_never_by_a_modules_name() -> None:
    root = Path(__file__).parents[3]
    starting = {}
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if inside.parts[0] in ("tests", "build") or any(part.startswith(".") for part in inside.parts):
            continue
        if calls := [call for node in ast.walk(ast.parse(path.read_text())) for call in _starts(node)]:
            starting[inside.as_posix()] = calls
    # Scenes are drawn by a pool of Python's own, see `runtime_ref.processes`.
    assert starting.pop("train/data/scene_set.py") == ["get_context"]
    assert "with safe_path(), ProcessPoolExecutor" in (root / "train/data/scene_set.py").read_text()
    assert starting == {"runtime_ref/backends/_process.py": ["Popen"]}
    assert '"-m"' not in (root / "runtime_ref/backends/_process.py").read_text()


STARTERS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "os": {"system", "popen", "execv", "execve", "execvp", "spawnv", "spawnve", "spawnl", "posix_spawn", "startfile"},
    "multiprocessing": {"Process", "Pool", "get_context"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
}


def _starts(node: ast.AST) -> Iterator[str]:
    """Names of calls that start a process, and of those that are imported to be called."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        if node.func.attr in STARTERS.get(node.func.value.id, set()):
            yield node.func.attr
    elif isinstance(node, ast.ImportFrom) and node.module in STARTERS:
        yield from (alias.name for alias in node.names if alias.name in STARTERS[node.module])


def test_only_dofkits_own_modules_make_backends() -> None:
    with pytest.raises(ValueError, match="os is no module of dofkit"):
        _made(Origin(module="os", id="system"))
    assert _made(backend("litert").origin) == backend("litert")


def test_pytorch_computes_in_a_process_of_its_own_from_its_own_weights(
    bundle: Bundle, weights: Path, transport: OwnProcess
) -> None:
    from dofkit.train.backend import pytorch

    session = transport.open(pytorch(weights), bundle, _model(bundle))
    inputs = _inputs(bundle)
    assert session.runtime.startswith("PyTorch ")
    expected = open_session(bundle, _model(bundle)).run(inputs)
    np.testing.assert_allclose(session.run(inputs), expected, rtol=0, atol=1e-4)  # the table's limit for fp32


SLOW_RUNTIME = """
import time
__version__ = "0"
class SessionOptions:
    pass
class InferenceSession:
    def __init__(self, *arguments, **options):
        time.sleep(0.03)
        self.waits = iter([0.03])
    def get_inputs(self):
        return []
    get_outputs = get_inputs
    def run(self, *arguments):
        time.sleep(next(self.waits, 0))
        return [None]
"""


def test_loading_and_the_first_run_do_not_count_as_steady(
    bundle: Bundle, transport: OwnProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text(SLOW_RUNTIME)
    monkeypatch.syspath_prepend(tmp_path)
    session = _open(transport, bundle, _model(bundle))
    times = session.time_runs({}, TimeBudget(runs=MIN_RUNS + 3, seconds=10))
    assert session.load >= 30
    assert times.first >= 30
    assert len(times.steady) == MIN_RUNS + 3
    assert min(times.steady) < 20


def test_a_whole_photo_is_timed_where_its_stages_are(bundle: Bundle, transport: OwnProcess, photo: np.ndarray) -> None:
    sessions = {stage: _open(transport, bundle, _model(bundle, stage=stage)) for stage in Stage}
    plan, budget = bundle.manifest.plan, TimeBudget(runs=MIN_RUNS, seconds=1e-3)
    times = sessions[Stage.DEPTH].time_photo(sessions, plan, photo, Lens(0.5, 1.0), budget)
    assert len(times.depth) == len(times.render) == MIN_RUNS
    assert times.first > 0
    assert min(*times.depth, *times.render) > 0


def test_no_process_is_left_behind(bundle: Bundle) -> None:
    with OwnProcess() as transport:
        ordinary = _open(transport, bundle, _model(bundle)).process_id
        tflite = _open(transport, bundle, _model(bundle, Target.TFLITE)).process_id
    assert _gone(ordinary, 0.1)
    assert _gone(tflite, 0.1)
    with pytest.raises(KeyboardInterrupt), OwnProcess() as transport:  # noqa: PT012
        ordinary = _open(transport, bundle, _model(bundle)).process_id
        raise KeyboardInterrupt
    assert _gone(ordinary, 0.1)


def test_an_interrupted_call_answers_no_later_one(bundle: Bundle, transport: OwnProcess) -> None:
    session, inputs = _open(transport, bundle, _model(bundle)), _inputs(bundle)
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
    _assert_same(session.run(mirrored), expected)


def test_a_process_ends_with_its_owner_even_while_it_computes(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_runtime(tmp_path, monkeypatch)
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
    assert _gone(int(done.stdout))


def test_peak_memory_is_that_of_the_other_process(bundle: Bundle, transport: OwnProcess) -> None:
    block = bytearray(b"x") * (500 << 20)  # resident here when the process starts
    session = _open(transport, bundle, _model(bundle))
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
