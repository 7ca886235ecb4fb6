"""What several test files share: a folder of random weights, and one bundle exported from it for all targets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    import numpy as np

settings.register_profile("dofkit", deadline=None)  # machines are shared: an example's time says nothing
settings.load_profile("dofkit")


def pytest_configure(config: pytest.Config) -> None:
    """Workers share the cores. OpenMP's threads spin while they wait: two exports side by side on two cores took 165 s
    with two threads each, 47 s with one. NumPy and PyTorch read this when they are imported, which is later.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    if workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", threads)
        os.environ.setdefault("OPENBLAS_NUM_THREADS", threads)
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # files keep the order below


def _bundle_last(items: list[pytest.Item]) -> None:
    """One file that needs the bundle comes first, the others last: no worker waits while another exports it."""
    needing = {item.path for item in items if "bundle_path" in getattr(item, "fixturenames", ())}
    first = min(needing, default=None)
    items.sort(key=lambda item: 0 if item.path == first else 2 if item.path in needing else 1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Calibrations are remembered for this run only, and not among the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOFKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that tests running side by side share; further runs do, too, where the variable names one."""
    if kept := os.environ.get("DOFKIT_TEST_SHARED"):
        return Path(kept)
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def weights(shared: Path) -> Path:
    """Randomly initialised weights of all stages: what is tested must hold for any weights.

    They are shared like the bundle made of them: a sum's last digit is not the same in every process.
    """
    folder = shared / "weights"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            _write_random_weights(folder)
    return folder


def _write_random_weights(folder: Path) -> None:
    import torch

    from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
    from dofkit.train.networks import NETWORKS
    from dofkit.train.weights import save_weights

    folder.mkdir()
    torch.manual_seed(7)
    for stage, network_class in NETWORKS.items():
        network = network_class()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # statistics of this one batch: untrained ones let the signal fade below fp16
        with torch.no_grad():
            if stage is Stage.DEPTH:
                _settle(network)
            network.train()(*(torch.rand(2, s.channels, 128 * s.scale, 128 * s.scale) for s in INPUTS[stage]))
        save_weights(network.eval(), stage, folder)


def _settle(network: Any) -> None:
    """Have the fine maps of an untrained depth network count more than the coarse ones, in which 50 layers have
    amplified every rounding, and have its disparity fill more of its range."""
    for step in network.steps:
        step.reduce[1].weight.mul_(0.3)
    network.disparity.weight.mul_(3)


@pytest.fixture(scope="session")
def bundle_path(weights: Path, shared: Path) -> Path:
    """A bundle of all stages and floats, for all targets but Core AI, whose tests convert a smaller network.

    With small pictures and tiles: quick to write and check.
    Tests that run side by side share it: it takes a minute.
    """
    folder = shared / "small.dofbundle"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            _export_small(weights, _small_photo(shared), folder)
    return folder


def _export_small(weights: Path, photo: Path, folder: Path) -> None:
    from dofkit.export import golden, pipeline
    from dofkit.runtime_ref.parity.check import run_parity
    from dofkit.runtime_ref.target import Precision, Target

    from .bundled import BUNDLED

    precisions = (Precision.FP32, Precision.FP16)
    request = pipeline.ExportRequest(
        out=folder,
        targets=BUNDLED,
        precisions=precisions,
        tile=96,
        depth_sizes=((128, 128),),
        weights=weights,
        photos=(photo,),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden, "HARD_SIZE", (484, 644))  # the least with an upsampling
        # The quickest target's proof, for the files that people read; the others' have a test of their own.
        quickest = [(Target.ONNX, precision) for precision in precisions]
        patch.setattr(pipeline, "run_parity", partial(run_parity, variants=quickest))
        pipeline.export_bundle(request)


def _small_photo(folder: Path) -> Path:
    """The portrait of the default golden case, reduced: four tiles."""
    from PIL import Image
    from skimage.data import astronaut

    path = folder / "astronaut.png"
    Image.fromarray(astronaut()).resize((96, 104)).save(path)
    return path


def run_cli(*arguments: str) -> Result:
    """Run `dofkit ARGUMENTS` in this process; stdout and stderr are kept apart."""
    from dofkit.cli import main

    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture
def cli():
    """The function `run_cli`."""
    return run_cli


@pytest.fixture
def photo() -> np.ndarray:
    """A small deterministic picture with edges, texture and colour, uint8 [H, W, 3]."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:150, :201]
    picture = np.stack([rows % 64 * 4, columns % 80 * 3, (rows + columns) % 128 * 2], axis=2)
    picture[40:110, 60:140] = rng.integers(0, 256, (70, 80, 3))
    return picture.astype(np.uint8)


ORACLES = pytest.StashKey[dict[str, dict[str, int]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--operations`: print what every operation of the ML Program evaluator was held against."""
    parser.addoption("--operations", action="store_true", help="print the table operation, oracle, cases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files in order; count the cases of every operation and oracle, from the tests' `oracle` marks."""
    _bundle_last(items)
    table: dict[str, dict[str, int]] = {}
    for item in items:
        for mark in item.iter_markers("oracle"):
            operation, oracle = mark.args
            cases = table.setdefault(operation, {})
            cases[oracle] = cases.get(oracle, 0) + 1
    config.stash[ORACLES] = table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of operations, if it was asked for."""
    if not config.getoption("--operations"):
        return
    table = config.stash[ORACLES]
    width = max((len(operation) for operation in table), default=0)
    terminalreporter.section("operations of the ML Program evaluator, their oracles, cases")
    for operation in sorted(table):
        for oracle, cases in sorted(table[operation].items()):
            terminalreporter.write_line(f"{operation:{width}}  {cases:4d}  {oracle}")
    terminalreporter.write_line(f"{len(table)} operations, {sum(sum(c.values()) for c in table.values())} cases")


@pytest.fixture(scope="session")
def oracles(pytestconfig: pytest.Config) -> dict[str, dict[str, int]]:
    """Operation -> oracle -> number of cases, of the tests that were collected."""
    return pytestconfig.stash[ORACLES]


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Iterator[None]:
    """A command's --threads holds for its whole process; sums of the next test would be rounded otherwise."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    yield
    if torch and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
