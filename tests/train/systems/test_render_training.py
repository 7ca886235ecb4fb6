"""Joint training of the rendering networks: the loss, the recurrence, and a run of two steps by the command."""

import json
import math
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from dofkit.cli import main
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.data.render_samples import SceneStore, TrainingWindows, by_levels
from dofkit.train.data.scenes import SceneSettings
from dofkit.train.data.sources import Sources
from dofkit.train.networks.guided_upsampling import GuidedUpsamplingNet
from dofkit.train.networks.lens_blur import LensBlurNet
from dofkit.train.systems.render import RenderSystem, edge_band, lens_loss
from dofkit.train.weights import load_weights, save_weights

TINY = ["--size", "32", "--levels", "1", "--batch", "2", "--held-out", "1", "--workers", "0", "--threads", "1"]


def test_windows_of_different_depth_in_a_step_count_alike(tmp_path: Path) -> None:
    torch.manual_seed(0)
    system = RenderSystem(LensBlurNet(), GuidedUpsamplingNet(), steps=1, loss="psnr")
    system.log = system.log_dict = lambda *_, **__: None  # there is no trainer
    store = SceneStore(tmp_path, 0, SceneSettings(size=64, levels=2), Sources())
    windows = TrainingWindows(store, 0, halo=system.blur.halo, reuse=1, core=12, window=8)
    samples = [windows[index] for index in range(6)]
    assert {sample["first"] for sample in samples} == {0, 1}
    batches = by_levels(samples)
    assert sorted(len(batch["image"]) for batch in batches) == sorted(
        sum(sample["first"] == first for sample in samples) for first in (0, 1)
    )
    with torch.no_grad():
        together = system.training_step(batches, 0)
        alone = [system.training_step(by_levels([sample]), 0) for sample in samples]
    assert together == pytest.approx(sum(map(float, alone)) / 6, rel=1e-5)


def test_the_loss_is_zero_for_the_truth_and_relative_to_what_the_lens_changes() -> None:
    truth = torch.full((1, 3, 8, 8), 0.5)
    assert lens_loss(truth, truth, truth) == 0
    wrong = truth + 0.1
    assert lens_loss(wrong, truth, truth) == pytest.approx(0.1 / 0.02)
    assert lens_loss(wrong, truth, truth - 0.23) == pytest.approx(0.1 / 0.25)
    assert lens_loss(wrong, truth, truth - 0.23, "plain") == pytest.approx(0.1)


def test_gradients_count_one_and_a_half_times() -> None:
    truth = torch.zeros(1, 3, 8, 8)
    wrong = truth.clone()
    wrong[..., 4:] = 0.1  # one step of 0.1 in each row: 8 of 56 differences across
    assert lens_loss(wrong, truth, truth, "plain") == pytest.approx(0.05 + 1.5 * 0.1 / 7)


def test_the_loss_in_decibels_is_the_mean_of_the_pictures_psnr() -> None:
    truth = torch.zeros(2, 3, 8, 8)
    ours = truth.clone()
    ours[0] += 0.1  # 20 dB
    ours[1] += 0.01  # 40 dB
    assert -10 * lens_loss(ours, truth, truth, "psnr") == pytest.approx(30, abs=0.1)


def test_near_depth_edges_the_psnr_counts_once_more() -> None:
    truth = torch.full((2, 3, 8, 8), 0.5)
    ours, edges = truth.clone(), torch.zeros(2, 1, 8, 8)
    ours[0, :, :, :2] += 0.2  # a quarter of the first picture is 0.2 off, half of its edges
    edges[0, :, :, :4] = 1
    first = 0.5 * (math.log10(0.04 / 4) + math.log10(0.04 / 2))
    second = math.log10(10**-5.5)  # the second has no edge
    assert lens_loss(ours, truth, truth, "psnr", edges) == pytest.approx((first + second) / 2, abs=1e-3)


def test_the_edge_band_is_where_defocus_jumps_not_where_it_slants() -> None:
    defocus = torch.linspace(0, 0.3, 32).expand(1, 1, 32, 32).clone()
    defocus[..., 20:] += 0.2
    band = edge_band(defocus, 2)[0, 0, 16]
    assert band.nonzero().flatten().tolist() == list(range(17, 23))


def test_one_network_can_learn_alone() -> None:
    system = RenderSystem(LensBlurNet(), GuidedUpsamplingNet(), steps=1, only=Stage.GUIDED_UPSAMPLING)
    (group,) = system.configure_optimizers()["optimizer"].param_groups
    learned = {id(parameter) for parameter in group["params"]}
    assert learned == {id(p) for p in system.upsampling.parameters() if p.requires_grad}


