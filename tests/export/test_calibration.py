"""Calibration feeds the stages what the pipeline feeds them, in little memory, and remembers what it measured."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from dofkit.export import calibration as module
from dofkit.export.calibration import MOST_PHOTOS, Calibration, CalibrationSet, find_photos
from dofkit.export.samples import SPREAD, TILES_KEPT
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.cases import Picture
from dofkit.runtime_ref.pipeline.portrait import Lens, PortraitPipeline
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.runtime_ref.pipeline.subject import auto_focus
from dofkit.runtime_ref.target import Target
from dofkit.train.session import default_plan, torch_sessions

PLAN = default_plan(tile=96, depth_sizes=((128, 128),))
HEIGHT, WIDTH = 258, 650  # two upsamplings and padding on both sides


class Slope(torch.nn.Module):
    """A depth network: near below, far above, moved by the picture's light."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows = torch.linspace(0, 1, image.shape[2]).reshape(1, 1, -1, 1).expand(-1, -1, -1, image.shape[3])
        return (rows + image.mean() - 0.5).clamp(0, 1)


class Spots(torch.nn.Module):
    """A depth network: all at one distance, but for something near at the left and something far at the right."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        disparity = torch.full((1, 1, *image.shape[2:]), 0.5)
        side = image.shape[3]
        disparity[..., side // 5 : side // 3] = 1.0
        disparity[..., -side // 4 : -side // 8] = 0.0
        return disparity


class Tint(torch.nn.Module):
    """A lens blur whose result depends on both of its inputs."""

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        return (image * 0.9 + defocus * 0.1).clamp(0, 1)


class Enlarge(torch.nn.Module):
    """An upsampling whose result depends on all of its inputs."""

    def forward(self, high: torch.Tensor, low: torch.Tensor, blurred: torch.Tensor, defocus: torch.Tensor) -> Any:
        return high * 0.5 + torch.nn.functional.interpolate(blurred - low * 0.5 + defocus * 0.01, scale_factor=2.0)


class Counting(torch.nn.Module):
    """Counts how often a network runs."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.calls = network, 0

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.network(*inputs)


