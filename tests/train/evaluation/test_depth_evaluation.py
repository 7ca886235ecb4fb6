"""The loop of a depth evaluation: what is asked, what is kept, what is shown, what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.data.rgbd import DepthMap, DepthMeaning, RgbdPair, recognise
from dofkit.train.evaluation.depth import ask, evaluate_depth, score
from dofkit.train.evaluation.depth_methods import (
    Asked,
    ConstantDepth,
    LowerIsNearer,
    chosen_methods,
    depth_methods,
    depth_network,
    prepared,
)
from dofkit.train.evaluation.depth_report import score_tables, to_json, write_report
from dofkit.train.evaluation.depth_sets import DrawnSet, EvaluatedSet, JudgedPair, kept_for_judging, thinned
from dofkit.train.evaluation.store import Partials
from dofkit.train.networks.depth import DepthNet
from dofkit.train.weights import load_weights

RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Pictures:
    """Noise whose truth is the photo's red."""

    name: str = "noise"
    about: str = "a test"
    count: int = 3
    meaning: DepthMeaning = DepthMeaning.INVERSE_METRES
    read: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return self.count

    def title(self, index: int) -> str:
        return f"picture {index}"

    def identity(self, index: int) -> str:
        return f"{self.name} {index}"

    def pair(self, index: int) -> RgbdPair:
        self.read.append(index)
        photo = np.random.default_rng(index).integers(20, 255, (40, 50, 3)).astype(np.uint8)
        depth = DepthMap((photo[..., 0] / 100).astype(np.float32), self.meaning)
        mask = np.zeros((40, 50), np.float32)
        mask[5:30, 10:30] = 1
        return RgbdPair(self.title(index), photo, depth, mask, "test", ())


def red(photo: np.ndarray) -> np.ndarray:
    return photo[..., 0].astype(np.float32)


ORACLE = Asked("oracle", "the truth", "1", red)


def test_who_knows_the_truth_is_perfect() -> None:
    figures, predicted = score(JudgedPair(Pictures().pair(0)), ORACLE)
    assert figures.mae == pytest.approx(0, abs=1e-6)
    assert figures.mae_fitted == pytest.approx(0, abs=1e-6)
    assert figures.abs_rel == pytest.approx(0, abs=1e-4)
    assert (figures.delta1, figures.ordinal, figures.flip) == (1, 1, 0)
    assert figures.rmse == pytest.approx(0, abs=1e-2)
    assert predicted.shape == (40, 50)


def test_ratios_of_depth_are_not_made_up() -> None:
    figures, _ = score(JudgedPair(Pictures(meaning=DepthMeaning.AFFINE).pair(0)), ORACLE)
    assert (figures.abs_rel, figures.delta1, figures.rmse) == (None, None, None)
    assert figures.mae == pytest.approx(0, abs=1e-6)
    proportional, _ = score(JudgedPair(Pictures(meaning=DepthMeaning.PROPORTIONAL).pair(0)), ORACLE)
    assert proportional.rmse is None
    assert proportional.delta1 == 1


def test_the_guesses_see_no_photo() -> None:
    photo = RNG.integers(0, 255, (30, 20, 3)).astype(np.uint8)
    assert np.ptp(ConstantDepth()(photo)) == 0
    lower = LowerIsNearer()(photo)
    assert (np.diff(lower, axis=0) > 0).all()
    assert np.ptp(lower, axis=1).max() == 0


def test_a_crop_is_seen_and_lies_where_it_was_cut() -> None:
    seen: list[tuple[int, ...]] = []

    def method(photo: np.ndarray) -> np.ndarray:
        seen.append(photo.shape)
        return red(photo)

    figures, _ = score(JudgedPair(Pictures().pair(0)), Asked("red", "", "1", method))
    assert seen == [(40, 50, 3), (40, 50, 3), (32, 40, 3)]
    assert figures.crop == pytest.approx(0, abs=1e-6)


