"""Recipes: which layers a mixed model leaves in floats. Written by `dofkit sensitivity`, read by `export --recipe`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..runtime_ref.errors import DofkitError
from ..runtime_ref.files import write_json
from ..runtime_ref.pipeline.stage import Stage
from ..runtime_ref.target import Target
from ..runtime_ref.validation import read_json

SHIPPED = Path(__file__).parent / "recipes"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(_Frozen):
    """What a choice of layers was measured to give.

    Attributes:
        psnr: of the whole pipeline against PyTorch fp32, in dB, the worst picture.
        bytes: of all stages' files.
        size: the same as a fraction of the fp32 files.
    """

    psnr: float
    bytes: int
    size: float


class Recipe(_Frozen):
    """A choice of layers.

    Attributes:
        target: whose files it was measured on.
        budget: what was asked for, as it was written ("PSNR=40").
        keep: stage -> layers left in floats, by their paths in the PyTorch network, the costliest first.
        layers: stage -> how many layers there are.
        weights: stage -> SHA-256 of the weights that it was measured with.
        pictures: names of the pictures that it was measured on.
        reached: with this choice.
        everything: with every layer in int8.
    """

    schema_version: Literal[1] = 1
    target: Target
    budget: str
    keep: dict[Stage, tuple[str, ...]]
    layers: dict[Stage, int]
    weights: dict[Stage, str]
    pictures: tuple[str, ...] = Field(min_length=1)
    reached: Measured
    everything: Measured

    def kept(self, stage: Stage) -> frozenset[str]:
        """The layers of a stage that stay in floats."""
        return frozenset(self.keep.get(stage, ()))

    def write(self, path: Path) -> None:
        """Write it as JSON that people can read and change."""
        write_json(path, self.model_dump(mode="json"))


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        DofkitError: it is missing or is none.
    """
    return read_json(path, Recipe, "write one with `dofkit sensitivity BUNDLE`")


def recipes_for(
    targets: tuple[Target, ...], given: Sequence[Path], weights: Mapping[Stage, str]
) -> dict[Target, Recipe]:
    """The recipe of every target: the user's, or the shipped one if it was measured with the same weights.

    Args:
        targets: that mixed models are written for.
        given: the user's files.
        weights: stage -> SHA-256 of the weights that are exported.

    Raises:
        DofkitError: a target has none, or a file is for a target that is not written.
    """
    recipes = {}
    for path in given:
        recipe = read_recipe(path)
        if recipe.target not in targets:
            raise DofkitError(f"{path} was measured for {recipe.target.title}; add --target {recipe.target}")
        recipes[recipe.target] = recipe
    for target in targets:
        if target in recipes:
            continue
        shipped = shipped_recipe(target)
        if shipped is None or any(shipped.weights.get(stage) != digest for stage, digest in weights.items()):
            raise DofkitError(
                f"--precision mixed for {target.title} needs a recipe for these weights; export fp32, write one with "
                "`dofkit sensitivity BUNDLE` and give it with --recipe"
            )
        recipes[target] = shipped
    return recipes


def shipped_recipe(target: Target) -> Recipe | None:
    """The recipe for a target that was measured with the shipped weights, if there is one."""
    path = SHIPPED / f"{target}.json"
    return read_recipe(path) if path.is_file() else None
