"""The shared trainer: steps, checkpoints, resuming after a kill, averaged weights."""

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.trainer import EndlessIndices, RunSettings, endless_loader, fit, resume_step


class Indices(Dataset):
    """Sample i is the number i."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([float(index)])


class Line(lightning.LightningModule):
    """Learns one number; remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[float] = []

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        self.seen += batch.flatten().tolist()
        return (self.value - 1).square().mean()

    def validation_step(self, batch: torch.Tensor, _: int) -> None:
        self.log("value", self.value.mean(), batch_size=len(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def settings(out, **changes) -> RunSettings:
    return RunSettings(out, **{"steps": 4, "checkpoint_every": 2, "accelerator": "cpu", **changes})


def train(out, **changes) -> Line:
    line, run = Line(), settings(out, **changes)
    fit(line, endless_loader(Indices(), 2, run), None, run)
    return line


def test_a_run_takes_its_steps_and_leaves_a_checkpoint(tmp_path):
    line = train(tmp_path, steps=3)
    assert line.seen == [0, 1, 2, 3, 4, 5]
    assert resume_step(settings(tmp_path, resume=True)) == 3


def test_a_resumed_run_goes_on_with_the_samples_it_had_not_seen(tmp_path):
    train(tmp_path, steps=2)
    assert train(tmp_path, steps=4, resume=True).seen == [4, 5, 6, 7]


def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path):
    class Killed(Line):
        def on_train_batch_start(self, batch, batch_idx):
            if self.global_step == 3:
                raise KeyboardInterrupt  # after the checkpoint of step 2, before that of step 4

    run = settings(tmp_path / "killed")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(Killed(), endless_loader(Indices(), 2, run), None, run)
    assert resume_step(settings(tmp_path / "killed", resume=True)) == 2
    resumed = train(tmp_path / "killed", resume=True)
    torch.testing.assert_close(resumed.value, train(tmp_path / "whole").value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_cannot_be_read_stops_the_run_with_its_own_line(tmp_path, workers):
    class Broken(Indices):
        def __getitem__(self, index: int) -> torch.Tensor:
            raise DofkitError(f"rose.jpg of sample {index}: Error: cannot be read; mend it")

    run = settings(tmp_path)
    with pytest.raises(DofkitError, match=r"^rose\.jpg of sample 0: Error: cannot be read; mend it$"):
        fit(Line(), endless_loader(Broken(), 1, run, workers), None, run)


def test_a_finished_run_resumed_gives_its_weights_without_a_step(tmp_path):
    done = train(tmp_path)
    again = train(tmp_path, resume=True)
    assert again.seen == []
    torch.testing.assert_close(again.value, done.value)


def test_the_system_ends_with_averaged_weights(tmp_path):
    # the plain iteration is 1 - 0.8^n; its average lags behind
    value = train(tmp_path, steps=20).value.item()
    assert 0.5 < value < 1 - 0.8**20


def test_held_out_figures_come_back_as_numbers(tmp_path):
    line, run = Line(), settings(tmp_path)
    loader = DataLoader(TensorDataset(torch.zeros(2)), 2)
    assert fit(line, endless_loader(Indices(), 2, run), loader, run) == {"value": pytest.approx(line.value.item())}


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    train(tmp_path)
    with pytest.raises(DofkitError, match="go on with --resume or give another --out folder"):
        train(tmp_path)


def test_a_broken_checkpoint_is_named(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"half a checkpoint")
    with pytest.raises(DofkitError, match=r"last\.ckpt cannot be read"):
        train(tmp_path, resume=True)


def test_processes_share_the_indices_out(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    seen = []
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        indices = iter(EndlessIndices(10))
        seen.append([next(indices) for _ in range(3)])
    assert seen == [[10, 12, 14], [11, 13, 15]]