def toys() -> dict[Stage, Counting]:
    """Networks that compute next to nothing."""
    toy = {Stage.DEPTH: Slope(), Stage.LENS_BLUR: Tint(), Stage.GUIDED_UPSAMPLING: Enlarge()}
    return {stage: Counting(network) for stage, network in toy.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos."""
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(1)
    for number in range(2):
        coarse = rng.integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((WIDTH, HEIGHT)).save(photos / f"{number}.png")
    return photos


def photo_set(folder: Path, hard: bool = False) -> CalibrationSet:
    photos = find_photos(folder)
    return CalibrationSet(photos, found=len(photos), own=True, hard=hard)


class Recorder:
    """A session that keeps all that it is fed."""

    runtime = "recorder"

    def __init__(self, session: Any) -> None:
        self.session, self.seen = session, []

    def run(self, inputs: Any) -> Any:
        self.seen.append({name: values.copy() for name, values in inputs.items()})
        return self.session.run(inputs)


def fingerprint(sample: Any) -> tuple[bytes, ...]:
    return tuple(np.ascontiguousarray(sample[name]).tobytes() for name in sorted(sample))


@pytest.mark.parametrize("stage", [Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING])
def test_samples_are_what_whole_renderings_feed_the_stage(folder: Path, stage: Stage):
    sessions = torch_sessions(toys())
    (picture, *_) = photo_set(folder).pictures()
    disparity = PortraitPipeline(sessions, PLAN).disparity(picture.pixels)
    recorders = {each: Recorder(session) for each, session in sessions.items()}
    PortraitPipeline(recorders, PLAN).render(picture.pixels, disparity, Lens(auto_focus(disparity), 1.0))
    whole = {fingerprint(sample) for sample in recorders[stage].seen}
    assert len(whole) >= TILES_KEPT

    samples = list(Calibration(photo_set(folder), toys()).samples(stage, PLAN))
    assert all(sample.keys() == recorders[stage].seen[0].keys() for sample in samples)
    of_this_rendering = whole & {fingerprint(sample) for sample in samples}
    assert TILES_KEPT // 2 <= len(of_this_rendering) <= TILES_KEPT + 2


def test_the_most_defocused_tiles_on_either_side_are_among_the_samples(folder: Path):
    networks = {**toys(), Stage.DEPTH: Counting(Spots())}
    sessions = torch_sessions(networks)
    (picture, *_) = photo_set(folder).pictures()
    disparity = PortraitPipeline(sessions, PLAN).disparity(picture.pixels)
    recorder = Recorder(sessions[Stage.GUIDED_UPSAMPLING])
    running = {**sessions, Stage.GUIDED_UPSAMPLING: recorder}
    PortraitPipeline(running, PLAN).render(picture.pixels, disparity, Lens(auto_focus(disparity), 1.0))
    blurs = [float(sample["defocus_low"].mean()) for sample in recorder.seen]
    calibration = Calibration(photo_set(folder), networks)
    samples = {fingerprint(sample) for sample in calibration.samples(Stage.GUIDED_UPSAMPLING, PLAN)}
    for extreme in (np.argmax(blurs), np.argmin(blurs)):
        assert fingerprint(recorder.seen[extreme]) in samples


@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_samples_are_the_same_every_time(folder: Path, stage: Stage):
    first, second = ([*Calibration(photo_set(folder), toys()).samples(stage, PLAN)] for _ in range(2))
    assert len(first) >= 2 * 6
    assert [fingerprint(sample) for sample in first] == [fingerprint(sample) for sample in second]
    assert len({fingerprint(sample) for sample in first}) > len(first) // 2, "samples hardly differ"


def test_the_lenses_reach_strong_blur_on_both_sides(tmp_path: Path):
    Image.new("RGB", (320, 100), "grey").save(tmp_path / "grey.png")  # of all sizes, 320 · 2ⁿ blurs the most
    calibration = Calibration(photo_set(tmp_path), toys())
    values = np.concatenate([s["defocus"].ravel() for s in calibration.samples(Stage.LENS_BLUR, PLAN)])
    assert values.min() < -0.8
    assert values.max() > 0.8
    assert len({setting.aperture for setting in SPREAD}) >= 3


def test_disparity_is_computed_once_for_all_stages_and_lenses(folder: Path):
    networks = toys()
    calibration = Calibration(photo_set(folder), networks)
    for stage in PIPELINE_STAGES:
        assert list(calibration.samples(stage, PLAN))
    assert networks[Stage.DEPTH].calls == 2


def test_inputs_of_the_blur_are_had_without_running_blur_or_upsampling(folder: Path):
    networks = toys()
    assert list(Calibration(photo_set(folder), networks).samples(Stage.LENS_BLUR, PLAN))
    assert networks[Stage.LENS_BLUR].calls == networks[Stage.GUIDED_UPSAMPLING].calls == 0


class Fifty(CalibrationSet):
    """Fifty pictures that are made when they are asked for, and watched until they are let go."""

    alive: int
    most: int

    def pictures(self) -> Iterator[Picture]:
        for number in range(50):
            pixels = np.full((60, 650, 3), 5 * number, np.uint8)
            pixels[:, ::2] = 200
            self.__dict__["alive"] = self.__dict__.get("alive", 0) + 1
            self.__dict__["most"] = max(self.__dict__.get("most", 0), self.alive)
            weakref.finalize(pixels, self._gone)
            yield Picture(str(number), "photo", pixels, "")

    def _gone(self) -> None:
        self.__dict__["alive"] -= 1

    def digest(self) -> str:
        return "fifty"


@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_memory_does_not_grow_with_the_photos(stage: Stage):
    pictures = Fifty((), found=50, own=True)
    living: list[weakref.ref[NDArray[Any]]] = []
    most = taken = 0
    calibration = Calibration(pictures, toys())
    for sample in calibration.samples(stage, PLAN):
        taken += 1
        living = [reference for reference in living if reference() is not None]
        living += [weakref.ref(values) for values in sample.values()]
        most = max(most, len(living))
    assert taken >= 150
    assert pictures.most <= 2, "a photo is let go when the next one is there"
    assert most <= 2 * (TILES_KEPT + 2) * 4, "what one rendering kept, and what is left of the one before"


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A model file, and a tracer that computes one thing from it."""
    tracer = SimpleNamespace(trace=lambda inputs: iter([("negative", -inputs["image"])]))
    monkeypatch.setattr(module, "open_tracer", lambda *_: tracer)
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    return model


def blur_ranges(photos: CalibrationSet, networks: Any, model: Path, cache: Path, plan: Any = PLAN) -> Any:
    calibration = Calibration(photos, networks, cache)
    return calibration.ranges(Stage.LENS_BLUR, plan, Target.ONNX, model), calibration.coverage


def test_ranges_of_a_file_equal_those_of_its_samples(folder: Path, tmp_path: Path):
    from onnx import TensorProto, helper, save

    shapes = {"image": [1, 3, 96, 96], "defocus": [1, 1, 96, 96], "blurred": [1, 3, 96, 96]}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Mul", ["image", "defocus"], ["product"]),
        helper.make_node("Exp", ["product"], ["blurred"]),
    ]
    graph = helper.make_graph(nodes, "g", [values["image"], values["defocus"]], [values["blurred"]])
    model = tmp_path / "model.onnx"
    save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), model)

    calibration = Calibration(photo_set(folder), toys(), tmp_path / "cache")
    ranges = calibration.ranges(Stage.LENS_BLUR, PLAN, Target.ONNX, model)
    samples = list(calibration.samples(Stage.LENS_BLUR, PLAN))
    product = np.stack([sample["image"] * sample["defocus"] for sample in samples])
    expected = {
        "image": np.stack([sample["image"] for sample in samples]),
        "defocus": np.stack([sample["defocus"] for sample in samples]),
        "product": product,
        "blurred": np.exp(product),
    }
    assert ranges.keys() == expected.keys()
    for name, all_values in expected.items():
        np.testing.assert_allclose(ranges[name], (all_values.min(), all_values.max()), rtol=1e-6)


