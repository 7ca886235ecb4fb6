"""What a machine is called and how warm it is, as far as the system tells."""

from __future__ import annotations

from pathlib import Path

from dofkit.devices.machine import MachineState, this_machine, this_state


def test_this_machine_has_a_name_and_cores() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.architecture
    assert machine.differences(machine) == []
    assert machine == this_machine()


def test_the_warmest_sensor_counts_and_those_that_are_not_there_do_not(tmp_path: Path) -> None:
    for number, text in enumerate(("41500\n", "63200\n", "0\n", "-273000\n", "nonsense")):
        zone = tmp_path / "class" / "thermal" / f"thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(text)
    assert this_state(tmp_path).celsius == 63.2


def test_a_system_without_sensors_says_nothing(tmp_path: Path) -> None:
    assert this_state(tmp_path) == MachineState()