def test_every_level_is_upsampled_from_the_networks_own_output() -> None:
    system = RenderSystem(LensBlurNet(), GuidedUpsamplingNet(), steps=1)
    images = [torch.rand(1, 3, side, side) for side in (16, 32, 64)]
    defocus = [torch.rand(1, 1, side, side) for side in (16, 32, 64)]
    filled = torch.rand(1, 1, 16, 16)
    levels = system.render(images, filled, defocus)
    assert [level.shape for level in levels] == [image.shape for image in images]
    assert levels[2].equal(system.upsample(images[2], images[1], levels[1], defocus[1]))
    assert not levels[0].equal(system.render(images, defocus[0], defocus)[0])


def test_the_command_trains_resumes_and_writes_weights_that_load(tmp_path: Path) -> None:
    arguments = ["train", "render", "--out", str(tmp_path), *TINY, "--json"]
    first = CliRunner().invoke(main, [*arguments, "--steps", "2"])
    assert first.exit_code == 0, first.output
    result = json.loads(first.stdout.splitlines()[-1])
    assert {"psnr", "psnr_unblurred", "psnr_bilinear", "psnr_lowest"} <= set(result["figures"])
    for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING):
        load_weights(stage, tmp_path)
    refused = CliRunner().invoke(main, [*arguments, "--steps", "3"])
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    again = [*arguments[:3], str(tmp_path / "again"), *TINY, "--weights", str(tmp_path), "--steps", "1"]
    assert CliRunner().invoke(main, again).exit_code == 0
    resumed = CliRunner().invoke(main, [*arguments, "--steps", "3", "--resume"])
    assert resumed.exit_code == 0, resumed.output


def test_a_run_in_bfloat16_ends_in_weights_of_full_precision(tmp_path: Path) -> None:
    run = CliRunner().invoke(
        main, ["train", "render", "--out", str(tmp_path), *TINY, "--steps", "2", "--precision", "bf16-mixed"]
    )
    assert run.exit_code == 0, run.output
    learned = load_weights(Stage.LENS_BLUR, tmp_path).state_dict().values()
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in learned)


def test_the_lens_blur_alone_learns_from_level_0(tmp_path: Path) -> None:
    save_weights(GuidedUpsamplingNet(), Stage.GUIDED_UPSAMPLING, tmp_path / "start")
    out = tmp_path / "run"
    options = ["--weights", str(tmp_path / "start"), "--only", "lens_blur", "--maps", "5"]
    run = CliRunner().invoke(main, ["train", "render", "--out", str(out), *TINY, *options, "--steps", "2"])
    assert run.exit_code == 0, run.output
    start, kept = (load_weights(Stage.GUIDED_UPSAMPLING, folder).state_dict() for folder in (tmp_path / "start", out))
    assert all(kept[name].equal(start[name]) for name in start)
    blur = load_weights(Stage.LENS_BLUR, out)
    assert isinstance(blur, LensBlurNet)
    assert blur.config.maps == 5


@pytest.mark.parametrize(("options", "reason"), [([], "no lens_blur or guided_upsampling"), (["--maps", "3"], "fixed")])
def test_weights_that_do_not_serve_are_refused_in_one_line(tmp_path: Path, options: list[str], reason: str) -> None:
    if options:
        save_weights(LensBlurNet(), Stage.LENS_BLUR, tmp_path)
    start = ["--out", str(tmp_path / "run"), "--weights", str(tmp_path)]
    run = CliRunner().invoke(main, ["train", "render", *start, *options])
    assert run.exit_code == 2
    assert reason in run.stderr


def test_a_size_that_cannot_be_halved_is_refused_in_one_line(tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["train", "render", "--out", str(tmp_path), "--size", "100", "--levels", "3"])
    assert run.exit_code == 2
    assert "from 16 · 2^levels on, such as 128" in run.stderr


def test_without_upsampling_the_lens_blur_alone_can_learn(tmp_path: Path) -> None:
    options = ["train", "render", "--out", str(tmp_path / "run"), *TINY, "--levels", "0", "--steps", "1"]
    refused = CliRunner().invoke(main, options)
    assert refused.exit_code == 2
    assert "add --only lens_blur" in refused.stderr
    run = CliRunner().invoke(main, [*options, "--only", "lens_blur", "--maps", "5", "--json"])
    assert run.exit_code == 0, run.output
    assert "psnr_lowest" in json.loads(run.stdout)["figures"]


def test_a_run_can_keep_to_a_number_of_scenes(tmp_path: Path) -> None:
    options = ["train", "render", "--out", str(tmp_path / "run"), *TINY, "--scenes", "2", "--steps", "3"]
    refused = CliRunner().invoke(main, [*options, "--reuse", "4"])
    assert refused.exit_code == 2
    assert "leave one of both" in refused.stderr
    run = CliRunner().invoke(main, options)
    assert run.exit_code == 0, run.output
    assert {file.name for file in (tmp_path / "run" / "scenes").iterdir()} == {"000000.npz", "000001.npz"}
