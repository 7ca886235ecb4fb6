"""Where weights lie that ship with dofkit, and the names that stand for them. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage

SHIPPED = Path(__file__).parent / "weights"
PRODUCT = SHIPPED / "product"
"""Weights of which no set with research-only terms is a part; a stage that has none is missing there."""
PRODUCT_NAME = "product"
"""What `--weights` calls that folder; a folder of this name is written ./product."""


def named_weights(text: str) -> Path:
    """The folder that a text of `--weights` means: the one of that name, or a path."""
    return PRODUCT if text == PRODUCT_NAME else Path(text)


_FILES = {Stage.FOCAL_DEPTH: "dfd.safetensors"}
"""Names of files that are not their stage's."""


def weights_file(stage: Stage, directory: Path) -> Path:
    """Where a stage's weights lie in a weights directory."""
    return directory / _FILES.get(stage, f"{stage}.safetensors")


def has_weights(stage: Stage, directory: Path) -> bool:
    """Whether a weights directory holds a stage."""
    return weights_file(stage, directory).is_file()


def no_weights(stage: Stage, directory: Path) -> str:
    """What to say where a stage's weights are missing, and the way out."""
    if directory != PRODUCT:
        path = weights_file(stage, directory)
        return f"no weights for {stage}: {path} does not exist; train them or give another --weights folder"
    there = [f"--stage {one}" for one in PIPELINE_STAGES if has_weights(one, PRODUCT)]
    wanted = dict.fromkeys((*PIPELINE_STAGES, stage))
    missing = " and ".join(one.value for one in wanted if not has_weights(one, PRODUCT))
    way = f"export {' '.join(there)} only, or train" if there else "train"
    return (
        f"--weights {PRODUCT_NAME}: for {missing} none ship that a product may use, the others are research only; "
        f"{way} your own and give their folder"
    )
