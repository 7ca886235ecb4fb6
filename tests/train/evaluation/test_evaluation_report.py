"""What an evaluation leaves: numbers that machines can read, and one page that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.portrait import PortraitPipeline
from dofkit.train.evaluation import photos, report
from dofkit.train.evaluation.methods import Group, Unblurred
from dofkit.train.evaluation.photos import find_photos, photo_views
from dofkit.train.evaluation.render import SceneEvaluation, evaluate
from dofkit.train.evaluation.store import PartialStore
from dofkit.train.session import default_plan

from .fakes import Fake, FakeDepth, fake_networks, scene

SCENES = [scene(0), scene(1)]
DEPTH = FakeDepth(SCENES[0].disparity)
FACTS = {"versions": {"dofkit": "1 & 2"}, "weights_sha256": {"lens_blur": "abc"}}


@pytest.fixture
def evaluation(tmp_path: Path) -> SceneEvaluation:
    channels = [Fake(f"channels={n}", step=40 - n, group=Group.ABLATION) for n in (16, 4)]
    methods = [fake_networks(), Fake("<best>", step=1), Fake("worse", step=60), *channels, Unblurred()]
    return evaluate(SCENES, methods, DEPTH, PartialStore(tmp_path / "partial"), shown=1)


class Page(HTMLParser):
    """Collects pictures and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "img":
            self.sources.append(dict(attrs)["src"])
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(evaluation: SceneEvaluation, tmp_path: Path) -> None:
    report.write_report(tmp_path / "report.html", evaluation, FACTS, SCENES, DEPTH)
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert all(source.startswith("data:image/") for source in page.sources)
    assert len(page.sources) == 1 + 5 + 3 * 4  # a plot; photo, truth, disparities; ours and the best, thrice
    assert "&lt;best&gt;: difference × 8" in text
    assert "worse: difference" not in text
    assert "://" not in text


def test_a_difference_is_amplified_eightfold(evaluation: SceneEvaluation) -> None:
    rows = report._scene_rows(evaluation, 0, SCENES, DEPTH)
    pictures = {picture.title: decoded(picture.uri) for row in rows for picture in row.pictures}
    photo, truth = (pictures[name].astype(int) for name in ("photo", "truth"))
    difference = pictures["<best>: difference × 8"]
    np.testing.assert_array_equal(difference, np.minimum(8 * np.abs(np.minimum(photo + 1, 255) - truth), 255))


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_the_json_holds_every_score_and_the_means(evaluation: SceneEvaluation, tmp_path: Path) -> None:
    report.write_scores(tmp_path / "scores.json", evaluation, FACTS)
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["weights_sha256"] == {"lens_blur": "abc"}
    assert [method["name"] for method in found["methods"]][:2] == ["ours", "<best>"]
    best = found["methods"][1]
    for kind in ("true", "corrupted", "predicted"):
        values = [one["psnr"] for one in best["per_scene"][kind]]
        assert [one["scene"] for one in best["per_scene"][kind]] == [0, 1]
        assert best["mean"][kind]["psnr"] == pytest.approx(np.mean(values))


def test_the_terminals_table_has_a_line_for_each_method_under_its_heading(evaluation: SceneEvaluation) -> None:
    rows = report.table_rows(evaluation)
    assert [name for name, cells in rows if not cells] == [
        "ours",
        "classical renderers",
        "ablations",
        "the photo itself",
    ]
    assert all(len(cells) in (0, 9) for _, cells in rows)
    photo = dict(rows)["all in focus"]
    assert photo[4:8] == ["-"] * 4  # it sees no disparity


def test_numbers_in_the_ablations_names_make_a_plot(evaluation: SceneEvaluation) -> None:
    (plot,) = report.channel_plots(evaluation)
    assert plot.title == "PSNR over channels"
    svg = base64.b64decode(plot.uri.partition(",")[2]).decode()
    assert svg.lstrip().startswith("<?xml")


def test_photos_are_rendered_once_and_shown_at_their_own_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    files, cache = find_photos(tmp_path), tmp_path / "cache"
    networks, depth = fake_networks(), FakeDepth(np.eye(20, dtype=np.float32))
    (view,) = photo_views(files, networks, depth, focus_range=0.1, cache=cache)
    np.testing.assert_array_equal(view.sharp, pixels)
    np.testing.assert_array_equal(view.ours, pixels)
    (again,) = photo_views(
        files, replace(networks, pipeline=PortraitPipeline({}, default_plan())), depth, focus_range=0.1, cache=cache
    )
    np.testing.assert_array_equal(again.ours, view.ours)
    row = report._photo_row(view)
    shown = {picture.title: decoded(picture.uri) for picture in row.pictures}
    np.testing.assert_array_equal(shown["photo, 100 %"], view.window.of(pixels))
    assert {picture.shape[:2] for title, picture in shown.items() if "%" in title or "there" in title} == {(240, 240)}


def test_a_photos_crop_lies_where_focus_ends(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sharp, ours = rng.integers(0, 256, (2, 300, 1200, 3)).astype(np.uint8)
    disparity = np.where(np.arange(120) < 80, 0.2, 0.9) * np.ones((30, 1))  # focus ends at column 800 of 1200
    window = photos._window(sharp, ours, disparity.astype(np.float32), focus=0.9)
    assert window.left < 800 - 15 < 800 + 15 < window.left + window.width


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="no photos in"):
        find_photos(tmp_path)
    with pytest.raises(DofkitError, match="no photos in"):
        find_photos(tmp_path / "missing")