def test_the_same_calibration_again_runs_no_network(folder: Path, traced: Path, tmp_path: Path):
    first = blur_ranges(photo_set(folder), toys(), traced, tmp_path / "cache")
    networks = toys()
    assert blur_ranges(photo_set(folder), networks, traced, tmp_path / "cache") == first
    assert [network.calls for network in networks.values()] == [0, 0, 0]
    assert first[1].stages[Stage.LENS_BLUR].samples > 0
    assert len(first[1].photos) == 2


@pytest.mark.parametrize("change", ["photo", "photo gone", "model", "plan", "network", "hard picture"])
def test_ranges_are_measured_anew_when_something_changed(folder: Path, traced: Path, tmp_path: Path, change: str):
    blur_ranges(photo_set(folder), toys(), traced, tmp_path / "cache")
    networks, plan = toys(), PLAN
    if change == "photo":
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(folder / "1.png")
    elif change == "photo gone":
        (folder / "1.png").unlink()
    elif change == "model":
        traced.write_bytes(b"weightS")
    elif change == "plan":
        plan = PLAN.with_tiles(128)
    elif change == "network":
        networks[Stage.GUIDED_UPSAMPLING].register_buffer("changed", torch.ones(1))
    blur_ranges(photo_set(folder, hard=change == "hard picture"), networks, traced, tmp_path / "cache", plan)
    assert networks[Stage.DEPTH].calls > 0
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_package_is_known_by_all_its_files_but_its_random_identifiers(folder: Path, traced: Path, tmp_path: Path):
    package = tmp_path / "model.mlpackage"
    (package / "Data").mkdir(parents=True)
    for name in ("Manifest.json", "Data/program", "Data/weights"):
        (package / name).write_text("first")
    cache = tmp_path / "cache"
    blur_ranges(photo_set(folder), toys(), package, cache)
    (package / "Manifest.json").write_text("second")
    blur_ranges(photo_set(folder), toys(), package, cache)
    assert len(list(cache.iterdir())) == 1
    (package / "Data/weights").write_text("second")
    blur_ranges(photo_set(folder), toys(), package, cache)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["{", '{"ranges": {}, "photos": [], "coverage": {}}', ""])
