"""A device over the real adb server: files and commands arrive, and what goes wrong is said in the device's words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dofkit.devices.adb.phone import Phone
from dofkit.runtime_ref.backends import BackendUnavailableError
from dofkit.runtime_ref.errors import DofkitError

from .fake_device import FakeDevice

pytestmark = pytest.mark.e2e  # the server starts in some three seconds
Plugged = Callable[..., FakeDevice]


def test_files_arrive_and_come_back_byte_for_byte(plugged: Plugged) -> None:
    phone = Phone(plugged().serial)
    content = bytes(range(256)) * 1000
    phone.push(content, "/data/local/tmp/ü 手机")
    assert phone.size("/data/local/tmp/ü 手机") == len(content)
    assert phone.pull("/data/local/tmp/ü 手机") == content
    assert phone.size("/data/local/tmp/other") is None


def test_a_command_gives_its_exit_code_and_its_words(plugged: Plugged) -> None:
    said = Phone(plugged().serial).shell("nothing_there --x")
    assert (said.code, said.last) == (127, "sh: nothing_there: not found")


def test_a_file_that_is_not_there_is_said_in_the_devices_words(plugged: Plugged) -> None:
    device = plugged()
    with pytest.raises(DofkitError, match=f"{device.serial} does not send /nowhere .No such file or directory"):
        Phone(device.serial).pull("/nowhere")


def test_a_full_disk_is_said(plugged: Plugged) -> None:
    device = plugged(room=10)
    with pytest.raises(DofkitError, match=r"No space left on device\); make room there"):
        Phone(device.serial).push(b"x" * 11, "/data/local/tmp/a")
    assert device.files == {}


def test_a_device_that_goes_away_is_said_with_its_last_words(plugged: Plugged) -> None:
    device = plugged(vanishes="run_me")
    with pytest.raises(DofkitError, match=r"went away while running run_me .*it said last: ERROR: out of memory"):
        Phone(device.serial).shell("run_me --now")


def test_a_device_that_is_silent_for_too_long_is_given_up(plugged: Plugged) -> None:
    device = plugged(silence=0.5)
    with pytest.raises(DofkitError, match=r"was silent for 0.1 s while running uptime"):
        Phone(device.serial, patience=0.1).shell("uptime")


def test_an_unauthorised_device_is_refused_with_the_remedy(plugged: Plugged) -> None:
    device = plugged(authorised=False)
    with pytest.raises(BackendUnavailableError, match=r"is (unauthorized|authorizing); unlock it and allow"):
        Phone(device.serial)


def test_of_two_devices_one_must_be_named(plugged: Plugged) -> None:
    first, second = plugged(), plugged()
    with pytest.raises(BackendUnavailableError, match="which device is meant") as refusal:
        Phone()
    assert first.serial in str(refusal.value)
    assert second.serial in str(refusal.value)
    Phone(second.serial).shell("true")
    assert second.commands == ["true"]
    assert first.commands == []


def test_the_only_device_needs_no_name(plugged: Plugged) -> None:
    device = plugged()
    assert Phone().serial == device.serial


def test_a_serial_that_adb_does_not_list_is_refused(plugged: Plugged) -> None:
    device = plugged()
    with pytest.raises(BackendUnavailableError, match=rf"no device emulator-1, but {device.serial} \(device\)"):
        Phone("emulator-1")


def test_a_device_says_what_it_is_and_how_warm(plugged: Plugged) -> None:
    phone = Phone(plugged().serial)
    machine = phone.machine()
    assert str(machine) == "Maker Model 9 (Chip), 8 cores, arm64-v8a, Android 16"
    assert machine.memory_mb == 8192
    state = phone.state()
    assert (state.celsius, state.throttling, state.clock_mhz) == (36.5, 1, 2400)
