"""`dofkit render FOLDER`: all photos, each once; what cannot be rendered is named; a stopped run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dofkit.batch
from dofkit.batch import Spread, memory_of, processes_for, tasks_for
from dofkit.batch_record import NAME
from dofkit.runtime_ref.imageio import find_photos

from .refusals import assert_one_line
from .stand_in import stand_in_pipeline

NAMES = ["a.jpg", "b.png", "c.tif"]


@pytest.fixture
def photos(photo: np.ndarray, tmp_path: Path) -> Path:
    """A folder of three photos in as many formats."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        Image.fromarray(np.roll(photo[:48, :64], number, axis=0)).save(folder / name)
    return folder


@pytest.fixture
def render(cli: Callable, monkeypatch: pytest.MonkeyPatch, photos: Path, tmp_path: Path) -> Callable:
    """`dofkit render photos --out out ARGUMENTS`, in turn, with stand-ins for the networks."""
    monkeypatch.setattr(dofkit.api, "_over_pytorch", lambda *_: stand_in_pipeline())

    def run(*arguments: str):
        return cli("render", str(photos), "--out", str(tmp_path / "out"), "--jobs", "1", *arguments)

    return run


def states(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(folder.iterdir())}


def test_every_photo_becomes_what_it_becomes_alone(
    render: Callable, cli: Callable, photos: Path, tmp_path: Path
) -> None:
    result = render("--aperture", "0.8")
    assert result.exit_code == 0, result.output
    made = states(tmp_path / "out")
    assert list(made) == ["a.jpg", "b.png", "c.png", NAME]
    alone = tmp_path / "alone.png"
    assert cli("render", str(photos / "b.png"), "--out", str(alone), "--aperture", "0.8").exit_code == 0
    assert alone.read_bytes() == made["b.png"][1]


def test_the_same_again_renders_nothing_and_a_changed_photo_is_rendered(
    render: Callable, photos: Path, tmp_path: Path
) -> None:
    render()
    before = states(tmp_path / "out")
    result = render()
    assert "0 photos rendered" in result.stdout
    assert "3 were there already" in result.stdout
    assert states(tmp_path / "out") == before
    Image.new("RGB", (40, 30), (9, 99, 9)).save(photos / "b.png")
    (tmp_path / "out" / "a.jpg").unlink()
    facts = json.loads(render("--json").stdout)
    assert [Path(each["out"]).name for each in facts["rendered"]] == ["a.jpg", "b.png"]
    assert facts["kept"] == 1


def test_a_run_that_was_killed_while_it_noted_a_photo_goes_on(render: Callable, tmp_path: Path) -> None:
    render()
    record = tmp_path / "out" / NAME
    whole = record.read_text()
    record.write_text(whole[:-30])  # cut within its last line
    assert "1 photos rendered" in render().stdout
    assert sorted(record.read_text().splitlines()[1:])[-1] == whole.splitlines()[-1]
    assert "0 photos rendered" in render().stdout


def test_a_bad_photo_is_named_and_skipped_and_the_exit_code_tells(
    render: Callable, photos: Path, tmp_path: Path
) -> None:
    (photos / "b.png").write_bytes((photos / "b.png").read_bytes()[:200])
    result = render("--json")
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert [Path(each["photo"]).name for each in facts["failed"]] == ["b.png"]
    assert len(facts["rendered"]) == 2
    (line,) = (line for line in result.stderr.splitlines() if "b.png" in line)
    assert line.count(str(photos / "b.png")) == 1
    assert "damaged" in line
    assert not (tmp_path / "out" / "b.png").exists()


@pytest.mark.parametrize(
    "change", [["--aperture", "0.7"], ["--focus", "0.5,0.5"], ["--focus-range", "0"], ["--predict"]]
)
def test_portraits_of_other_options_are_not_mixed_with_these(
    render: Callable, tmp_path: Path, change: list[str]
) -> None:
    render()
    before = states(tmp_path / "out")
    assert_one_line(render(*change), "holds portraits of other options", "--overwrite")
    assert states(tmp_path / "out") == before
    result = render(*change, "--overwrite")
    assert "3 photos rendered" in result.stdout, result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--disparity", "d.png"], "--disparity is for one photo"),
        (["--save-disparity", "d.png"], "--save-disparity is for one photo"),
        (["--out", "photos"], "lies in photos, where the results are to go"),
        (["--out", "photos/a.jpg"], "cannot be made"),
        (["--ray", "127.0.0.1:1", "--weights", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    cli: Callable, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = states(photos)
    assert_one_line(cli("render", "photos", "--out", "out", *arguments), words)
    assert states(photos) == before
    assert not (tmp_path / "out" / "a.jpg").exists()


def test_several_photos_need_a_folder_and_one_photo_has_no_jobs(cli: Callable, photos: Path) -> None:
    assert_one_line(cli("render", str(photos)), "several photos need --out")
    assert_one_line(cli("render", str(photos / "a.jpg"), "--jobs", "2"), "--jobs is for several photos")


def test_two_photos_of_one_name_are_refused(cli: Callable, photos: Path, tmp_path: Path) -> None:
    (photos / "b.bmp").write_bytes(b"")
    assert_one_line(cli("render", str(photos), "--out", str(tmp_path / "out")), "b.bmp", "would both become", "b.png")


def test_as_many_at_once_as_cores_memory_and_photos_allow(photos: Path, tmp_path: Path) -> None:
    tasks = tasks_for(find_photos([str(photos)]).photos, tmp_path / "out")
    one = memory_of(tasks)
    assert one > 48 * 64 * 10
    plenty = 100 * one
    assert processes_for(tasks, cores=2, free=plenty) == 2
    assert processes_for(tasks, cores=8, free=plenty) == 3
    assert processes_for(tasks, cores=8, free=int(2.6 * one)) == 2
    assert processes_for(tasks, cores=8, free=one // 2) == 1
    assert processes_for(tasks, cores=8, free=0) == 1  # the system does not tell


def test_photos_at_once_share_the_cores(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dofkit.batch, "usable_cores", lambda: 8)
    tasks = tasks_for(find_photos([str(photos)]).photos, tmp_path / "out")
    assert [Spread(jobs).over(tasks)[1] for jobs in (1, 2, 3, 100)] == [8, 4, 2, 2]


@pytest.mark.e2e
def test_several_processes_make_the_same_portraits(
    cli: Callable, bundle_path: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "bad.jpg").write_bytes(b"hello")
    pictures = []
    for jobs in ("1", "2"):
        out = tmp_path / jobs
        result = cli(
            "render", str(photos), "--out", str(out), "--bundle", str(bundle_path), "--target", "onnx", "--jobs", jobs
        )
        assert result.exit_code == 1, result.output
        assert "3 photos rendered" in result.stdout
        assert "1 failed" in result.stdout
        pictures.append({path.name: path.read_bytes() for path in out.glob("*.*") if path.name != NAME})
    assert pictures[0] == pictures[1]


@pytest.mark.e2e
def test_a_ray_cluster_makes_the_same_portraits(cli: Callable, bundle_path: Path, photos: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="dofkit[cluster] is not installed")
    options = ["--bundle", str(bundle_path), "--target", "onnx"]
    cli("render", str(photos), "--out", str(tmp_path / "here"), "--jobs", "1", *options)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        result = cli("render", str(photos), "--out", str(tmp_path / "there"), "--ray", "auto", *options)
    finally:
        ray.shutdown()
    assert result.exit_code == 0, result.output
    for name in ("a.jpg", "b.png", "c.png"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
