"""The exported bundle, and a transport to open its models through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dofkit.runtime_ref.backends.own_process import OwnProcess
from dofkit.runtime_ref.bundle import Bundle


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.open(bundle_path)


@pytest.fixture
def transport() -> Iterator[OwnProcess]:
    with OwnProcess() as opened:
        yield opened
