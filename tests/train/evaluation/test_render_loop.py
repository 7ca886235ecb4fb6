"""The loop: what is rendered with which disparity, what is remembered, and what a change or a kill costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dofkit.train.evaluation.methods import DisparitySource, Group, Unblurred
from dofkit.train.evaluation.render import JudgedScene, SceneEvaluation, busiest_window, evaluate
from dofkit.train.evaluation.store import PartialStore
from dofkit.train.rendering.layered import SceneLens

from .fakes import Fake, FakeDepth, fake_networks, scene

SCENES = [scene(0), scene(1)]
DEPTH = FakeDepth(SCENES[0].disparity)


def run(folder: Path, *methods, **options) -> SceneEvaluation:
    return evaluate(SCENES, methods, DEPTH, PartialStore(folder), **options)


def test_every_kind_of_disparity_reaches_the_method(tmp_path: Path) -> None:
    method = Fake("fake")
    evaluate(SCENES[:1], [method], DEPTH, PartialStore(tmp_path))
    true, corrupted, predicted = method.asked
    np.testing.assert_array_equal(true, SCENES[0].disparity)
    np.testing.assert_array_equal(corrupted, SCENES[0].corrupted)
    np.testing.assert_allclose(predicted, SCENES[0].disparity, atol=1e-6)  # its scale and shift are fitted


def test_scores_are_those_of_the_picture(tmp_path: Path) -> None:
    evaluation = run(tmp_path, Fake("exact"), Fake("lighter", step=25), Unblurred())
    exact, lighter, photo = (
        [e.scores.psnr for e in evaluation.of(m, DisparitySource.TRUE)] for m in evaluation.methods
    )
    difference = (SCENES[0].sharp - SCENES[0].blurred).astype(np.float64)
    assert exact[0] == pytest.approx(-10 * np.log10(np.square(difference).mean()), abs=0.02)  # 8-bit truth
    assert exact == photo
    assert lighter[0] < exact[0]
    assert len(evaluation.entries) == 2 * (3 + 3 + 1)


def test_the_error_of_the_disparity_given_is_told(tmp_path: Path) -> None:
    (method,) = (evaluation := run(tmp_path, Fake("fake"), count=1)).methods
    true, corrupted, predicted = (evaluation.of(method, kind)[0].scores.disparity_error for kind in method.kinds)
    assert true == 0
    assert corrupted == pytest.approx(0.6 * (6 / 96) ** 0.5, rel=1e-5)  # 6 of 96 columns are 0.6 off
    assert predicted == pytest.approx(0, abs=1e-6)


def test_what_is_finished_is_not_rendered_again(tmp_path: Path) -> None:
    first = run(tmp_path, Fake("fake"))
    again = Fake("fake")
    second = run(tmp_path, again)
    assert again.asked == []
    assert second.entries == first.entries


def test_a_changed_method_is_rendered_again_and_no_other(tmp_path: Path) -> None:
    run(tmp_path, Fake("one"), Fake("two"))
    same, changed = Fake("one"), Fake("two", step=3)
    run(tmp_path, same, changed)
    assert (len(same.asked), len(changed.asked)) == (0, 6)


def test_another_depth_network_changes_the_predicted_scores_only(tmp_path: Path) -> None:
    run(tmp_path, Fake("fake"))
    again = Fake("fake")
    evaluate(SCENES, [again], FakeDepth(SCENES[0].disparity, "another"), PartialStore(tmp_path))
    assert len(again.asked) == 2


def test_other_scenes_are_scored_anew(tmp_path: Path) -> None:
    run(tmp_path, Fake("fake"))
    again = Fake("fake")
    evaluate([scene(2), SCENES[1]], [again], DEPTH, PartialStore(tmp_path))
    assert len(again.asked) == 3


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    def kill(done: int, total: int, what: str) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Fake("fake"), progress=kill)
    again = Fake("fake")
    assert len(run(tmp_path, again).entries) == 6
    assert len(again.asked) == 2


@pytest.mark.parametrize("damage", ["", "{}", '{"psnr": 1}', "[1, 2]", "null"])
def test_a_damaged_partial_file_is_computed_again(tmp_path: Path, damage: str) -> None:
    evaluation = run(tmp_path, Fake("fake"))
    evaluation.entries[0].path.write_text(damage)
    again = Fake("fake")
    assert [e.scores.psnr for e in run(tmp_path, again).entries] == [e.scores.psnr for e in evaluation.entries]
    assert len(again.asked) == 1


def test_crops_are_kept_of_the_scenes_that_are_shown(tmp_path: Path) -> None:
    evaluation = run(tmp_path, Fake("fake", step=5), shown=1)
    crops = [PartialStore.crop(entry.path) for entry in evaluation.entries]
    assert [crop is None for crop in crops] == [False] * 3 + [True] * 3
    window = JudgedScene(SCENES[0], DEPTH).window
    lighter = np.minimum(np.round(SCENES[0].sharp * 255) + 5, 255)
    np.testing.assert_array_equal(crops[0], window.of(lighter))


def test_networks_are_scored_level_by_level_and_others_are_not(tmp_path: Path) -> None:
    wide = replace(scene(shape=(4, 640)), lens=SceneLens(focus=0.8, aperture=1.0, long_side=640))
    evaluation = evaluate([wide], [fake_networks(), Fake("fake")], FakeDepth(wide.disparity), PartialStore(tmp_path))
    assert {entry.method: len(entry.scores.levels) for entry in evaluation.entries} == {"ours": 2, "fake": 0}
    assert all(e.scores.levels[-1] == e.scores.psnr for e in evaluation.entries if e.scores.levels)


def test_count_takes_the_first_scenes(tmp_path: Path) -> None:
    evaluation = run(tmp_path, Fake("fake"), count=1)
    assert (evaluation.scenes, {entry.scene for entry in evaluation.entries}) == (1, {0})
    assert run(tmp_path, Fake("fake"), count=9).scenes == 2


def test_progress_counts_every_picture(tmp_path: Path) -> None:
    seen = []
    run(tmp_path, Fake("fake"), progress=lambda done, total, what: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(7)]


def test_the_best_of_a_group_has_the_highest_mean(tmp_path: Path) -> None:
    evaluation = run(tmp_path, Fake("far", step=90), Fake("near", step=1), fake_networks())
    best = evaluation.best(Group.CLASSICAL)
    assert best is not None
    assert best.name == "near"
    assert evaluation.best(Group.ABLATION) is None


def test_the_busiest_window_is_the_one_a_full_search_finds() -> None:
    rng = np.random.default_rng(3)
    sharp, edges = rng.integers(0, 256, (250, 263, 3)).astype(np.uint8), rng.random((250, 263)) > 0.9
    truth = np.roll(sharp, 1, axis=0)
    window = busiest_window(sharp, truth, edges)
    heat = np.abs(sharp.astype(float) - truth).mean(axis=2) * (edges + 0.01)
    sums = {(y, x): heat[y : y + 240, x : x + 240].sum() for y in range(11) for x in range(24)}
    assert (window.height, window.width) == (240, 240)
    assert sums[window.top, window.left] == pytest.approx(max(sums.values()), rel=1e-5)