def test_a_damaged_entry_is_replaced(folder: Path, traced: Path, tmp_path: Path, damage: str):
    first = blur_ranges(photo_set(folder), toys(), traced, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    whole = entry.read_text()
    entry.write_text(damage)
    assert blur_ranges(photo_set(folder), toys(), traced, tmp_path / "cache") == first
    assert entry.read_text() == whole
    assert json.loads(whole)["ranges"]


def test_a_cache_that_cannot_be_written_fails_nothing(folder: Path, traced: Path, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    ranges, _ = blur_ranges(photo_set(folder), toys(), traced, tmp_path / "cache")
    assert ranges


def test_the_coverage_tells_of_photos_and_not_of_the_hard_picture(folder: Path):
    counts = []
    for hard in (False, True):
        calibration = Calibration(photo_set(folder, hard), toys())
        assert list(calibration.samples(Stage.LENS_BLUR, PLAN))
        counts.append(calibration.coverage)
    assert counts[0] == counts[1]
    assert len(counts[0].photos) == 2
    assert sum(counts[0].focus) == sum(counts[0].aperture) == 2 * len(SPREAD)
    assert sum(counts[0].defocus) == counts[0].stages[Stage.LENS_BLUR].samples * 96 * 96


def test_progress_is_told_photo_by_photo(folder: Path):
    told: list[tuple[Stage, int, int]] = []
    calibration = Calibration(photo_set(folder), toys(), watch=lambda *step: told.append(step))
    assert list(calibration.samples(Stage.DEPTH, PLAN))
    assert told == [(Stage.DEPTH, 1, 2), (Stage.DEPTH, 2, 2)]


def test_photos_are_found_in_all_folders_sorted_without_hidden_ones(tmp_path: Path):
    for name in ("b.JPG", "a/z.png", "a/y.webp", ".hidden.jpg", ".trash/c.jpg", "a/._y.jpg", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no photo")
        else:
            Image.new("RGB", (8, 8)).save(path, path.suffix.lower().replace(".jpg", ".jpeg")[1:])
    assert [path.relative_to(tmp_path).as_posix() for path in find_photos(tmp_path)] == ["a/y.webp", "a/z.png", "b.JPG"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.jpg", b"\xff\xd8\xff\xe0", "damaged"),
        ("empty.png", b"", "empty"),
        ("text.png", b"hello", "not a photo"),
    ],
)
def test_a_photo_that_cannot_be_read_is_named_in_one_line(folder: Path, name: str, content: bytes, said: str):
    (folder / name).write_bytes(content)
    with pytest.raises(DofkitError, match=said) as caught:
        find_photos(folder)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_photos_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(DofkitError, match="no photos"):
        find_photos(tmp_path)
    with pytest.raises(DofkitError, match="no folder"):
        find_photos(tmp_path / "missing")


def test_of_too_many_photos_some_are_chosen_evenly():
    paths = tuple(Path(f"{number:03}.jpg") for number in range(200))
    chosen = CalibrationSet.of(paths)
    assert len(chosen.photos) == MOST_PHOTOS
    assert chosen.found == 200
    steps = np.diff([int(path.stem) for path in chosen.photos])
    assert set(steps) <= {3, 4}
    assert CalibrationSet.of(paths[:5]).photos == paths[:5]


def test_a_large_photo_is_reduced_when_it_is_read(tmp_path: Path):
    Image.new("RGB", (3000, 1500)).save(tmp_path / "large.jpg")
    (picture, hard) = CalibrationSet.of(find_photos(tmp_path)).pictures()
    assert picture.pixels.shape == (640, 1280, 3)
    assert hard.kind == "synthetic"


def test_pictures_that_ship_are_several_and_never_downloaded(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr("socket.socket.connect", refuse)
    shipped = CalibrationSet.shipped()
    assert len(shipped.photos) >= 4
    assert not shipped.own
    assert [picture.kind for picture in shipped.pictures()] == ["photo"] * len(shipped.photos) + ["synthetic"]
