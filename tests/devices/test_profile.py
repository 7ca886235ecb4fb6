"""Profiles: every file is read, every figure has a source, and what is not known stays out."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.devices.profile import DeviceUnit, names, profile
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Precision, Target


@pytest.mark.parametrize("name", names())
def test_a_profile_is_read_and_its_units_compute_its_targets(name: str) -> None:
    found = profile(name)
    for deployment in found.deployments:
        assert found.units_for(deployment.target)
        assert set(deployment.precisions.value) <= set(Precision)


def test_a_page_that_was_opened_is_told_beside_the_source(tmp_path: Path) -> None:
    seen = [one.seen for one in map(profile, names()) for one in (one.chip, one.cores, one.memory_gb) if one]
    assert sum(bool(address) for address in seen) >= 30
    path = tmp_path / "mine.toml"
    path.write_text('chip = { value = "X", source = "its maker", seen = "somewhere" }\n' + MINE)
    with pytest.raises(DofkitError, match=r"chip\.seen: String should match pattern"):
        profile(str(path))


def test_the_devices_that_teams_ask_for_are_there() -> None:
    wanted = {f"iphone-{number}" for number in range(12, 18)} | {f"pixel-{number}" for number in range(6, 11)}
    wanted |= {f"galaxy-s{number}" for number in range(22, 26)} | {"galaxy-s22-exynos", "galaxy-s24-exynos"}
    wanted |= {"snapdragon-7-gen-3", "android-entry", "raspberry-pi-5", "browser-wasm", "browser-webgpu"}
    assert wanted <= set(names())


def test_units_are_those_that_compute_a_target() -> None:
    iphone = profile("iphone-15")
    assert [one.unit for one in iphone.units_for(Target.COREML)] == [
        DeviceUnit.CPU,
        DeviceUnit.GPU,
        DeviceUnit.NEURAL_ENGINE,
    ]
    assert iphone.units_for(Target.TFLITE) == ()
    assert profile("pixel-9").chip is not None
    assert iphone.memory_gb is None, "Apple publishes none"


def test_a_name_that_is_none_gets_the_nearest() -> None:
    with pytest.raises(DofkitError, match=r"no profile is called 'pixel9'; did you mean pixel-9\?"):
        profile("pixel9")


MINE = """title = "Mine"
maker = "me"
[[accelerators]]
unit = "gpu"
texture = { value = 4096, source = "its driver says so" }
[[deployments]]
target = "tflite"
precisions = { value = ["fp16"], source = "measured by us" }
"""


def test_a_file_of_ones_own_is_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    assert profile(str(path)).units_for(Target.TFLITE)[0].texture is not None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (', source = "its driver says so"', "", "texture.source: Field required"),
        ('"its driver says so"', '""', "texture.source"),
        ("4096", "-1", "texture.value"),
        ('unit = "gpu"', 'unit = "tpu"', "accelerators.0.unit"),
        ('maker = "me"', 'maker = "me"\nspeed = 3', "speed: Extra inputs are not permitted"),
    ],
)
def test_a_figure_without_a_source_or_of_another_kind_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE.replace(old, new))
    with pytest.raises(DofkitError, match=words) as refusal:
        profile(str(path))
    assert "\n" not in str(refusal.value)
