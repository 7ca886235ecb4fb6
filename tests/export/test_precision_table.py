"""What can be written is written, what cannot is refused with the reason, what is useless with the figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.export.precision import SUPPORT, refuse_useless
from dofkit.export.recipe import Measured, Recipe, read_recipe, recipes_for
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.tolerances import tolerance
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision, Target


def test_the_table_knows_every_precision_of_every_target() -> None:
    assert set(SUPPORT) == set(Precision)
    assert all(set(targets) == set(Target) for targets in SUPPORT.values())


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("target", Target)
def test_whatever_can_be_written_has_a_promise_for_every_output(target: Target, precision: Precision) -> None:
    if SUPPORT[precision][target].possible:
        for scope in (*(stage.value for stage in PIPELINE_STAGES), "pipeline"):
            limits = tolerance(scope, precision, target)
            assert limits.reason
            assert (limits.max_abs, limits.psnr) != (None, None)


def test_what_cannot_be_written_is_refused_even_by_force() -> None:
    with pytest.raises(DofkitError, match="palettes exist in Core ML and Core AI only; take w8"):
        refuse_useless((Target.ONNX,), (Precision.FP32, Precision.PALETTE6), force=True)


def test_what_is_useless_is_refused_with_its_figure_and_written_by_force() -> None:
    with pytest.raises(DofkitError, match=r"dynamic does not pay for ONNX: 7 to 9 times .* --force writes it"):
        refuse_useless((Target.ONNX,), (Precision.DYNAMIC,))
    refuse_useless((Target.ONNX,), (Precision.DYNAMIC,), force=True)


def _recipe(target: Target = Target.TFLITE, **changes: object) -> Recipe:
    figures = Measured(psnr=41.0, bytes=100, size=0.3)
    fields = {
        "target": target,
        "budget": "PSNR=40",
        "keep": {Stage.DEPTH: ("a.0", "b.0")},
        "layers": {Stage.DEPTH: 10},
        "weights": dict.fromkeys(Stage, "0" * 64),
        "pictures": ("photo",),
        "reached": figures,
        "everything": figures,
    }
    return Recipe.model_validate({**fields, **changes})


def test_a_recipe_is_read_as_it_was_written(tmp_path: Path) -> None:
    recipe = _recipe()
    recipe.write(tmp_path / "recipe.json")
    assert read_recipe(tmp_path / "recipe.json") == recipe
    assert recipe.kept(Stage.DEPTH) == {"a.0", "b.0"}
    assert recipe.kept(Stage.LENS_BLUR) == frozenset()


def test_a_file_that_is_no_recipe_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"target": "tflite"}')
    with pytest.raises(DofkitError, match="write one with `dofkit sensitivity BUNDLE`") as refusal:
        read_recipe(path)
    assert "\n" not in str(refusal.value)


def test_a_recipe_of_the_users_own_counts_for_its_target(tmp_path: Path) -> None:
    _recipe().write(tmp_path / "mine.json")
    assert recipes_for((Target.TFLITE,), [tmp_path / "mine.json"], {})[Target.TFLITE] == _recipe()
    with pytest.raises(DofkitError, match="add --target tflite"):
        recipes_for((Target.ONNX,), [tmp_path / "mine.json"], {})


def test_the_shipped_recipes_are_for_the_shipped_weights_only() -> None:
    with pytest.raises(DofkitError, match="needs a recipe for these weights"):
        recipes_for((Target.TFLITE,), [], dict.fromkeys(Stage, "1" * 64))


@pytest.mark.parametrize("target", Target)
def test_the_shipped_weights_have_a_recipe_whose_layers_exist(target: Target) -> None:
    from dofkit.export.folded import folded_layers
    from dofkit.export.stages import stage_graphs
    from dofkit.runtime_ref.bundle import file_sha256
    from dofkit.train.session import default_plan, load_networks
    from dofkit.train.weights import SHIPPED, weights_file

    digests = {stage: file_sha256(weights_file(stage, SHIPPED)) for stage in PIPELINE_STAGES}
    recipe = recipes_for((target,), [], digests)[target]
    for stage, graph in stage_graphs(load_networks(), default_plan(tile=96, depth_sizes=((128, 128),)), target).items():
        assert recipe.kept(stage) <= {layer.name for layer in folded_layers(graph.network, graph.example())}