def test_a_second_run_reads_and_computes_nothing(tmp_path: Path) -> None:
    sets = [Pictures(), Pictures("other", count=1)]
    first = evaluate_depth(sets, [ORACLE, ConstantDepth()], Partials(tmp_path))
    assert [len(one.read) for one in sets] == [3, 1]
    refusing = Asked("oracle", "the truth", "1", lambda _: pytest.fail("it was computed before"))
    fresh = [Pictures(), Pictures("other", count=1)]
    again = evaluate_depth(fresh, [refusing, ConstantDepth()], Partials(tmp_path))
    assert [entry.figures for entry in again.entries] == [entry.figures for entry in first.entries]
    assert [one.read for one in fresh] == [[], []]


def test_a_changed_method_is_computed_anew(tmp_path: Path) -> None:
    evaluate_depth([Pictures(count=1)], [ORACLE], Partials(tmp_path))
    changed = Asked("oracle", "the truth", "2", lambda photo: -red(photo))
    (entry,) = evaluate_depth([Pictures(count=1)], [changed], Partials(tmp_path)).entries
    assert entry.figures.ordinal == 0


def test_a_damaged_partial_file_is_computed_anew(tmp_path: Path) -> None:
    (entry,) = evaluate_depth([Pictures(count=1)], [ORACLE], Partials(tmp_path)).entries
    for text in ('{"mae": "x"}', "[", '{"unknown": 1}'):
        entry.path.write_text(text)
        (again,) = evaluate_depth([Pictures(count=1)], [ORACLE], Partials(tmp_path)).entries
        assert (again.figures.ordinal, again.figures.mae) == (1, pytest.approx(entry.figures.mae, abs=1e-6))


