"""The real adb server, of the tests' own home and port, and devices that it is connected to."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .adb.fake_device import FakeDevice, program


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An adb server that knows no device, and the environment in which programs find it."""
    adbutils = pytest.importorskip("adbutils", reason="pip install 'dofkit[adb]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", port)
        patch.delenv("ANDROID_SERIAL", raising=False)
        own = {"HOME": str(tmp_path_factory.mktemp("home")), "ADB_MDNS_AUTO_CONNECT": "0"}
        subprocess.run(
            [adbutils.adb_path(), "start-server"], check=True, capture_output=True, env={**os.environ, **own}
        )
        try:
            yield
        finally:
            adbutils.AdbClient().server_kill()


@pytest.fixture
def plugged(adb_server: None) -> Iterator[Callable[..., FakeDevice]]:
    """Connects a device with the given traits; all are disconnected at the end."""
    adbutils = pytest.importorskip("adbutils")
    devices: list[FakeDevice] = []

    def plug(**traits: object) -> FakeDevice:
        device = FakeDevice(**traits).__enter__()  # pyright: ignore[reportArgumentType]
        devices.append(device)
        adbutils.AdbClient().connect(device.serial, timeout=10)
        return device

    yield plug
    for device in devices:
        adbutils.AdbClient().disconnect(device.serial)
        device.__exit__()


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    """A file that is called as TFLite's tool and has its flags, in a folder with a name that is not ASCII."""
    folder = tmp_path / "Geräte 手机"
    folder.mkdir()
    return program(folder / "benchmark_model", "output_filepath")
