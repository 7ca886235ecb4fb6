"""What several test files share: a folder of random weights, and one bundle exported from it for all targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import settings

settings.register_profile("dofkit", deadline=None)  # machines are shared: an example's time says nothing
settings.load_profile("dofkit")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Randomly initialised weights of all stages: what is tested must hold for any weights."""
    import torch

    from dofkit.train.networks import NETWORKS
    from dofkit.train.weights import save_weights

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(7)
    for stage, network in NETWORKS.items():
        save_weights(network().eval(), stage, folder)
    return folder


@pytest.fixture(scope="session")
def bundle_path(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of all stages, targets and precisions, with small tiles so that it is quick to write and check."""
    folder = tmp_path_factory.mktemp("bundle") / "small.dofbundle"
    arguments = ["export", "--target", "all", "--precision", "fp32", "--precision", "fp16", "--tile", "96"]
    result = run_cli(*arguments, "--depth-size", "128", "--weights", str(weights), "--out", str(folder))
    assert result.exit_code == 0, result.output
    return folder


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
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:150, :201]
    picture = np.stack([rows % 64 * 4, columns % 80 * 3, (rows + columns) % 128 * 2], axis=2)
    picture[40:110, 60:140] = rng.integers(0, 256, (70, 80, 3))
    return picture.astype(np.uint8)