def test_progress_counts_pictures_of_all_sets_and_methods(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    sets = [Pictures(count=2), Pictures("other", count=1)]
    evaluate_depth(
        sets, [ORACLE, ConstantDepth()], Partials(tmp_path), progress=lambda done, total, _: told.append((done, total))
    )
    assert told == [(done, 6) for done in range(7)]


@pytest.mark.parametrize("wrong", [np.full((4, 4), np.nan), np.zeros((4, 4, 3)), np.zeros((0, 4))])
def test_what_is_no_map_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(DofkitError, match=r"broken: its output .* is no finite map"):
        ask(Asked("broken", "", "1", lambda _: wrong), np.zeros((8, 8, 3), np.uint8))


def test_json_and_page_show_sets_methods_and_maps(tmp_path: Path) -> None:
    evaluation = evaluate_depth([Pictures()], [ConstantDepth(), ORACLE], Partials(tmp_path))
    facts = {"dofkit": "1"}
    found = json.loads(json.dumps(to_json(evaluation, facts)))
    (dataset,) = found["sets"]
    assert dataset["mean"]["oracle"]["ordinal"] == 1
    assert [row["picture"] for row in dataset["per_picture"]["constant"]] == ["picture 0", "picture 1", "picture 2"]
    write_report(tmp_path / "report.html", evaluation, facts)
    text = (tmp_path / "report.html").read_text()
    assert text.count('alt="oracle"') == 3
    assert text.count('alt="truth"') == 3
    assert "<b>1.000</b>" in text


def test_the_best_of_a_column_is_marked_where_there_is_one(tmp_path: Path) -> None:
    (table,) = score_tables(evaluate_depth([Pictures()], [ConstantDepth(), ORACLE], Partials(tmp_path)))
    best = {
        figure.title: [cells[column].best for _, cells in table.rows] for column, figure in enumerate(table.figures)
    }
    assert best["ordinal"] == [False, True]
    assert best["MAE"] == [False, True]
    assert best["flip"] == best["contact"] == [False, False]


def test_a_network_is_asked_at_the_size_it_names() -> None:
    class Sized(torch.nn.Module):
        def input_size(self, height: int, width: int) -> tuple[int, int]:
            return height // 2, width // 4

    photo = RNG.integers(0, 255, (40, 48, 3)).astype(np.uint8)
    assert prepared(Sized(), photo).shape == (1, 3, 20, 12)
    square = prepared(torch.nn.Identity(), np.full((40, 48, 3), 51, np.uint8))
    assert square.shape == (1, 3, 384, 384)
    torch.testing.assert_close(square, torch.full_like(square, 0.2))


@pytest.mark.parametrize(("photo", "size"), [((90, 120), (320, 448)), ((120, 90), (448, 320)), ((50, 50), (384, 384))])
def test_a_depth_network_of_ours_sees_a_photo_in_its_own_aspect(photo: tuple[int, int], size: tuple[int, int]) -> None:
    assert prepared(DepthNet(), np.zeros((*photo, 3), np.uint8)).shape[2:] == size


def test_a_weights_folder_and_its_file_are_the_same_method(weights: Path) -> None:
    folder, file = (depth_network("ours", path) for path in (weights, weights / "depth.safetensors"))
    assert folder.fingerprint == file.fingerprint
    photo = RNG.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    with torch.inference_mode():
        expected = load_weights(Stage.DEPTH, weights)(prepared(folder.network, photo))[0, 0].numpy()
    np.testing.assert_array_equal(file(photo), expected)


def test_methods_have_distinct_names_and_exist(weights: Path, tmp_path: Path) -> None:
    names = [method.name for method in depth_methods(weights, {"argan": weights})]
    assert names == ["constant", "lower is nearer", "argan", "ours"]
    with pytest.raises(DofkitError, match="this name is taken"):
        depth_methods(weights, {"ours": weights})
    with pytest.raises(DofkitError, match=r"gan=.*: there is no depth\.safetensors"):
        depth_methods(weights, {"gan": tmp_path})
    with pytest.raises(DofkitError, match="there are: constant, lower is nearer"):
        chosen_methods([ConstantDepth(), LowerIsNearer()], ["nobody"])


def test_a_drawn_picture_is_the_same_each_time_and_knows_depth_and_subject() -> None:
    judged, again = (JudgedPair(DrawnSet(2).pair(1)) for _ in range(2))
    np.testing.assert_array_equal(judged.photo, again.photo)
    assert judged.truth is not None
    assert judged.subject is not None
    assert judged.ratios_known


def test_thinning_invents_no_depth() -> None:
    values = RNG.integers(0, 9, (700, 1300)).astype(np.float32)
    small = thinned(values)
    assert small.shape == (233, 433)
    np.testing.assert_array_equal(small, values[1::3, 1::3])


def folder_of_pairs(folder: Path, count: int) -> Path:
    for name in ("images", "disparity"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        picture = np.random.default_rng(number).integers(0, 255, (12, 16, 3)).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{number:03d}.png")
        Image.fromarray(picture[..., 0]).save(folder / "disparity" / f"{number:03d}.png")
    return folder


def test_a_count_is_taken_from_all_over_a_set_and_what_changes_has_another_identity(tmp_path: Path) -> None:
    found = recognise(folder_of_pairs(tmp_path, 9))
    chosen = EvaluatedSet.of("set", found, 3)
    assert [chosen.title(index) for index in range(3)] == ["000", "004", "008"]
    before = chosen.identity(1)
    assert chosen.identity(0) != before
    Image.new("L", (16, 12)).save(tmp_path / "disparity" / "004.png")
    assert chosen.identity(1) != before


def test_only_what_training_leaves_out_is_judged(tmp_path: Path) -> None:
    found = recognise(folder_of_pairs(tmp_path, 60))
    assert [entry.name for entry in kept_for_judging(found).entries] == [f"{number:03d}" for number in range(25, 50)]
    with pytest.raises(DofkitError, match="too few to hold any out"):
        kept_for_judging(recognise(folder_of_pairs(tmp_path / "few", 4)))
