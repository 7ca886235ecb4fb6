"""A run keeps what is in its folder: foreign folders are refused, a checkpoint is replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train import trainer
from dofkit.train.trainer import RunSettings, resume_step


@pytest.mark.parametrize("name", ["photo.jpg", "lens_blur.safetensors", "holidays"])
def test_a_folder_of_something_else_is_refused_and_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir() if name == "holidays" else (tmp_path / name).write_bytes(b"mine")
    for resume in (False, True):
        with pytest.raises(DofkitError, match=rf"holds {name} and no run .*--out"):
            resume_step(RunSettings(tmp_path, 1, resume=resume))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_new_folder_and_one_of_a_run_that_was_killed_early_are_taken(tmp_path: Path) -> None:
    assert resume_step(RunSettings(tmp_path / "new", 1)) == 0
    for name in ("tensorboard", "scenes", "held_out", ".last.ckpt.1234.part"):
        (tmp_path / name).mkdir()
    assert resume_step(RunSettings(tmp_path, 1)) == 0


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, path = trainer._WholeCheckpoints(), tmp_path / "last.ckpt"
    checkpoints.save_checkpoint({"global_step": 1}, path)

    def full(source: object, goal: object) -> None:
        del source, goal
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DofkitError, match="No space left"):
        checkpoints.save_checkpoint({"global_step": 2}, path)
    assert resume_step(RunSettings(tmp_path, 1, resume=True)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
